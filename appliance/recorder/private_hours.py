from __future__ import annotations

from datetime import datetime


class PrivateHours:
    def __init__(self, periods: tuple[str, ...]) -> None:
        self.periods = periods

    def covers(self, local: datetime) -> bool:
        return False
