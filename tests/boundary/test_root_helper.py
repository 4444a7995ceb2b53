"""What a helper of root is asked and answers, on real sockets: nonsense gets none, absence is a sentence."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from appliance.boundary import message
from appliance.boundary.root_helper import (
    HelperAnswer,
    KeepKeySlot,
    PutKeySlot,
    RecoverBox,
    TryRecovery,
    answer_one,
    ask_helper,
)
from appliance.terms import KeyTrouble, LinekeepError, StorageTrouble
from tests.simulators.root_helpers import PATIENCE_S, accepting

KEY, SECRET = "0f" * 32, "5e" * 32
PUT = PutKeySlot(public_key=KEY, passphrase=SECRET)
KINDS = PutKeySlot | KeepKeySlot
AWAY = r"^The part of this box that opens its disk does not answer\. Nothing is lost\.$"


@pytest.fixture
def path() -> Iterator[Path]:
    # Not tmp_path: a socket's path has 107 bytes at most.
    with TemporaryDirectory(prefix="lk-") as folder:
        yield Path(folder) / "helper.sock"


class Helper:
    """Notes what reached it, and does what a test says."""

    def __init__(self) -> None:
        self.reached: list[Any] = []
        self.answer = HelperAnswer(yes=True)
        self.trouble: LinekeepError | None = None

    def handle(self, request: Any) -> HelperAnswer:
        self.reached.append(request)
        if self.trouble is not None:
            raise self.trouble
        return self.answer

    def serve(self, connection: socket.socket) -> None:
        answer_one(connection, KINDS, self.handle)

    def hears(self, sent: bytes) -> bytes:
        """What it answers to these bytes, after which nothing follows."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(PATIENCE_S)
            ours.sendall(sent)
            ours.shutdown(socket.SHUT_WR)
            with theirs:
                answer_one(theirs, KINDS, self.handle)
            answered = b""
            with suppress(ConnectionResetError):  # it was ended with some of our bytes unread
                while more := ours.recv(1000):
                    answered += more
        return answered


@pytest.fixture
def helper() -> Helper:
    return Helper()


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def packed(**fields: Any) -> bytes:
    return framed(msgspec.msgpack.encode(fields))


WHOLE = packed(type="PutKeySlot", public_key=KEY, passphrase=SECRET)

NONSENSE = {
    "nothing": b"",
    "cut in the length": WHOLE[:3],
    "cut after the length": WHOLE[:4],
    "cut in the body": WHOLE[:-1],
    "announces 4 GiB": b"\xff\xff\xff\xff",
    "one byte more than allowed": struct.pack(">I", message.MAX_REQUEST_BYTES + 1) + b"x",
    "random bytes": framed(bytes(range(256))),
    "bytes behind": framed(WHOLE[4:] + b"\x00"),
    "no tag": packed(public_key=KEY, passphrase=SECRET),
    "unknown tag": packed(type="OpenTheDisk", public_key=KEY, passphrase=SECRET),
    "another helper's": packed(type="RecoverBox", sheets=[SECRET]),
    "unknown field": packed(type="KeepKeySlot", public_key=KEY, device="/dev/sda"),
    "missing field": packed(type="PutKeySlot", public_key=KEY),
    "no key to put": packed(type="PutKeySlot", public_key=None, passphrase=SECRET),
    "a digit too few": packed(type="PutKeySlot", public_key=KEY, passphrase=SECRET[:-1]),
    "a digit too many": packed(type="PutKeySlot", public_key=KEY, passphrase=SECRET + "0"),
    "a newline behind": packed(type="PutKeySlot", public_key=KEY, passphrase=SECRET + "\n"),
    "capitals": packed(type="PutKeySlot", public_key=KEY.upper(), passphrase=SECRET),
    "digits of another script": packed(
        type="PutKeySlot", public_key="\N{ARABIC-INDIC DIGIT ONE}" * 64, passphrase=SECRET
    ),
    "an option of a command": packed(type="KeepKeySlot", public_key="--help".ljust(64, "0")),
    "bytes for text": packed(type="PutKeySlot", public_key=KEY.encode(), passphrase=SECRET),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_is_no_request_is_not_answered_and_nothing_is_done(helper: Helper, nonsense: bytes) -> None:
    assert helper.hears(nonsense) == b""
    assert helper.reached == []


def test_a_request_is_answered_once(helper: Helper) -> None:
    assert helper.hears(WHOLE * 2) == framed(msgspec.msgpack.encode(helper.answer))
    assert helper.reached == [PUT]


def test_every_request_comes_whole_and_so_does_its_answer(path: Path, helper: Helper) -> None:
    helper.answer = HelperAnswer(yes=True, said=("One.", "Two."), restart=True)
    asked = [PUT, KeepKeySlot(public_key=KEY), KeepKeySlot(public_key=None)]
    with accepting(path, helper.serve):
        for request in asked:
            assert ask_helper(path, request, timeout_s=PATIENCE_S) == helper.answer
    assert helper.reached == asked


@pytest.mark.parametrize(
    "trouble", [StorageTrouble("The disk refuses."), KeyTrouble("Those are other words.")], ids=str
)
def test_what_a_helper_could_not_do_is_told_in_its_own_sentence(
    path: Path, helper: Helper, trouble: LinekeepError
) -> None:
    helper.trouble = trouble
    with accepting(path, helper.serve):
        with pytest.raises(StorageTrouble) as told:
            ask_helper(path, PUT, timeout_s=PATIENCE_S)
        assert str(told.value) == str(trouble)
        helper.trouble = None
        assert ask_helper(path, PUT, timeout_s=PATIENCE_S).yes


def test_a_helper_that_breaks_down_does_not_answer_for_it(helper: Helper) -> None:
    def broken(_request: Any) -> HelperAnswer:
        raise ZeroDivisionError

    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(WHOLE)
        with theirs, pytest.raises(ZeroDivisionError):
            answer_one(theirs, KINDS, broken)
        assert ours.recv(1) == b""


def test_a_helper_that_is_not_there_is_one_sentence(path: Path) -> None:
    with pytest.raises(StorageTrouble, match=AWAY):
        ask_helper(path, PUT, timeout_s=PATIENCE_S)
    with socket.socket(socket.AF_UNIX) as nobody:  # a socket that is left over
        nobody.bind(str(path))
    with pytest.raises(StorageTrouble, match=AWAY):
        ask_helper(path, PUT, timeout_s=PATIENCE_S)


def test_a_helper_that_never_answers_is_waited_for_no_longer_than_said(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(StorageTrouble, match=AWAY) as told:
            ask_helper(path, PUT, timeout_s=0.05)
    assert isinstance(told.value.__cause__, TimeoutError)


ODD_ANSWERS = {
    "nothing": b"",
    "cut": framed(msgspec.msgpack.encode(HelperAnswer(yes=True)))[:-1],
    "announces 4 GiB": b"\xff\xff\xff\xff",
    "random bytes": framed(bytes(range(256))),
    "unknown field": packed(yes=True, key=SECRET),
    "a word for yes": packed(yes="yes"),
    "text for sentences": packed(yes=True, said="all is well"),
    "a request": WHOLE,
}


@pytest.mark.parametrize("odd", ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
def test_what_is_no_answer_is_no_yes(path: Path, odd: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        message.receive(connection, KINDS, max_bytes=message.MAX_REQUEST_BYTES)  # type: ignore[arg-type]
        connection.sendall(odd)

    with accepting(path, serve), pytest.raises(StorageTrouble, match=AWAY):
        ask_helper(path, PUT, timeout_s=PATIENCE_S)


@pytest.mark.parametrize(
    "request_", [PUT, RecoverBox(sheets=(SECRET,)), TryRecovery(sheets=(SECRET,))], ids=lambda one: type(one).__name__
)
def test_secrets_have_no_repr(request_: msgspec.Struct) -> None:
    for text in (repr(request_), str(request_), f"{[request_]}"):
        assert SECRET not in text
        assert type(request_).__name__ in text


def test_what_went_wrong_names_no_secret(path: Path, helper: Helper) -> None:
    with pytest.raises(StorageTrouble) as told:
        ask_helper(path, PUT, timeout_s=PATIENCE_S)
    assert SECRET not in f"{told.value!r} {told.value.__cause__!r}"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(packed(type="PutKeySlot", public_key=KEY, passphrase=SECRET + "0"))
        with pytest.raises(message.Misplaced) as misplaced:
            message.receive(theirs, KINDS, max_bytes=message.MAX_REQUEST_BYTES)  # type: ignore[arg-type]
    assert SECRET not in f"{misplaced.value!r}"
