"""The verbs over a whole box, on real sockets: an owner's day, and what a stranger's token may do."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.boundary.peer import Listener
from appliance.boundary.vault import VaultClient, VaultRefused
from appliance.recordings.reader import RecordingReader
from appliance.terms import CallId, LineNowState, NotAllowed, Order
from appliance.vault.box import Box
from appliance.vault.catalogue import Catalogue
from appliance.vault.rights import RIGHTS, Right, Role
from appliance.vault.service import Service, fault_reporter
from tests.vault.box_house import LINE, OWNER, PASSWORD, BoxHouse, acts_of, kept_call, written_call

STRANGER = "S" * 43


@pytest.fixture(scope="module")
def clients(house: BoxHouse, box: Box) -> Iterator[dict[verbs.Caller, VaultClient]]:
    handlers, faults = Service(box).handlers(), list[BaseException]()
    paths = {caller: house.settings().vault_socket(caller) for caller in verbs.Caller}
    listeners = [Listener(paths[caller], caller, os.geteuid(), handlers, faults.append) for caller in paths]
    for listener in listeners:
        listener.start()
    clients = {caller: VaultClient(path) for caller, path in paths.items()}
    yield clients
    for client in clients.values():
        client.close()
    for listener in listeners:
        listener.stop()
    assert faults == []


@pytest.fixture(scope="module")
def web(clients: dict[verbs.Caller, VaultClient]) -> VaultClient:
    return clients[verbs.Caller.WEBUI]


@pytest.fixture(scope="module")
def login(box: Box, web: VaultClient) -> str:
    assert not web.is_claimed()
    token = web.claim(box.accounts.claim_code() or "", "Ada", PASSWORD).login
    assert web.is_claimed()
    return token


def test_every_verb_has_its_handler(box: Box) -> None:
    assert set(Service(box).handlers()) == set(verbs.CALLERS)


def test_a_call_goes_from_the_recorder_to_the_page_and_away(
    box: Box, clients: dict[verbs.Caller, VaultClient], web: VaultClient, login: str
) -> None:
    call = written_call(box)
    clients[verbs.Caller.RECORDER].finish_call(call)
    clients[verbs.Caller.RECORDER].finish_call(call)
    assert [facts.call for facts in web.list_calls(verbs.ListCalls(login=login)).calls] == [call]
    opened = web.open_call(login, call)
    assert (opened.frames, len(opened.peaks)) == (8000, 6)
    assert len(web.read(login, call, 0, 100_000, verbs.Purpose.LISTEN).audio) == opened.audio_bytes
    before = web.now(login)
    web.erase_call(login, call)
    after = web.now(login)
    assert (before.kept_calls, after.kept_calls) == (1, 0)
    assert after.newest_change > before.newest_change
    assert acts_of(box)[-4:] == ["call:erasure_asked", "calls:condemned", "ring:moved", "calls:forgotten"]
    with pytest.raises(VaultRefused) as refused:
        web.erase_call(login, call)
    assert refused.value.kind == "NoSuchCall"


def test_a_running_call_cannot_be_erased(box: Box, web: VaultClient, login: str) -> None:
    call, _key = box.intake.issue(LINE)
    with pytest.raises(VaultRefused) as refused:
        web.erase_call(login, call)
    assert refused.value.kind == "StillRunning"
    assert box.call_keys.can_open(call)


def beat(
    clients: dict[verbs.Caller, VaultClient], state: LineNowState, call: CallId | None = None, started_at_ms: int = 7
) -> list[Order]:
    now = verbs.LineNow(line=LINE, level_dbfs=-30.0, state=state, call=call, started_at_ms=started_at_ms)
    return [each.order for each in clients[verbs.Caller.RECORDER].heartbeat((now,)).orders]


def test_an_order_goes_from_the_page_to_the_recorder_and_into_the_journal_by_account(
    box: Box, clients: dict[verbs.Caller, VaultClient], web: VaultClient, login: str
) -> None:
    account = web.who(login).account
    assert beat(clients, LineNowState.WAITING) == []
    web.order_line(login, LINE, Order.CONFIRM, 7)
    entry = box.journal.last(Act.CALL_ORDERED)
    assert entry is not None
    assert (entry.by, entry.ids, entry.notes) == (account, (), {"order": "confirm", "started_at_ms": 7})
    assert beat(clients, LineNowState.WAITING) == [Order.CONFIRM]
    call = written_call(box)
    beat(clients, LineNowState.RECORDING, call)
    web.order_line(login, LINE, Order.FORGET, 7)
    entry = box.journal.last(Act.CALL_ORDERED)
    assert entry is not None
    assert (entry.ids, entry.notes["order"]) == ((call,), "forget")


def test_opening_of_the_case_goes_from_the_recorder_to_the_page_until_an_owner_knows_of_it(
    box: Box,
    clients: dict[verbs.Caller, VaultClient],
    web: VaultClient,
    login: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert web.now(login).case is None  # these settings name no switch
    report = verbs.ReportCase(is_open=True, found_open=False, openings=1, since_ms=1)
    clients[verbs.Caller.RECORDER].ask(report, verbs.Done)
    shown = web.now(login).case
    assert shown is not None
    assert (shown.is_open, shown.openings) == (True, 1)
    with monkeypatch.context() as patched:
        fewer = {Role.OWNER: RIGHTS[Role.OWNER] - {Right.ACKNOWLEDGE_OPENINGS}}
        patched.setattr("appliance.vault.accounts.RIGHTS", fewer)
        with pytest.raises(VaultRefused) as refused:
            web.acknowledge_openings(login, shown.counted)
        assert refused.value.kind == "NotAllowed"
    web.acknowledge_openings(login, shown.counted)
    assert web.now(login).case is None
    entry = box.journal.last(Act.CASE_ACKNOWLEDGED)
    assert entry is not None
    assert entry.by == web.who(login).account


def test_a_call_that_ends_before_the_recorder_hears_that_it_is_to_be_forgotten_is_not_kept(
    box: Box, clients: dict[verbs.Caller, VaultClient], web: VaultClient, login: str
) -> None:
    call = written_call(box)
    beat(clients, LineNowState.RECORDING, call, started_at_ms=9)
    web.order_line(login, LINE, Order.FORGET, 9)
    clients[verbs.Caller.RECORDER].finish_call(call)
    assert box.catalogue.was_forgotten(call)
    assert "call:kept" not in acts_of(box)[-5:]


def test_an_order_to_forget_that_comes_while_the_recording_is_authenticated_is_carried_out(
    box: Box,
    clients: dict[verbs.Caller, VaultClient],
    web: VaultClient,
    login: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a call of hours that takes seconds, and its tile still offers it."""
    call, verify = written_call(box), RecordingReader.verify
    beat(clients, LineNowState.RECORDING, call, started_at_ms=11)

    def ordered_meanwhile(reader: RecordingReader) -> str:
        web.order_line(login, LINE, Order.FORGET, 11)
        return verify(reader)

    monkeypatch.setattr(RecordingReader, "verify", ordered_meanwhile)
    clients[verbs.Caller.RECORDER].finish_call(call)
    assert box.catalogue.was_forgotten(call)


@pytest.mark.parametrize("moment", ["while it is taken over", "afterwards"])
def test_an_order_to_forget_that_comes_too_late_is_refused(
    box: Box,
    clients: dict[verbs.Caller, VaultClient],
    web: VaultClient,
    login: str,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """The board has not heard yet that the call is over."""
    call, keep, refusals = written_call(box), Catalogue.keep, []
    beat(clients, LineNowState.RECORDING, call, started_at_ms=12)

    def order() -> None:
        with pytest.raises(VaultRefused) as refused:
            web.order_line(login, LINE, Order.FORGET, 12)
        refusals.append(refused.value.kind)

    def order_and_keep(*arguments: object, **named: object) -> bool:
        order()
        return keep(*arguments, **named)  # type: ignore[arg-type]

    if moment != "afterwards":
        monkeypatch.setattr(Catalogue, "keep", order_and_keep)
    clients[verbs.Caller.RECORDER].finish_call(call)
    if moment == "afterwards":
        order()
    assert refusals == ["NothingToOrder"]
    assert box.call_keys.can_open(call)


def test_an_order_that_does_not_fit_is_refused_and_not_journalled(
    box: Box, clients: dict[verbs.Caller, VaultClient], web: VaultClient, login: str
) -> None:
    beat(clients, LineNowState.NOT_RECORDED)
    before = acts_of(box)
    with pytest.raises(VaultRefused) as refused:
        web.order_line(login, LINE, Order.CONFIRM, 7)
    assert refused.value.kind == "NothingToOrder"
    assert acts_of(box) == before


def test_who_lacks_the_right_orders_nothing(
    box: Box, clients: dict[verbs.Caller, VaultClient], web: VaultClient, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = {Role.OWNER: RIGHTS[Role.OWNER] - {Right.ORDER_CALLS}}
    monkeypatch.setattr("appliance.vault.accounts.RIGHTS", fewer)
    beat(clients, LineNowState.RECORDING, started_at_ms=8)
    with pytest.raises(VaultRefused) as refused:
        web.order_line(login, LINE, Order.FORGET, 8)
    assert refused.value.kind == "NotAllowed"
    assert beat(clients, LineNowState.RECORDING, started_at_ms=8) == []


ASKED_BY_RIGHT: list[tuple[Right, Callable[[str, CallId], verbs.Request]]] = [
    (Right.SEE_CALLS, lambda login, call: verbs.AskNow(login=login)),
    (Right.SEE_CALLS, lambda login, call: verbs.ListCalls(login=login)),
    (Right.SEE_CALLS, lambda login, call: verbs.OpenCall(login=login, call=call)),
    (
        Right.HEAR_CALLS,
        lambda login, call: verbs.Read(login=login, call=call, offset=0, length=1, purpose=verbs.Purpose.LISTEN),
    ),
    (Right.HEAR_CALLS, lambda login, call: verbs.ExportEvidence(login=login, call=call)),
    (Right.HEAR_CALLS, lambda login, call: verbs.ReadStatement(login=login, call=call)),
    (Right.ERASE_CALLS, lambda login, call: verbs.EraseCall(login=login, call=call)),
    (Right.CHOOSE_PIN, lambda login, call: verbs.AskPin(login=login)),
    (Right.CHOOSE_PIN, lambda login, call: verbs.ChoosePin(login=login, password=PASSWORD, pin=None)),
]


@pytest.mark.parametrize(
    ("right", "request_of"), ASKED_BY_RIGHT, ids=[type(asked("", CallId(""))).__name__ for _, asked in ASKED_BY_RIGHT]
)
def test_who_lacks_the_right_gets_and_changes_nothing(
    box: Box,
    web: VaultClient,
    login: str,
    monkeypatch: pytest.MonkeyPatch,
    right: Right,
    request_of: Callable[[str, CallId], verbs.Request],
) -> None:
    call = kept_call(box)
    request, before = request_of(login, call), acts_of(box)
    monkeypatch.setattr("appliance.vault.accounts.RIGHTS", {Role.OWNER: RIGHTS[Role.OWNER] - {right}})
    with pytest.raises(VaultRefused) as refused:
        web.ask(request, verbs.ANSWERS[type(request)])
    assert refused.value.kind == "NotAllowed"
    assert acts_of(box) == before
    assert box.call_keys.can_open(call)


def test_an_export_is_announced_by_nobody_who_lacks_the_right(box: Box) -> None:
    call = kept_call(box)
    before = acts_of(box)
    nobody = replace(OWNER, rights=frozenset(Right) - {Right.HEAR_CALLS})
    with pytest.raises(NotAllowed):
        box.playback.note_export(nobody, [call], scope="call")
    assert acts_of(box) == before


def test_a_token_that_is_nobodys_gets_nothing(box: Box, web: VaultClient, login: str) -> None:
    call = kept_call(box)
    before = acts_of(box)
    for request in (
        verbs.LogOut(login=STRANGER),
        verbs.AskWho(login=STRANGER),
        verbs.ListCalls(login=STRANGER),
        verbs.OpenCall(login=STRANGER, call=call),
        verbs.Read(login=STRANGER, call=call, offset=0, length=1, purpose=verbs.Purpose.LISTEN),
        verbs.EraseCall(login=STRANGER, call=call),
        verbs.AskNow(login=STRANGER),
        verbs.OrderLine(login=STRANGER, line=LINE, order=Order.FORGET, started_at_ms=7),
    ):
        with pytest.raises(VaultRefused) as refused:
            web.ask(request, verbs.ANSWERS[type(request)])
        assert refused.value.kind == "LoginEnded"
    assert acts_of(box) == before


def test_what_a_page_asks_by_itself_does_not_keep_a_login_alive(house: BoxHouse, box: Box, web: VaultClient) -> None:
    token = web.log_in("Ada", PASSWORD).login
    for _ in range(29):
        house.hands.pass_s(60)
        web.now(token)
        web.who(token, in_person=False)
        web.list_calls(verbs.ListCalls(login=token, in_person=False))
    house.hands.pass_s(60)
    with pytest.raises(VaultRefused, match="ended"):
        web.now(token)


def test_the_console_asks_for_a_check(clients: dict[verbs.Caller, VaultClient], box: Box) -> None:
    assert clients[verbs.Caller.CONSOLE].check() == verbs.CheckFindings(findings=())
    box.folder.finished_path(CallId("ab" * 16)).write_bytes(b"")
    assert len(clients[verbs.Caller.CONSOLE].check().findings) == 1
    box.folder.finished_path(CallId("ab" * 16)).unlink()


def test_the_console_asks_for_a_backup_and_how_far_it_is(
    clients: dict[verbs.Caller, VaultClient], box: Box, tmp_path: Path
) -> None:
    console = clients[verbs.Caller.CONSOLE]
    assert console.backup_state() == verbs.BackupState(running=False)
    with pytest.raises(VaultRefused, match="name no directory"):
        console.make_backup("")
    with pytest.raises(VaultRefused, match="whole path"):
        console.make_backup("stick")
    assert console.make_backup(str(tmp_path)).running
    assert console.make_backup(str(tmp_path)).running  # a second one asks after the first
    box.backup.run()  # the schedule's part
    state = console.backup_state()
    assert (state.running, state.trouble) == (False, "")
    assert (tmp_path / "linekeep-backup.json").exists()
    assert console.make_backup(str(tmp_path / "not there")).running
    box.backup.run()
    assert "There is no directory" in console.backup_state().trouble


def test_an_unexpected_fault_is_logged_without_the_values_it_met() -> None:
    def fail(password: str) -> None:
        raise RuntimeError("a fault")

    with closing(io.StringIO()) as written:
        log = structlog.wrap_logger(
            structlog.WriteLogger(written),
            processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        )
        try:
            fail(PASSWORD)
        except RuntimeError as fault:
            fault_reporter(log)(fault)
        assert "a fault" in written.getvalue()
        assert PASSWORD not in written.getvalue()


def test_what_stands_on_the_label_is_the_certificate_that_the_page_shows(
    box: Box, clients: dict[verbs.Caller, VaultClient]
) -> None:
    box.make_front_certificate()
    label = clients[verbs.Caller.CONSOLE].label()
    authority = x509.load_pem_x509_certificate(label.page_issuer.encode())
    assert authority.fingerprint(hashes.SHA256()).hex() == label.page_fingerprint
    page = x509.load_pem_x509_certificate((box.settings.state / "tls" / "front.pem").read_bytes())
    page.verify_directly_issued_by(authority)
    assert label.box_fingerprint == box.notary.chain.root_fingerprint
