"""What the hook of a line says, and whether that and what is heard can both be true.

Pure. A line without a hook input, or whose input is lost, has an unknown hook: then all is known by sound alone. A hook
that is known is believed, since sound can be put on a line by either side, and a contact cannot. But a wire can come
off, or be taken for the other way round. Two things that cannot be are told, until the hook moves or is heard to be
right: somebody speaks for more than two seconds on a line that is on the hook, and a minute after the handset was
lifted there has been no sound at all, no dial tone, no voice, no key.
"""

from __future__ import annotations

from enum import Enum, auto

from appliance.terms import RATE_HZ

_SPEAKS_FRAMES = 2 * RATE_HZ
_SILENT_FRAMES = 60 * RATE_HZ


class HookDoubt(Enum):
    SPEAKS_ON_HOOK = auto()
    SILENT_OFF_HOOK = auto()


class HookSense:
    """The hook of one line, from one opening of its device to its loss."""

    def __init__(self) -> None:
        self._off: bool | None = None
        self._spoke = 0
        self._silent: int | None = 0
        """Since it was lifted; None once there was a sound."""
        self.doubt: HookDoubt | None = None

    @property
    def is_off(self) -> bool:
        """The hook is known to be off: somebody has picked up, and nobody has hung up."""
        return self._off is True

    @property
    def is_on(self) -> bool:
        return self._off is False

    def move(self, *, off: bool | None) -> None:
        """None: from now on it is unknown."""
        self._off, self.doubt = off, None
        self._spoke = self._silent = 0

    def hear(self, frames: int, *, speaks: bool, sounds: bool) -> None:
        """Take in the next block.

        Args:
            speaks: somebody does, who would otherwise be in a call.
            sounds: there is any sound, whatever it is.
        """
        if self.is_on and speaks:
            self._spoke += frames
            if self._spoke > _SPEAKS_FRAMES:
                self.doubt = HookDoubt.SPEAKS_ON_HOOK
        elif self.is_off and sounds:
            self._silent, self.doubt = None, None
        elif self.is_off and self._silent is not None:
            self._silent += frames
            if self._silent >= _SILENT_FRAMES:
                self.doubt = HookDoubt.SILENT_OFF_HOOK

    def hear_nobody(self) -> None:
        """All that sounded lately is over, or was no speech."""
        self._spoke = 0
