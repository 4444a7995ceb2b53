"""How long someone who guessed wrong must wait. Pure."""

from __future__ import annotations

from appliance.terms import NotAllowed

FREE_TRIES = 5
LONGEST_WAIT_S = 60
"""One guess a minute against 50 bits of claim code, or a password of ten characters, leads nowhere; a longer
wait would only give whoever stands outside a way to lock the owner out."""


class TooManyTries(NotAllowed):
    """Wrong too often; `facts` tells the seconds to wait."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many wrong tries. Nothing is lost; wait {wait_s} seconds and try again.")
        self.facts: dict[str, str | int] = {"wait_s": wait_s}


def wait_s(*, failures: int, last_at_ms: int, now_ms: int) -> int:
    """Seconds still to wait: none for the first tries, then 1, 2, 4 ... up to a minute after each."""
    if failures < FREE_TRIES:
        return 0
    full_s: int = min(LONGEST_WAIT_S, 2 ** (failures - FREE_TRIES))
    # A clock that went back: whoever keeps `last_at_ms` sets it anew, or the wait would last until it returns.
    left_ms = full_s * 1000 - max(0, now_ms - last_at_ms)
    return max(0, -(-left_ms // 1000))
