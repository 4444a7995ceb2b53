"""One message: four bytes of length (big endian), then msgpack.

Bounds are checked before a byte of the body is read. What does not fit its type ends the connection:
whoever sends such a thing is broken or hostile, and neither is worth an answer.
"""

from __future__ import annotations

import socket
import struct
from typing import TypeVar

import msgspec

MAX_REQUEST_BYTES = 64 * 1024
"""A closing record's worth and more; no request carries audio."""

READ_LIMIT_BYTES = 1024 * 1024
"""The most audio that one answer brings."""

MAX_ANSWER_BYTES = READ_LIMIT_BYTES + 64 * 1024

MAX_EVIDENCE_BYTES = 16 * 1024 * 1024
"""A statement holds a whole closing record; a line's day and a receipt name all of their calls."""

_LENGTH = struct.Struct(">I")
_T = TypeVar("_T")


class Hangup(Exception):
    """The other side has closed the connection between two messages."""


class Misplaced(Exception):
    """An unknown, oversized, cut or malformed message. The connection must be ended."""


def send(connection: socket.socket, message: msgspec.Struct) -> None:
    """Send one message whole."""
    body = msgspec.msgpack.encode(message)
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket, kind: type[_T], *, max_bytes: int) -> _T:
    """Receive one message of the given type (a struct or a union of tagged structs).

    Raises: Hangup before the first byte, Misplaced for anything that is not such a message.
    """
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, at_start=True))
    if length > max_bytes:
        raise Misplaced(f"{length} bytes announced, {max_bytes} allowed")
    try:
        return msgspec.msgpack.decode(_exactly(connection, length, at_start=False), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Misplaced(str(error)) from error


def _exactly(connection: socket.socket, length: int, *, at_start: bool) -> bytearray:
    received = bytearray(length)
    view = memoryview(received)
    filled = 0
    while filled < length:
        count = connection.recv_into(view[filled:])
        if count == 0:
            if at_start and filled == 0:
                raise Hangup
            raise Misplaced("the message was cut")
        filled += count
    return received
