"""Every caller by every verb, and everything that is no message, on real sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from appliance.boundary import message, peer, verbs
from appliance.boundary.peer import Listener
from appliance.boundary.vault import VaultAway, VaultClient, VaultRefused
from appliance.terms import CallId, DiskFull, KeyForgotten, LineName, NotAllowed, NotKept, Order, StorageTrouble
from appliance.vault.tries import TooManyTries

PATIENCE_S = 5.0
CALL, LOGIN = "ab" * 16, "A" * 43
LINE = verbs.LineNow(line=LineName("front-desk"), level_dbfs=-30.0)

REQUESTS: dict[type[verbs.Request], dict[str, Any]] = {
    verbs.IssueCall: {"line": "front-desk"},
    verbs.BeginCall: {"call": CALL, "line": "front-desk", "started_at_ms": 1},
    verbs.NoteParty: {"call": CALL, "direction": "in", "number": "03055504471"},
    verbs.ReportGap: {"call": CALL, "at_frame": 0, "frames": 1, "why": "overrun"},
    verbs.FinishCall: {"call": CALL},
    verbs.DropCall: {"call": CALL, "why": NotKept.FORGOTTEN},
    verbs.AskToKeep: {"call": CALL},
    verbs.NoteUnrecorded: {
        "call": CALL,
        "line": "front-desk",
        "started_at_ms": 1,
        "length_ms": 1,
        "direction": "in",
        "number": "",
        "why": NotKept.MISSED,
    },
    verbs.ReportCase: {"is_open": True, "found_open": False, "openings": 1, "since_ms": 1},
    verbs.Heartbeat: {"lines": (LINE,)},
    verbs.OrderLine: {"login": LOGIN, "line": "front-desk", "order": Order.PAUSE, "started_at_ms": 1},
    verbs.AskClaimed: {},
    verbs.Claim: {"code": "C", "name": "N", "password": "P"},
    verbs.LogIn: {"name": "N", "password": "P"},
    verbs.LogOut: {"login": LOGIN},
    verbs.AskWho: {"login": LOGIN},
    verbs.ListCalls: {"login": LOGIN},
    verbs.OpenCall: {"login": LOGIN, "call": CALL},
    verbs.Read: {"login": LOGIN, "call": CALL, "offset": 0, "length": 1, "purpose": verbs.Purpose.LISTEN},
    verbs.ExportEvidence: {"login": LOGIN, "call": CALL, "whole_day": True},
    verbs.ReadStatement: {"login": LOGIN, "call": CALL},
    verbs.EraseCall: {"login": LOGIN, "call": CALL},
    verbs.HoldCall: {"login": LOGIN, "call": CALL, "until_ms": 1, "reason": "R"},
    verbs.LiftHold: {"login": LOGIN, "call": CALL},
    verbs.DismissKeep: {"login": LOGIN, "call": CALL},
    verbs.ListErasures: {"login": LOGIN},
    verbs.ExportReceipt: {"login": LOGIN, "erasure": "0f" * 8},
    verbs.ListActs: {"login": LOGIN},
    verbs.AskPin: {"login": LOGIN},
    verbs.ChoosePin: {"login": LOGIN, "password": "three quiet words", "pin": None},
    verbs.ChangePassword: {"login": LOGIN, "password": "three quiet words", "fresh": "four quiet words now"},
    verbs.ExportJournal: {"login": LOGIN},
    verbs.ReadJournal: {"login": LOGIN, "file": "heads.jsonl", "offset": 0, "length": 1},
    verbs.AskNow: {"login": LOGIN},
    verbs.AcknowledgeOpenings: {"login": LOGIN, "counted": 1},
    verbs.Unlock: {"pin": "P"},
    verbs.AskRecovery: {"login": "L" * 43},
    verbs.BeginRecovery: {"login": "L" * 43, "password": "P", "needed": 2, "sheets": 3},
    verbs.ConfirmRecovery: {"login": "L" * 43, "words": ("academic",)},
    verbs.DeclineRecovery: {"login": "L" * 43, "password": "P"},
    verbs.NoteDrill: {"call": "0" * 32},
    verbs.SetPin: {"pin": "1234"},
    verbs.Check: {},
    verbs.SignJournal: {},
    verbs.MakeBackup: {"to": "/mnt"},
    verbs.AskBackup: {},
    verbs.AskLabel: {},
}


class Ground:
    """Three listeners whose handlers note what reached them and answer `Done`, or raise what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reached: list[type[verbs.Request]] = []
        self.faults: list[BaseException] = []
        self.ended = threading.Semaphore(0)
        self.trouble: BaseException | None = None
        self.listeners = [
            Listener(
                self.path(caller),
                caller,
                os.geteuid(),
                dict.fromkeys(verbs.CALLERS, self._answer),
                self.faults.append,
                self._note_end,
            )
            for caller in verbs.Caller
        ]
        for listener in self.listeners:
            listener.start()

    def path(self, caller: verbs.Caller) -> Path:
        return self.folder / f"vault-{caller}.sock"

    def connect(self, caller: verbs.Caller) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(str(self.path(caller)))
        return connection

    def answers(self, caller: verbs.Caller) -> bool:
        """Does a new connection work?"""
        request = next(verb for verb, callers in verbs.CALLERS.items() if caller in callers)
        with self.connect(caller) as connection:
            message.send(connection, request(**REQUESTS[request]))
            return isinstance(message.receive(connection, verbs.Done, max_bytes=100), verbs.Done)

    def stop(self) -> None:
        for listener in self.listeners:
            listener.stop()

    def _note_end(self) -> None:
        self.ended.release()

    def _answer(self, request: verbs.Request) -> verbs.Answer:
        self.reached.append(type(request))
        if self.trouble is not None:
            raise self.trouble
        return verbs.Done()


@pytest.fixture(scope="module")
def shared() -> Iterator[Ground]:
    # One for all: each takes half a second to stop.
    with TemporaryDirectory(prefix="lk-") as folder:
        ground = Ground(Path(folder))
        yield ground
        ground.stop()


@pytest.fixture
def ground(shared: Ground) -> Ground:
    shared.reached, shared.trouble, shared.ended = [], None, threading.Semaphore(0)
    shared.faults.clear()
    return shared


@pytest.fixture
def own_ground() -> Iterator[Ground]:
    with TemporaryDirectory(prefix="lk-") as folder:
        ground = Ground(Path(folder))
        yield ground
        ground.stop()


def test_the_list_of_rights_names_every_verb_and_its_answer() -> None:
    every = set(verbs.Request.__subclasses__())
    assert set(verbs.CALLERS) == set(verbs.ANSWERS) == set(REQUESTS) == every
    shared = {verb for verb, callers in verbs.CALLERS.items() if len(callers) != 1}
    assert shared == {verbs.Unlock}


@pytest.mark.parametrize("caller", list(verbs.Caller))
def test_a_verb_is_answered_to_its_callers_and_ends_the_connection_of_all_others(
    ground: Ground, caller: verbs.Caller
) -> None:
    for verb, callers in verbs.CALLERS.items():
        ground.reached.clear()
        with ground.connect(caller) as connection:
            message.send(connection, verb(**REQUESTS[verb]))
            if caller in callers:
                assert message.receive(connection, verbs.Done, max_bytes=100) == verbs.Done()
                assert ground.reached == [verb]
            else:
                assert connection.recv(1) == b"", verb
                assert ground.reached == []


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def packed(**fields: Any) -> bytes:
    return framed(msgspec.msgpack.encode(fields))


NONSENSE = {
    "announces 4 GiB": b"\xff\xff\xff\xff",
    "one byte more than allowed": struct.pack(">I", message.MAX_REQUEST_BYTES + 1) + b"x",
    "empty body": framed(b""),
    "random bytes": framed(bytes(range(256))),
    "http": b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n",
    "json": framed(b'{"type":"IssueCall","line":"front-desk"}'),
    "deeply nested": framed(b"\x91" * 60_000),
    "no tag": packed(line="front-desk"),
    "unknown tag": packed(type="GiveMeEverything"),
    "unknown field": packed(type="IssueCall", line="front-desk", key=b"x"),
    "missing field": packed(type="IssueCall"),
    "number for text": packed(type="IssueCall", line=7),
    "line name with a slash": packed(type="IssueCall", line="../front"),
    "line name with a newline": packed(type="IssueCall", line="front\n"),
    "call id too long": packed(type="FinishCall", call="ab" * 17),
    "call id with a newline": packed(type="FinishCall", call="ab" * 16 + "\n"),
    "call id in capitals": packed(type="FinishCall", call="AB" * 16),
    "call id as a path": packed(type="FinishCall", call="../" * 10 + "xx"),
    "negative time": packed(type="BeginCall", call=CALL, line="front-desk", started_at_ms=-1),
    "time beyond any database": packed(type="BeginCall", call=CALL, line="front-desk", started_at_ms=2**63),
    "level not a number": packed(type="Heartbeat", lines=[{"line": "front-desk", "level_dbfs": float("nan")}]),
    "65 lines": packed(type="Heartbeat", lines=[{"line": "front-desk", "level_dbfs": -1.0}] * 65),
    "bytes behind": framed(msgspec.msgpack.encode({"type": "FinishCall", "call": CALL}) + b"\x00"),
    "bad utf-8": framed(b"\x82\xa4type\xa9IssueCall\xa4line\xa2\xff\xfe"),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_is_no_message_ends_the_connection_and_the_next_one_works(ground: Ground, nonsense: bytes) -> None:
    with ground.connect(verbs.Caller.RECORDER) as connection:
        connection.sendall(nonsense)
        # Reset: it was ended with some of our bytes unread.
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert ground.reached == []
    assert ground.faults == []
    assert ground.answers(verbs.Caller.RECORDER)


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_message_cut_anywhere_ends_the_connection_without_reaching_a_handler(ground: Ground, cut: int) -> None:
    whole = packed(type="IssueCall", line="front-desk")
    with ground.connect(verbs.Caller.RECORDER) as connection:
        connection.sendall(whole[:cut])
    assert ground.ended.acquire(timeout=PATIENCE_S)
    assert ground.reached == []
    assert ground.answers(verbs.Caller.RECORDER)


def test_a_message_in_single_bytes_is_understood(ground: Ground) -> None:
    with ground.connect(verbs.Caller.RECORDER) as connection:
        for byte in packed(type="IssueCall", line="front-desk"):
            connection.sendall(bytes([byte]))
        assert message.receive(connection, verbs.Done, max_bytes=100) == verbs.Done()


def test_a_caller_with_too_many_connections_is_turned_away_and_the_others_are_served(ground: Ground) -> None:
    crowd = [ground.connect(verbs.Caller.WEBUI) for _ in range(peer.MOST_CONNECTIONS)]
    for connection in crowd:
        message.send(connection, verbs.AskClaimed())
        message.receive(connection, verbs.Done, max_bytes=100)
    with ground.connect(verbs.Caller.WEBUI) as late:
        assert late.recv(1) == b""
    assert ground.answers(verbs.Caller.RECORDER)
    for connection in crowd:
        connection.close()
    for _ in crowd:
        assert ground.ended.acquire(timeout=PATIENCE_S)
    assert ground.answers(verbs.Caller.WEBUI)


def test_another_users_connection_is_ended_before_a_byte_is_read(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "_user_of", lambda _connection: 12_345)
    with ground.connect(verbs.Caller.RECORDER) as connection:
        assert connection.recv(1) == b""
    monkeypatch.undo()
    assert ground.answers(verbs.Caller.RECORDER)


def test_the_kernel_tells_who_connected() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert peer._user_of(here) == os.geteuid()


@pytest.mark.parametrize("trouble", [NotAllowed("No."), KeyForgotten("Gone."), TooManyTries(3), DiskFull("Full.")])
def test_a_trouble_crosses_as_its_kind_its_sentence_and_its_facts(ground: Ground, trouble: Exception) -> None:
    ground.trouble = trouble
    with closing(VaultClient(ground.path(verbs.Caller.RECORDER))) as client, pytest.raises(VaultRefused) as refused:
        client.issue_call(LineName("front-desk"))
    assert (refused.value.kind, str(refused.value)) == (type(trouble).__name__, str(trouble))
    assert refused.value.facts == getattr(trouble, "facts", {})


def test_an_unexpected_exception_crosses_as_a_plain_refusal_and_the_connection_stays(ground: Ground) -> None:
    ground.trouble = RuntimeError("secret of the house")
    with closing(VaultClient(ground.path(verbs.Caller.RECORDER))) as client:
        for _ in range(2):
            with pytest.raises(VaultRefused) as refused:
                client.issue_call(LineName("front-desk"))
            assert refused.value.kind == "Fault"
            assert "secret" not in str(refused.value)
    assert ground.faults == [ground.trouble] * 2


def test_a_socket_is_for_its_user_and_group_only_and_is_gone_after_stop(own_ground: Ground) -> None:
    paths = [own_ground.path(caller) for caller in verbs.Caller]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o660}
    with own_ground.connect(verbs.Caller.CONSOLE) as connection:
        own_ground.stop()
        assert connection.recv(1) == b""
    assert list(own_ground.folder.iterdir()) == []
    own_ground.listeners = []


def test_a_client_whose_vault_went_away_says_so_and_finds_the_next_one(own_ground: Ground) -> None:
    path = own_ground.path(verbs.Caller.RECORDER)
    with closing(VaultClient(path)) as client:
        client.finish_call(CallId(CALL))
        own_ground.listeners[0].stop()
        with pytest.raises(VaultAway):
            client.finish_call(CallId(CALL))
        with pytest.raises(VaultAway):
            client.finish_call(CallId(CALL))
        own_ground.listeners[0] = Listener(
            path,
            verbs.Caller.RECORDER,
            os.geteuid(),
            dict.fromkeys(verbs.CALLERS, own_ground._answer),
            own_ground.faults.append,
        )
        own_ground.listeners[0].start()
        client.finish_call(CallId(CALL))


HIDDEN = "kept to itself"
HIDDEN_FILES = {"a.json": HIDDEN.encode()}
HIDING_ANSWERS = [
    verbs.IssuedCall(call=CallId(CALL), key=HIDDEN.encode()),
    verbs.LoggedIn(login=HIDDEN, ends_at_ms=1),
    verbs.ReadBytes(audio=HIDDEN.encode(), total_bytes=32),
    verbs.ExportedEvidence(line="front-desk", day="2026-11-27", calls=(), files=HIDDEN_FILES),
    verbs.SignedStatement(statement=HIDDEN.encode(), attest=HIDDEN.encode(), signature=HIDDEN.encode()),
    verbs.ExportedReceipt(files=HIDDEN_FILES),
    verbs.ExportedJournal(lengths={}, files=HIDDEN_FILES),
    verbs.JournalBytes(content=HIDDEN.encode()),
    verbs.RecoverySheets(sheets=(HIDDEN, HIDDEN)),
    verbs.Label(claim_code=HIDDEN, page_fingerprint="0f" * 32, page_issuer=HIDDEN, box_fingerprint="0f" * 32),
]
"""Each with all that it has to hide."""


@pytest.mark.parametrize("verb", verbs.Request.__subclasses__(), ids=lambda verb: verb.__name__)
def test_no_request_shows_a_field(verb: type[verbs.Request]) -> None:
    request = verb(**REQUESTS[verb])
    assert repr(request) == str(request) == f"{verb.__name__}(...)"


@pytest.mark.parametrize("answer", HIDING_ANSWERS, ids=lambda answer: type(answer).__name__)
def test_secrets_have_no_repr(answer: verbs.Answer) -> None:
    assert HIDDEN in str(msgspec.structs.asdict(answer))
    for text in (repr(answer), str(answer), f"{[answer]}"):
        assert HIDDEN not in text
        assert type(answer).__name__ in text


def test_every_answer_that_hides_something_is_among_those_that_are_tried() -> None:
    hiding = {answer for answer in verbs.Answer.__subclasses__() if "__repr__" in vars(answer)}
    assert {type(answer) for answer in HIDING_ANSWERS} == hiding


def test_storage_trouble_is_the_family_of_what_is_known_by_name() -> None:
    refused = VaultRefused(verbs.Refused(kind="StorageTrouble", sentence="x"))
    assert refused.trouble is StorageTrouble
