from __future__ import annotations

from fnmatch import fnmatch


class NumberList:
    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns

    def covers(self, number: str, withheld: bool) -> bool:
        return any((p == "withheld" and withheld) or (number and fnmatch(number, p)) for p in self.patterns)
