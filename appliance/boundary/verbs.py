"""Every message the vault understands, who may send it, and what comes back.

This is the whole of what crosses the line to the part that holds the keys: read it as a list of rights.
A request is a tagged struct, its class the verb; `CALLERS` says which daemon may send it, `ANSWERS` what it
gets. Times are UTC milliseconds since 1970. `login` is the secret token of a person's login: the web process
carries it, the vault decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from appliance.terms import MOST_LINES, AccountId, CallId, LineName, LineNowState, NotKept, Order

Token = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
# \Z and not $, which lets a line end pass.
ACall = Annotated[CallId, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
ALine = Annotated[LineName, Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
AnOrder = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
AnErasure = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
ADirection = Annotated[str, Meta(pattern=r"\A(in|out|unknown)\Z")]
ANumber = Annotated[str, Meta(max_length=32, pattern=r"\A[0-9A-D*#]*\Z")]
"""As it was dialled or sent; empty if it is not known."""


PIN_MIN_LENGTH = 4
MAX_HOLD_REASON = 200
Pin = Annotated[str, Meta(min_length=1, max_length=1024)]
NewPin = Annotated[str, Meta(min_length=PIN_MIN_LENGTH, max_length=1024)]


class Caller(StrEnum):
    """Who is at the other end: one socket each, and the kernel's word for the user behind it."""

    RECORDER = "recorder"
    WEBUI = "webui"
    CONSOLE = "console"
    """The person at the box's own shell: root, or the user under whom the box runs."""


class Request(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Base of all requests. Shows no field: what a person types and a login's token must not reach a log."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class Answer(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Base of all answers."""


class Done(Answer, frozen=True):
    """It is done."""


class Refused(Answer, frozen=True):
    """Not done. The sentence is for the person; `kind` and `facts` let a page say it in their language."""

    kind: str
    sentence: str
    facts: dict[str, str | int] = {}


# --- the recorder's verbs -------------------------------------------------------------------------------


class IssueCall(Request, frozen=True):
    """Give me the id and key of a call yet to come."""

    line: ALine


class IssuedCall(Answer, frozen=True):
    call: ACall
    key: bytes

    def __repr__(self) -> str:
        return f"IssuedCall(call={self.call!r}, key=<secret>)"


class BeginCall(Request, frozen=True):
    """The line lives: recording of this call has begun."""

    call: ACall
    line: ALine
    started_at_ms: Count


class NoteParty(Request, frozen=True):
    """Who is at the other end of a running call, as far as it was heard; told again when more is known."""

    call: ACall
    direction: ADirection
    number: ANumber


class ReportGap(Request, frozen=True):
    """Frames of a running call are missing; told at once, so that a crash does not lose the fact.

    A gap that goes on is told again as it grows.
    """

    call: ACall
    at_frame: Count
    frames: Count
    why: Annotated[str, Meta(max_length=32)]


class FinishCall(Request, frozen=True):
    """The recording is closed and its file let go; all facts are in its closing record."""

    call: ACall


class DropCall(Request, frozen=True):
    """Forget this running call: the recorder has let go of its file, in which no audio is left."""

    call: ACall
    why: NotKept


class AskToKeep(Request, frozen=True):
    """Somebody on the line, or at the page, asks that this running call be kept longer. May be repeated."""

    call: ACall


class NoteUnrecorded(Request, frozen=True):
    """A call was on the line of which nothing is kept but that. `call`: issued for this line, and used for no other.

    number: empty if it is not known, or not to be kept.
    """

    call: ACall
    line: ALine
    started_at_ms: Count
    length_ms: Count
    direction: ADirection
    number: ANumber
    why: NotKept


class ReportCase(Request, frozen=True):
    """What the switch of the case did since the last report that was answered.

    is_open: now; None: it cannot be read, and trouble says why.
    found_open: it stood open when the recorder began to look.
    openings: seen since; many are told at once, so that a switch that chatters makes few reports.
    since_ms: when the first of this happened, by the recorder's clock.
    """

    is_open: bool | None
    found_open: bool
    openings: Count
    since_ms: Count
    trouble: Annotated[str, Meta(max_length=400)] = ""


def joined(before: ReportCase | None, after: ReportCase) -> ReportCase:
    """One report of both."""
    if before is None:
        return after
    return ReportCase(
        is_open=after.is_open,
        found_open=before.found_open or after.found_open,
        openings=before.openings + after.openings,
        since_ms=before.since_ms,
        trouble=after.trouble,
    )


class LineNow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line at this moment: `level_dbfs` the loudest since the last beat, trouble a sentence or empty.

    call: the one that is being recorded.  started_at_ms: of the call on the line, the same from its answer to its end,
    whatever its state; it is what tells one call from the next.  keep_asked: somebody has asked to keep it longer.
    """

    line: ALine
    level_dbfs: Annotated[float, Meta(ge=-200, le=10)]
    state: LineNowState = LineNowState.IDLE
    call: ACall | None = None
    started_at_ms: Count = 0
    trouble: Annotated[str, Meta(max_length=400)] = ""
    keep_asked: bool = False


FITTING_ORDERS: dict[LineNowState, tuple[Order, ...]] = {
    LineNowState.WAITING: (Order.CONFIRM, Order.FORGET),
    LineNowState.RECORDING: (Order.PAUSE, Order.KEEP, Order.FORGET),
    LineNowState.PAUSED: (Order.RESUME, Order.KEEP, Order.FORGET),
}
"""What can be asked for in which state; in all others nothing."""


def fitting_orders(now: LineNow) -> tuple[Order, ...]:
    """What can be asked for now; to keep the call longer only once."""
    fitting = FITTING_ORDERS.get(now.state, ())
    return tuple(order for order in fitting if not (order is Order.KEEP and now.keep_asked))


class Heartbeat(Request, frozen=True):
    """The lines now, and the orders that came with the last answer: until they are named here, they come again."""

    lines: Annotated[tuple[LineNow, ...], Meta(max_length=MOST_LINES)]
    heard: Annotated[tuple[AnOrder, ...], Meta(max_length=256)] = ()


class OrderFor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to the call that began on this line at that time; for any other call it means nothing."""

    name: AnOrder
    line: ALine
    order: Order
    started_at_ms: Count


class Orders(Answer, frozen=True):
    """claimed: the box has an owner."""

    orders: tuple[OrderFor, ...]
    claimed: bool


# --- the web page's verbs -------------------------------------------------------------------------------


class AskClaimed(Request, frozen=True):
    """Does the box have an owner already?"""


class Claimed(Answer, frozen=True):
    claimed: bool


class Claim(Request, frozen=True):
    """Make me the owner: the code from the label, and the name and password I choose."""

    code: Annotated[str, Meta(max_length=64)]
    name: Name
    password: Password


class LogIn(Request, frozen=True):
    name: Name
    password: Password


class LoggedIn(Answer, frozen=True):
    login: Token
    ends_at_ms: Count

    def __repr__(self) -> str:
        return "LoggedIn(login=<secret>)"


class LogOut(Request, frozen=True):
    login: Token


class AskWho(Request, frozen=True):
    """Whose login is this? Refused when it has ended. `in_person`: False for what an open page asks by itself."""

    login: Token
    in_person: bool = True


class Person(Answer, frozen=True):
    account: AccountId
    name: str


class ChangePassword(Request, frozen=True):
    """Log in with another password from now on; every login of this person ends, and another takes this one's place."""

    login: Token
    password: Password
    fresh: Password


class ListCalls(Request, frozen=True):
    """A page of finished calls, also those that were not recorded, newest first.

    `before_ms`/`before_call` come from the page above.
    """

    login: Token
    in_person: bool = True
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    before_ms: Count | None = None
    before_call: ACall | None = None
    line: ALine | None = None
    number: Annotated[str, Meta(max_length=32)] = ""
    longer: bool = False
    """Only those that somebody has asked to be kept longer, or that are held."""


class CallFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    due_at_ms: when it goes, as things stand: the end of its period, or of a hold or an open request that lasts longer.
    not_kept: why nothing was recorded (a `NotKept`); empty if there is a recording.
    hold_until_ms: 0: not held.
    keep_asked_at_ms: of an open request to keep it longer; 0: on a clock that was not right; None: there is none.
    """

    call: CallId
    line: LineName
    started_at_ms: int
    length_ms: int
    direction: str
    due_at_ms: int
    number: str
    ended: str
    gaps: int
    lost_ms: int
    not_kept: str = ""
    hold_until_ms: int = 0
    keep_asked_at_ms: int | None = None


class CallPage(Answer, frozen=True):
    calls: tuple[CallFacts, ...]
    more: bool


class OpenCall(Request, frozen=True):
    """All that is known of one finished call, to show its page. Does not open the audio; there may be none."""

    login: Token
    call: ACall


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the box has signed about a call. `root`: the fingerprint on the label, 64 hexadecimal digits."""

    root: str = ""
    is_signed: bool = False
    day: str = ""
    """The UTC day in which the call is counted, 2026-11-27; empty if it has no number."""
    number: int = 0
    day_is_signed: bool = False


class OpenedCall(Answer, frozen=True):
    facts: CallFacts
    audio_bytes: int
    frames: int
    peaks: bytes
    """For each channel two signed bytes (lowest, highest) a column, the whole call in at most 800 columns."""
    gaps: tuple[tuple[int, int, str], ...]
    """First frame, frames, why."""
    ground: str = ""
    """Why the line was recorded, in the owner's words."""
    consent_by: str = ""
    """What proves that the call may be kept, as `ConsentBy`; empty if its recording does not say it."""
    consent_at_ms: int = 0
    channels: int = 1
    """Two: the near side on the left, the far side on the right."""
    evidence: Evidence = Evidence()
    hold_reason: str = ""
    """Empty if it is not held, or its reason was lost (in a power cut, or with the catalogue)."""
    held_since_ms: int = 0


class Purpose(StrEnum):
    LISTEN = "listen"
    DOWNLOAD = "download"
    EVIDENCE = "evidence"


class Read(Request, frozen=True):
    """Bytes of a call's Ogg stream. The first reading of an account and purpose is journalled as an opening."""

    login: Token
    call: ACall
    offset: Count
    length: Annotated[int, Meta(ge=1, le=1024 * 1024)]
    purpose: Purpose


class ReadBytes(Answer, frozen=True):
    audio: bytes
    total_bytes: int

    def __repr__(self) -> str:
        return f"ReadBytes({len(self.audio)} of {self.total_bytes} bytes)"


class ExportEvidence(Request, frozen=True):
    """Hand out what proves this call, or its line's whole day; journalled at once for every call in it."""

    login: Token
    call: ACall
    whole_day: bool = False


class ExportedCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call in an export, and the folder for it. Its statement and its audio are read one by one."""

    call: CallId
    folder: str
    audio_bytes: int


class ExportedEvidence(Answer, frozen=True):
    line: str
    day: str
    calls: tuple[ExportedCall, ...]
    files: dict[str, bytes]
    """All that goes into the export but the calls themselves, by the names that they have in it."""

    def __repr__(self) -> str:
        return f"ExportedEvidence({len(self.calls)} calls)"


class ReadStatement(Request, frozen=True):
    """The signed statement about a call; belongs to an export, or is journalled as one."""

    login: Token
    call: ACall


class SignedStatement(Answer, frozen=True):
    statement: bytes
    attest: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"SignedStatement({len(self.statement)} bytes)"


class EraseCall(Request, frozen=True):
    """Forget this call now. Answered when its key is gone."""

    login: Token
    call: ACall


class Erased(Answer, frozen=True):
    """erasure: its name; empty if another request was quicker.  is_signed: whether its receipt is there already."""

    erasure: str
    is_signed: bool


class HoldCall(Request, frozen=True):
    """Do not erase this finished call before that moment, whatever happens; in the place of a hold that it has."""

    login: Token
    call: ACall
    until_ms: Count
    reason: Annotated[str, Meta(min_length=1, max_length=MAX_HOLD_REASON)]


class LiftHold(Request, frozen=True):
    """This call is erased as if it had never been held."""

    login: Token
    call: ACall


class DismissKeep(Request, frozen=True):
    """Nobody keeps this call longer, though somebody asked for it."""

    login: Token
    call: ACall


class ListErasures(Request, frozen=True):
    """A page of requests to forget, newest first; `before_ms`/`before_erasure` come from the page above."""

    login: Token
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    before_ms: Count | None = None
    before_erasure: AnErasure | None = None


class ErasureFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """why: "period", "asked", "nothing_recorded", "dropped", "forgotten_before".

    done_at_ms: 0 until the keys are gone.
    is_signed: whether there is a receipt.
    """

    erasure: str
    asked_at_ms: int
    done_at_ms: int
    why: str
    calls: int
    is_signed: bool


class ErasurePage(Answer, frozen=True):
    erasures: tuple[ErasureFacts, ...]
    more: bool


class ExportReceipt(Request, frozen=True):
    """Hand out the signed receipt of an erasure; journalled."""

    login: Token
    erasure: AnErasure


class ExportedReceipt(Answer, frozen=True):
    """All that goes into the export, by the names that it has there."""

    files: dict[str, bytes]

    def __repr__(self) -> str:
        return f"ExportedReceipt({len(self.files)} files)"


class ListActs(Request, frozen=True):
    """A page of the journal, newest first; `before` comes from the page above."""

    login: Token
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    before: Count | None = None
    people_only: bool = False
    """Leave out what the box did by itself."""


class ActFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    by: an account's id, or a part of the product; name: of that account, else empty.
    call: the call that it was done to, if it was one; calls: to how many.
    """

    number: int
    at_ms: int
    act: str
    by: str
    name: str
    call: str
    calls: int
    notes: dict[str, str | int]


class ActPage(Answer, frozen=True):
    """before: for the next page; None on the last one."""

    acts: tuple[ActFacts, ...]
    before: int | None


class ExportJournal(Request, frozen=True):
    """Journal that it is exported, and have the TPM sign that as its head."""

    login: Token


class ExportedJournal(Answer, frozen=True):
    """All that goes into the export, by the names that it has there.

    lengths: of the files that ReadJournal hands out piece by piece; more may be written to them meanwhile.
    """

    lengths: dict[str, int]
    files: dict[str, bytes]

    def __repr__(self) -> str:
        return f"ExportedJournal({len(self.files)} files)"


class ReadJournal(Request, frozen=True):
    """Bytes of the journal, or of its signed heads."""

    login: Token
    file: Annotated[str, Meta(pattern=r"\A(journal|heads)\.jsonl\Z")]
    offset: Count
    length: Annotated[int, Meta(ge=1, le=1024 * 1024)]


class JournalBytes(Answer, frozen=True):
    content: bytes

    def __repr__(self) -> str:
        return f"JournalBytes({len(self.content)} bytes)"


class AskNow(Request, frozen=True):
    """The lines at this moment, and the numbers of the first page."""

    login: Token


class OrderLine(Request, frozen=True):
    """Tell the recorder what is to become of the call on this line: of the one that the person saw."""

    login: Token
    line: ALine
    order: Order
    started_at_ms: Count


class BackupFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The backup that the settings want. made_at_ms: 0 if there is none yet.  waiting: forgotten calls that it has yet
    to be told of."""

    made_at_ms: Count
    failed: bool
    late: bool
    waiting: Count


class RecoveryChoice(StrEnum):
    """What the owner decided."""

    OPEN = "open"
    """Nothing yet."""
    KEY = "key"
    SHUT = "shut"
    """A key, but the disk of the box does not open with it."""
    NONE = "none"


class CaseNow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the switch of the case says.

    is_open: None if that is not known; trouble may say why.
    openings: that nobody has acknowledged, the last of them noted at opened_at_ms.  counted: all that ever were.
    """

    is_open: bool | None
    openings: Count
    counted: Count
    opened_at_ms: Count
    trouble: str = ""


class Now(Answer, frozen=True):
    lines: tuple[LineNow, ...]
    recorder_alive: bool
    kept_calls: int
    newest_change: int
    """Grows whenever the list of finished calls changes, so that a page knows when to load it again."""
    overdue_calls: int
    clock_trouble: str
    keep_s: int
    free_bytes: int
    unreadable_calls: int
    recovery: RecoveryChoice
    backup: BackupFacts | None = None
    keep_requests: int = 0
    """Finished calls that somebody has asked to be kept longer, and nobody has decided."""
    held_calls: int = 0
    case: CaseNow | None = None
    """None if the case has no switch."""


class AcknowledgeOpenings(Request, frozen=True):
    """I have seen that the case was opened: so often, of all times ever, as `CaseNow.counted` told it."""

    login: Token
    counted: Count


class AskRecovery(Request, frozen=True):
    """Is there a recovery key, and which words are still asked for?"""

    login: Token


class AskedWord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both counted from 1."""

    sheet: Count
    word: Count


class RecoveryState(Answer, frozen=True):
    """needed of sheets open it; at_ms: decided then; drilled_at_ms: last tried since, 0: never.

    asked: words to be typed before a key that was shown becomes the box's own; none: none waits.
    by_stick: nobody can type a command on this box, so the words would come on a USB stick.
    """

    choice: RecoveryChoice
    by_stick: bool = False
    needed: Count = 0
    sheets: Count = 0
    at_ms: Count = 0
    drilled_at_ms: Count = 0
    asked: tuple[AskedWord, ...] = ()


class BeginRecovery(Request, frozen=True):
    """Make a recovery key and show me its words: this once."""

    login: Token
    password: Password
    needed: Annotated[int, Meta(ge=1, le=16)]
    sheets: Annotated[int, Meta(ge=1, le=16)]


class RecoverySheets(Answer, frozen=True):
    """A sheet: 33 words with a blank between them."""

    sheets: tuple[str, ...]

    def __repr__(self) -> str:
        return "RecoverySheets(<secret>)"


class ConfirmRecovery(Request, frozen=True):
    """The words that were asked for, in that order. Right ones make the key the box's own."""

    login: Token
    words: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=32)]


class DeclineRecovery(Request, frozen=True):
    """No recovery key: when the box is dead, its recordings are."""

    login: Token
    password: Password


# --- the console's verbs --------------------------------------------------------------------------------


class Unlock(Request, frozen=True):
    """The PIN of a box that has one, after its start. Also from the web page: whoever is there has no shell."""

    pin: Pin


class AskPin(Request, frozen=True):
    """Whether the box asks for a PIN at its start."""

    login: Token


class PinState(Answer, frozen=True):
    is_set: bool


class ChoosePin(Request, frozen=True):
    """As SetPin, by a person, whose password is asked for: with a login alone nobody locks the box."""

    login: Token
    password: Password
    pin: NewPin | None


class SetPin(Request, frozen=True):
    """Ask for this PIN at every start from now on; None: for none."""

    pin: NewPin | None


class Check(Request, frozen=True):
    """Compare every recording, key, row and the journal with each other."""


class CheckFindings(Answer, frozen=True):
    """findings: what is wrong; notes: what is not wrong and should be known."""

    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()


class MakeBackup(Request, frozen=True):
    """Begin a backup now, unless one runs. `to`: the directory; empty: where the settings want it."""

    to: Annotated[str, Meta(max_length=1024)] = ""


class AskBackup(Request, frozen=True):
    """How far is it?"""


class BackupState(Answer, frozen=True):
    """A backup that runs, or the last that ran since the vault's start.

    seen, calls: recordings looked at, of how many.  made_at_ms: 0 unless it is whole.  trouble: why it failed.
    not_copied: a sentence each.
    """

    running: bool
    seen: Count = 0
    calls: Count = 0
    made_at_ms: Count = 0
    trouble: str = ""
    not_copied: tuple[str, ...] = ()


class NoteDrill(Request, frozen=True):
    """This call was opened with the recovery words, for a trial."""

    call: ACall


class AskLabel(Request, frozen=True):
    """What stands on the label of this box, for who has it before them."""


class Label(Answer, frozen=True):
    """
    claim_code: empty once the box has an owner.
    page_issuer: the certificate that vouches for the web page, as PEM.
    page_fingerprint, box_fingerprint: SHA-256 in hexadecimal, of that, and of the one for what the TPM signs.
    """

    claim_code: str
    page_fingerprint: str
    page_issuer: str
    box_fingerprint: str

    def __repr__(self) -> str:
        return "Label(...)"


class SignJournal(Request, frozen=True):
    """As ExportJournal, for who may read the files."""


class SignedJournal(Answer, frozen=True):
    """So much of the journal and of its heads belongs to the export; more may follow meanwhile."""

    journal_bytes: int
    heads_bytes: int


RECORDER, WEBUI, CONSOLE = Caller.RECORDER, Caller.WEBUI, Caller.CONSOLE

CALLERS: dict[type[Request], frozenset[Caller]] = {
    IssueCall: frozenset({RECORDER}),
    BeginCall: frozenset({RECORDER}),
    NoteParty: frozenset({RECORDER}),
    ReportGap: frozenset({RECORDER}),
    FinishCall: frozenset({RECORDER}),
    DropCall: frozenset({RECORDER}),
    AskToKeep: frozenset({RECORDER}),
    NoteUnrecorded: frozenset({RECORDER}),
    ReportCase: frozenset({RECORDER}),
    Heartbeat: frozenset({RECORDER}),
    AskClaimed: frozenset({WEBUI}),
    Claim: frozenset({WEBUI}),
    LogIn: frozenset({WEBUI}),
    LogOut: frozenset({WEBUI}),
    AskWho: frozenset({WEBUI}),
    ChangePassword: frozenset({WEBUI}),
    ListCalls: frozenset({WEBUI}),
    OpenCall: frozenset({WEBUI}),
    Read: frozenset({WEBUI}),
    ExportEvidence: frozenset({WEBUI}),
    ReadStatement: frozenset({WEBUI}),
    EraseCall: frozenset({WEBUI}),
    HoldCall: frozenset({WEBUI}),
    LiftHold: frozenset({WEBUI}),
    DismissKeep: frozenset({WEBUI}),
    ListErasures: frozenset({WEBUI}),
    ExportReceipt: frozenset({WEBUI}),
    ListActs: frozenset({WEBUI}),
    ExportJournal: frozenset({WEBUI}),
    ReadJournal: frozenset({WEBUI}),
    AskNow: frozenset({WEBUI}),
    OrderLine: frozenset({WEBUI}),
    AcknowledgeOpenings: frozenset({WEBUI}),
    Unlock: frozenset({WEBUI, CONSOLE}),
    AskRecovery: frozenset({WEBUI}),
    BeginRecovery: frozenset({WEBUI}),
    ConfirmRecovery: frozenset({WEBUI}),
    DeclineRecovery: frozenset({WEBUI}),
    NoteDrill: frozenset({CONSOLE}),
    AskPin: frozenset({WEBUI}),
    ChoosePin: frozenset({WEBUI}),
    SetPin: frozenset({CONSOLE}),
    Check: frozenset({CONSOLE}),
    SignJournal: frozenset({CONSOLE}),
    MakeBackup: frozenset({CONSOLE}),
    AskBackup: frozenset({CONSOLE}),
    AskLabel: frozenset({CONSOLE}),
}

ANSWERS: dict[type[Request], type[Answer]] = {
    IssueCall: IssuedCall,
    BeginCall: Done,
    NoteParty: Done,
    ReportGap: Done,
    FinishCall: Done,
    DropCall: Done,
    AskToKeep: Done,
    NoteUnrecorded: Done,
    ReportCase: Done,
    Heartbeat: Orders,
    AskClaimed: Claimed,
    Claim: LoggedIn,
    LogIn: LoggedIn,
    LogOut: Done,
    AskWho: Person,
    ChangePassword: LoggedIn,
    ListCalls: CallPage,
    OpenCall: OpenedCall,
    Read: ReadBytes,
    ExportEvidence: ExportedEvidence,
    ReadStatement: SignedStatement,
    EraseCall: Erased,
    HoldCall: Done,
    LiftHold: Done,
    DismissKeep: Done,
    ListErasures: ErasurePage,
    ExportReceipt: ExportedReceipt,
    ListActs: ActPage,
    ExportJournal: ExportedJournal,
    ReadJournal: JournalBytes,
    AskNow: Now,
    OrderLine: Done,
    AcknowledgeOpenings: Done,
    Unlock: Done,
    AskRecovery: RecoveryState,
    BeginRecovery: RecoverySheets,
    ConfirmRecovery: Done,
    DeclineRecovery: Done,
    NoteDrill: Done,
    AskPin: PinState,
    ChoosePin: Done,
    SetPin: Done,
    Check: CheckFindings,
    SignJournal: SignedJournal,
    MakeBackup: BackupState,
    AskBackup: BackupState,
    AskLabel: Label,
}
