"""May this call be kept? From its answer on, until there is a ground or there can be none.

Pure: what was heard goes in, a decision comes out, and no decision but one is ever taken back: that nothing may be
kept ends everything. Unclear means closed.

    at the answer     number never recorded, line private now        nothing is kept
                      number with a standing consent, line on duty   kept
                      else                                           waits, audio in memory only
    while it waits    own side's code or button for a spoken yes     kept
                      opt_in: key for yes                            kept
                      announced: heard to its end                    kept
                      the same, where the box itself played it:
                      and then somebody speaks                       kept
                      key for no, time over, call over, audio lost   nothing is kept
    in its first minute   a fax machine                              nothing is kept, and what is recorded is forgotten
    at any time       number turns out to be listed                  the same
                      own side says forget                           the same

Who plays an announcement knows when the other side hangs up, and stops. The box does not: it may drown the busy tone,
or play on where both have hung up. So the end of its own announcement alone proves nothing; a voice after it does. If
nobody says a word after it, there was nothing to keep.

Whoever presses the key for yes is not known on a two-wire line. What the key proves is that it was pressed. Where the
sides are apart the keys are the far side's word: yes only if it clearly came from there, no unless it clearly did not.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.recorder.ear.announcement import AnnouncementHeard
from appliance.recorder.ear.keys import Side
from appliance.recorder.line.number_list import NumberList
from appliance.recorder.line.party import Party
from appliance.recorder.line.star_codes import PlainKey
from appliance.settings import ConsentMode, CountryCode, LineSettings
from appliance.terms import RATE_HZ, ConsentBy, NotKept

_FAX_WITHIN_FRAMES = 60 * RATE_HZ
_VOICE_AFTER_FRAMES = RATE_HZ // 2
"""The announcement's last sound may be taken for speech a little longer."""
_VOICE_FRAMES = 6 * RATE_HZ // 10
_VOICE_PAUSE_FRAMES = RATE_HZ // 2
"""So much speech after it, with no longer pause in it. The bursts of a tone pass for speech at their beginnings until
it is known: that is less, in every country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRules:
    """What a line's settings say. within: frames from the answer on. plays: the box itself plays the announcement."""

    mode: ConsentMode
    yes_key: str
    no_key: str
    within: int
    never: NumberList
    always: NumberList
    keep_fax: bool
    plays: bool = False


def consent_rules(line: LineSettings, country: CountryCode) -> ConsentRules:
    return ConsentRules(
        mode=line.consent,
        yes_key=line.yes_key,
        no_key=line.no_key,
        within=round(line.consent_within_s * RATE_HZ),
        never=NumberList(line.never_numbers, country),
        always=NumberList(line.always_numbers, country),
        keep_fax=line.keep_fax,
        plays=line.plays_announcement,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The call may be kept, from its beginning on. at_frame: when that was so."""

    at_frame: int
    by: ConsentBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing of the call may be kept."""

    at_frame: int
    why: NotKept


Decision = Granted | Refused


class ConsentGate:
    """One call. Each method returns the decision that it brings, or None if it brings none."""

    def __init__(self, rules: ConsentRules) -> None:
        self._rules = rules
        self._decided: Decision | None = None
        self._answered_frame = self._until_frame = 0
        self._heard_share = 0.0
        self._announced_frame: int | None = None
        """Where the announcement ended that the box has played."""
        self._voice_frames = 0
        """In a row after that, up to this frame."""
        self._voice_end_frame = 0

    @property
    def is_open(self) -> bool:
        """The call may be kept."""
        return isinstance(self._decided, Granted)

    @property
    def waits(self) -> bool:
        return self._decided is None

    @property
    def refused(self) -> Refused | None:
        return self._decided if isinstance(self._decided, Refused) else None

    def answer(self, at_frame: int, party: Party, *, private: bool) -> Decision | None:
        """The call begins here."""
        self._answered_frame, self._until_frame = at_frame, at_frame + self._rules.within
        if self._rules.never.covers(party.number, withheld=party.withheld):
            return self._refuse(at_frame, NotKept.NUMBER_LISTED)
        if private or self._rules.mode == "never":
            return self._refuse(at_frame, NotKept.PRIVATE)
        if self._rules.mode == "duty" or self._rules.always.covers(party.number, withheld=party.withheld):
            return self._grant(at_frame, ConsentBy.DUTY)
        return None

    def know(self, at_frame: int, party: Party) -> Decision | None:
        """More is known of who is at the other end."""
        if self._rules.never.covers(party.number, withheld=party.withheld):
            return self._refuse(at_frame, NotKept.NUMBER_LISTED)
        return None

    def join_late(self, at_frame: int) -> Decision | None:
        """The call may have been on the line before anybody listened: a no may be behind, and the number unheard.

        What is recorded by duty goes on, unless there are numbers that must not be.
        """
        if self._rules.mode == "duty" and self._rules.never.is_empty:
            return None
        return self._refuse(at_frame, NotKept.DOUBT)

    def hear_key(self, key: PlainKey) -> Decision | None:
        if self._rules.mode != "opt_in" or not self._is_in_time(key.at_frame):
            return None
        if key.digit == self._rules.no_key and key.side is not Side.NEAR:
            return self._refuse(key.at_frame, NotKept.REFUSED)
        agrees = key.digit == self._rules.yes_key and key.side in (Side.LINE, Side.FAR)
        return self._grant(key.at_frame, ConsentBy.KEY) if agrees else None

    def hear_announcement(self, heard: AnnouncementHeard) -> Decision | None:
        self._heard_share = max(self._heard_share, heard.share)
        in_time = self.waits and heard.at_frame <= self._until_frame
        if self._rules.mode != "announced" or not heard.whole or not in_time:
            return None
        if self._rules.plays:
            self._announced_frame = heard.at_frame
            return None
        return self._grant(heard.at_frame, ConsentBy.ANNOUNCEMENT)

    def hear_voice(self, first_frame: int, end_frame: int) -> Decision | None:
        """Between these frames somebody speaks, and it is nothing else."""
        announced = self._announced_frame
        if announced is None or first_frame < announced + _VOICE_AFTER_FRAMES or not self._is_in_time(end_frame):
            return None
        if first_frame - self._voice_end_frame > _VOICE_PAUSE_FRAMES:
            self._voice_frames = 0
        self._voice_frames += end_frame - first_frame
        self._voice_end_frame = end_frame
        return self._grant(end_frame, ConsentBy.ANNOUNCEMENT) if self._voice_frames >= _VOICE_FRAMES else None

    def confirm(self, at_frame: int) -> Decision | None:
        """The own side says that the other one has agreed."""
        return self._grant(at_frame, ConsentBy.AGENT) if self._is_in_time(at_frame) else None

    def forget(self, at_frame: int) -> Decision | None:
        return self._refuse(at_frame, NotKept.FORGOTTEN)

    def hear_fax(self, at_frame: int) -> Decision | None:
        """Machines show themselves soon. Later a whistle must not be able to destroy what is kept."""
        if self._rules.keep_fax or (self.is_open and at_frame > self._answered_frame + _FAX_WITHIN_FRAMES):
            return None
        return self._refuse(at_frame, NotKept.FAX)

    def lose(self, at_frame: int) -> Decision | None:
        """Frames are missing: a refusal may have been among them."""
        return self._refuse(at_frame, NotKept.DOUBT) if self.waits else None

    def wait(self, at_frame: int) -> Decision | None:
        """It is now this late."""
        if not self.waits or at_frame <= self._until_frame:
            return None
        return self._refuse(at_frame, NotKept.HALF_HEARD if self._heard_share else NotKept.TIMED_OUT)

    def end(self, at_frame: int) -> Decision | None:
        """The call is over."""
        if not self.waits:
            return None
        announced = self._rules.mode == "announced"
        return self._refuse(at_frame, NotKept.HALF_HEARD if announced else NotKept.REFUSED)

    def _is_in_time(self, frame: int) -> bool:
        """Whether the call waits, and waited then."""
        return self.waits and self._answered_frame <= frame <= self._until_frame

    def _grant(self, at_frame: int, by: ConsentBy) -> Granted | None:
        if not self.waits:
            return None
        self._decided = granted = Granted(at_frame=at_frame, by=by)
        return granted

    def _refuse(self, at_frame: int, why: NotKept) -> Refused | None:
        if isinstance(self._decided, Refused):
            return None
        self._decided = refused = Refused(at_frame=at_frame, why=why)
        return refused
