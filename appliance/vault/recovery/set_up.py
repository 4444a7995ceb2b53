"""Sets the recovery key up, in two steps, so that nobody has one whose words are on no paper.

First the words are made and shown, once; they are nowhere but in this memory. Then some of them are asked for. Only
the right ones make the key the box's own, in one commit of the ring: from then on each ring has its recovery copy.
Whatever ends before that commit leaves all as it was, and whoever begins again gets other words. To have none is a
choice too, and written down.

On a box from the image the disk too has to open with the words. It takes them before the ring does, besides the older
ones, which it loses after that commit, or at the next start after a cut: so the words that count always open both.
"""

from __future__ import annotations

import hmac
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary import verbs
from appliance.boundary.root_helper import KeepKeySlot, PutKeySlot, ask_helper
from appliance.clock import Clock
from appliance.terms import AccountId, CallId, KeyTrouble, StorageTrouble
from appliance.vault.accounts import Accounts, Visitor
from appliance.vault.recovery.copy import Choice, choice_of, with_choice
from appliance.vault.recovery.words import WORDS_A_SHEET, RecoveryKey, sheets_of
from appliance.vault.rights import Right
from appliance.vault.ring import Ring

PENDING_LASTS_S = 3600
_ASKED_OF_ONE, _ASKED_OF_EACH = 4, 2
"""Words asked for: of a single sheet, and of each of several."""
_SLOT_IS_PUT_WITHIN_S, _SLOTS_ARE_TIDY_WITHIN_S = 60.0, 20.0
"""The second is shorter than systemd waits for a vault that is to stop."""


class NothingPending(KeyTrouble):
    """The words that were shown are no longer waiting to be confirmed."""

    def __init__(self) -> None:
        super().__init__(
            "These words are no longer waiting: too much time went by, the box was restarted, or others were made. "
            "Nothing was changed; throw those sheets away and begin again."
        )


class WordsDiffer(KeyTrouble):
    """What was typed is not what was shown."""

    def __init__(self) -> None:
        super().__init__(
            "At least one of these words is not the one that was shown. Nothing was changed; compare with your sheets "
            "and try again, or begin again with new words."
        )


class DiskRefused(KeyTrouble):
    """The disk of the box does not take the words."""

    def __init__(self) -> None:
        super().__init__(
            "The disk of this box did not take these words, so they are not its recovery key. What was decided before "
            "still holds. Try again in a minute; if this stays, restart the box and begin again with new words."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    account: AccountId
    key: RecoveryKey = field(repr=False)
    needed: int
    sheets: tuple[str, ...] = field(repr=False)
    asked: tuple[verbs.AskedWord, ...]
    until_s: float


class RecoverySetUp:
    """Safe for use by several threads.

    Args:
        disk_key: the socket of who writes the disk's key slots; None: the disk is not the box's business.
        steady_s: seconds of a clock that never steps.
    """

    def __init__(
        self,
        *,
        ring: Ring,
        accounts: Accounts,
        journal: Journal,
        clock: Clock,
        log: Any,
        disk_key: Path | None,
        steady_s: Callable[[], float],
    ) -> None:
        self._ring = ring
        self._accounts = accounts
        self._journal = journal
        self._clock = clock
        self._log = log
        self._disk_key = disk_key
        self._steady_s = steady_s
        self._deciding = threading.Lock()
        self._lock = threading.Lock()
        """Of what is pending; never held for long."""
        self.when_decided: Callable[[], None] = lambda: None
        """What is to `tidy_disk` soon."""
        self._disk_is_shut = False
        """For the words that count."""
        self._pending: _Pending | None = None
        self._confirmed: tuple[AccountId, tuple[str, ...]] | None = None
        drilled = journal.last(Act.RECOVERY_DRILLED)
        self._drilled_at_ms = 0 if drilled is None else drilled.at_ms

    def choice(self) -> verbs.RecoveryChoice:
        choice = choice_of(self._ring.contents)
        if choice is None:
            return verbs.RecoveryChoice.OPEN
        if not choice:
            return verbs.RecoveryChoice.NONE
        return verbs.RecoveryChoice.SHUT if self._disk_is_shut else verbs.RecoveryChoice.KEY

    def state(self, visitor: Visitor) -> verbs.RecoveryState:
        visitor.require(Right.SET_UP_RECOVERY)
        choice = choice_of(self._ring.contents) or Choice()
        with self._lock:
            pending = self._pending_of(visitor)
        return verbs.RecoveryState(
            choice=self.choice(),
            needed=choice.needed,
            sheets=choice.sheets,
            at_ms=choice.at_ms,
            drilled_at_ms=self._drilled_at_ms if self._drilled_at_ms > choice.at_ms else 0,
            asked=pending.asked if pending else (),
            by_stick=self._disk_key is not None,
        )

    def begin(self, visitor: Visitor, request: verbs.BeginRecovery) -> verbs.RecoverySheets:
        """Make words and show them. Raises NotAllowed, KeyTrouble."""
        self._must_be(visitor, request.password)
        key = RecoveryKey.fresh()
        sheets = sheets_of(key, needed=request.needed, sheets=request.sheets)
        pending = _Pending(
            account=visitor.account,
            key=key,
            needed=request.needed,
            sheets=sheets,
            asked=_asked(len(sheets)),
            until_s=self._steady_s() + PENDING_LASTS_S,
        )
        with self._lock:
            self._pending = pending
        return verbs.RecoverySheets(sheets=sheets)

    def confirm(self, visitor: Visitor, untrusted_words: Sequence[str]) -> None:
        """Make the key that was shown the box's own. Raises WordsDiffer, NothingPending, KeyTrouble."""
        visitor.require(Right.SET_UP_RECOVERY)
        with self._deciding:
            with self._lock:
                pending = self._pending_of(visitor)
            if pending is None and self._confirmed == (visitor.account, tuple(untrusted_words)):
                return  # asked twice, since the first answer was lost
            if pending is None:
                raise NothingPending
            if not _are_right(pending, untrusted_words):
                raise WordsDiffer
            choice = Choice(
                public_key=pending.key.public,
                needed=pending.needed,
                sheets=len(pending.sheets),
                at_ms=self._clock.now_ms(),
            )
            self._put_on_disk(pending.key)
            self._ring.change(lambda now: with_choice(now, choice))
            self._disk_is_shut = False
            self._confirmed = visitor.account, tuple(untrusted_words)
            with self._lock:
                if self._pending is pending:
                    self._pending = None
        notes: dict[str, str | int] = {"needed": choice.needed, "sheets": choice.sheets}
        self._journal.append(Act.RECOVERY_SET_UP, by=visitor.account, notes=notes)
        self.when_decided()

    def decline(self, visitor: Visitor, password: str) -> None:
        """Have none: a key that there was opens nothing that is recorded from now on."""
        self._must_be(visitor, password)
        with self._deciding:
            with self._lock:
                self._pending = None
            self._ring.change(lambda now: with_choice(now, Choice(at_ms=self._clock.now_ms())))
        self._journal.append(Act.RECOVERY_DECLINED, by=visitor.account)
        self.when_decided()

    def drop_unconfirmed(self) -> None:
        """Words that nobody has confirmed in time are not kept, whether somebody asks for them or not."""
        with self._lock:
            self._drop_if_late()

    def tidy_disk(self) -> None:
        """Take from the disk what opened it before, and see that it opens with what counts."""
        if self._disk_key is None:
            return
        with self._deciding:
            choice = choice_of(self._ring.contents)
            request = KeepKeySlot(public_key=choice.public_key.hex() if choice else None)
            try:
                there = ask_helper(self._disk_key, request, timeout_s=_SLOTS_ARE_TIDY_WITHIN_S).yes
            except StorageTrouble as trouble:
                self._log.error("disk_key_unknown", why=str(trouble))
                return
            self._disk_is_shut = bool(choice) and not there

    def _put_on_disk(self, key: RecoveryKey) -> None:
        if self._disk_key is None:
            return
        request = PutKeySlot(public_key=key.public.hex(), passphrase=key.disk_passphrase)
        try:
            ask_helper(self._disk_key, request, timeout_s=_SLOT_IS_PUT_WITHIN_S)
        except StorageTrouble as trouble:
            self._log.error("disk_key_refused", why=str(trouble))
            self.when_decided()  # it may have been put all the same
            raise DiskRefused from trouble

    def note_drill(self, call: CallId) -> None:
        """Somebody has opened this call with the words, on the console."""
        self._journal.append(Act.RECOVERY_DRILLED, by="console", ids=(call,))
        self._drilled_at_ms = self._clock.now_ms()

    def _must_be(self, visitor: Visitor, password: str) -> None:
        # A login that was left open, or stolen, must not be enough to get at words that open everything.
        visitor.require(Right.SET_UP_RECOVERY)
        self._accounts.check_password(visitor, password)

    def _pending_of(self, visitor: Visitor) -> _Pending | None:
        self._drop_if_late()
        pending = self._pending
        return pending if pending is not None and pending.account == visitor.account else None

    def _drop_if_late(self) -> None:
        if self._pending is not None and self._steady_s() >= self._pending.until_s:
            self._pending = None


def _asked(sheets: int) -> tuple[verbs.AskedWord, ...]:
    draw = random.SystemRandom()
    each = _ASKED_OF_ONE if sheets == 1 else _ASKED_OF_EACH
    return tuple(
        verbs.AskedWord(sheet=sheet, word=word)
        for sheet in range(1, sheets + 1)
        for word in sorted(draw.sample(range(1, WORDS_A_SHEET + 1), each))
    )


def _are_right(pending: _Pending, untrusted_words: Sequence[str]) -> bool:
    shown = [pending.sheets[asked.sheet - 1].split()[asked.word - 1] for asked in pending.asked]
    typed = [word.strip().lower() for word in untrusted_words]
    return hmac.compare_digest(" ".join(shown).encode(), " ".join(typed).encode())
