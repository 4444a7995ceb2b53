"""The vault's door: what is answered while the box is locked by its PIN, and after.

The sockets are there from the start. Locked, the vault answers `Unlock` and refuses everything else with the
sentence that says so; recording waits too, since a call's key comes from the ring.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from appliance.boundary import verbs
from appliance.boundary.peer import Handler
from appliance.vault.tpm import PinNeeded

PutInService = Callable[[str | None], Mapping[type[verbs.Request], Handler]]
"""Opens the box with a PIN, or without one, and starts all that it does; gives what answers from then on.

Raises LinekeepError: PinNeeded, PinWrong, PinLocked, or why it cannot be opened at all.
"""


class Door:
    """Safe for use by several threads."""

    def __init__(self, put_in_service: PutInService) -> None:
        self._put_in_service = put_in_service
        self._opening = threading.Lock()
        self._handlers: Mapping[type[verbs.Request], Handler] | None = None

    @property
    def is_locked(self) -> bool:
        return self._handlers is None

    def open(self, pin: str | None) -> None:
        """Put the box in service, unless it is."""
        with self._opening:
            if self._handlers is None:
                self._handlers = self._put_in_service(pin)

    def handlers(self) -> Mapping[type[verbs.Request], Handler]:
        """For the listeners: the answers of the moment."""
        return dict.fromkeys(verbs.CALLERS, self._answer) | {verbs.Unlock: self._answer_unlock}

    def _answer(self, request: verbs.Request) -> verbs.Answer:
        handlers = self._handlers
        if handlers is None:
            raise PinNeeded
        return handlers[type(request)](request)

    def _answer_unlock(self, request: verbs.Unlock) -> verbs.Done:
        self.open(request.pin)
        return verbs.Done()
