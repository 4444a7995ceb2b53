"""What crosses the boundary: every valid message arrives as it was sent, and no bytes do anything but end it."""

from __future__ import annotations

import functools
import operator
import socket
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.boundary import message, verbs
from appliance.terms import LineNowState, Order

ANY_REQUEST: Any = functools.reduce(operator.or_, verbs.CALLERS)
CALLS, LINES = st.from_regex(r"\A[0-9a-f]{32}\Z"), st.from_regex(r"\A[a-z][a-z0-9-]{0,31}\Z")
COUNTS = st.integers(0, 2**53)
LINES_NOW = st.builds(
    verbs.LineNow,
    line=LINES,
    level_dbfs=st.floats(-200, 10),
    state=st.sampled_from(LineNowState),
    call=st.none() | CALLS,
    trouble=st.text(max_size=400),
    keep_asked=st.booleans(),
)
REQUESTS = st.one_of(
    st.builds(verbs.BeginCall, call=CALLS, line=LINES, started_at_ms=COUNTS),
    st.builds(verbs.ReportGap, call=CALLS, at_frame=COUNTS, frames=COUNTS, why=st.text(max_size=32)),
    st.builds(verbs.Heartbeat, lines=st.lists(LINES_NOW, max_size=4).map(tuple)),
    st.builds(verbs.OrderLine, login=st.just("A" * 43), line=LINES, order=st.sampled_from(Order), started_at_ms=COUNTS),
    st.builds(verbs.Claim, code=st.text(max_size=64), name=st.text(min_size=1, max_size=64), password=st.just("x")),
)


def received(content: bytes) -> verbs.Request:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(content)
        here.shutdown(socket.SHUT_WR)
        request: verbs.Request = message.receive(there, ANY_REQUEST, max_bytes=message.MAX_REQUEST_BYTES)
        return request


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(REQUESTS)
def test_a_request_arrives_as_it_was_sent(request: verbs.Request) -> None:
    assert received(framed(msgspec.msgpack.encode(request))) == request


@given(REQUESTS, st.data())
def test_a_request_cut_anywhere_is_refused(request: verbs.Request, data: st.DataObject) -> None:
    whole = framed(msgspec.msgpack.encode(request))
    with pytest.raises(message.Misplaced):
        received(whole[: data.draw(st.integers(1, len(whole) - 1))])


@given(st.binary(min_size=1, max_size=2000))
def test_random_bytes_are_a_request_or_misplaced_and_nothing_else(content: bytes) -> None:
    with pytest.raises(message.Misplaced):
        received(content)
    with pytest.raises(message.Misplaced):
        received(framed(content))


def test_a_connection_closed_between_messages_is_a_hangup() -> None:
    with pytest.raises(message.Hangup):
        received(b"")
