"""A log that tests can wait on."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from typing import Any

import structlog

PATIENCE_S = 10.0


class HeardLog:
    """Remembers every event; `logger` is what the parts under test are given."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self.events: list[dict[str, Any]] = []
        self.logger: Any = structlog.wrap_logger(
            None, processors=[self._hear], wrapper_class=structlog.stdlib.BoundLogger, cache_logger_on_first_use=True
        )

    def named(self, event: str) -> list[dict[str, Any]]:
        return [told for told in self.events if told["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until an event has been logged so often; the last of them."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.named(event)) >= count, PATIENCE_S), (event, self.events)
        return self.named(event)[count - 1]

    def _hear(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        with self._news:
            self.events.append({**event, "level": method})
            self._news.notify_all()
        raise structlog.DropEvent
