"""The listening side of the boundary: who is calling, may they, and who answers.

One socket a caller: the folder's permissions let only that daemon's user reach it, and the kernel's word for
the user behind the connection (SO_PEERCRED) is compared again. A verb that the caller may not use ends the
connection as a malformed message does.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.boundary import message, verbs
from appliance.terms import LinekeepError

Handler = Callable[[Any], verbs.Answer]
"""Takes the request of its verb, returns the answer; what it raises becomes a `Refused`."""

_CREDENTIALS = struct.Struct("3i")
_IDLE_S = 600

MOST_CONNECTIONS = 64
"""Of one caller: twice the web page's threads. More would let a broken caller take the others' files and threads."""


class Listener:
    """One caller's socket, with a thread for each connection.

    Args:
        path: of the socket; an old one is replaced, a missing folder made.
        caller: who calls here; only verbs that `CALLERS` gives them are understood.
        user_id: the system user the caller must run as. Root may always call: root owns the box.
        handlers: verb -> what answers it.
        on_fault: told of every exception that is no LinekeepError, before the caller gets a plain refusal.
        on_end: told when a connection of this caller has ended.
    """

    def __init__(
        self,
        path: Path,
        caller: verbs.Caller,
        user_id: int,
        handlers: Mapping[type[verbs.Request], Handler],
        on_fault: Callable[[BaseException], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        allowed = {verb: handlers[verb] for verb, callers in verbs.CALLERS.items() if caller in callers}
        path.parent.mkdir(mode=0o751, parents=True, exist_ok=True)
        # Bound under another name and moved into place, so that nobody connects before the mode is set.
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        self._server = _Server(str(fresh), _Connection, allowed, user_id, on_fault, on_end)
        fresh.chmod(0o660)
        # On a box the folder gives the group, and the vault has no right to change one.
        if user_id != os.geteuid() and fresh.stat().st_gid != (group := pwd.getpwuid(user_id).pw_gid):
            os.chown(fresh, -1, group)
        fresh.rename(path)
        self._path = path
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"listen-{caller}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_listening(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop listening and end every connection."""
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()
        self._path.unlink(missing_ok=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        path: str,
        connection: type[socketserver.BaseRequestHandler],
        handlers: Mapping[type[verbs.Request], Handler],
        user_id: int,
        on_fault: Callable[[BaseException], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(path, connection)
        self.handlers = handlers
        self.kind: Any = _union(handlers)
        self.user_id = user_id
        self.on_fault = on_fault
        self.on_end = on_end
        self.connections: set[socket.socket] = set()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the base class's
        return _user_of(request) in {self.user_id, 0} and len(self.connections) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(_IDLE_S)
        # The end of a connection is ordinary: the caller went away, sent nonsense, or slept too long.
        with contextlib.suppress(message.Hangup, message.Misplaced, OSError):
            while True:
                self._answer_one()

    def finish(self) -> None:
        self.server.connections.discard(self.request)
        self.server.on_end()

    def _answer_one(self) -> None:
        request = message.receive(self.request, self.server.kind, max_bytes=message.MAX_REQUEST_BYTES)
        handler = self.server.handlers[type(request)]
        try:
            answer = handler(request)
        except LinekeepError as trouble:
            answer = refuse(trouble)
        except Exception as fault:  # noqa: BLE001 - the outer loop: reported, counted, refused
            self.server.on_fault(fault)
            answer = verbs.Refused(
                kind="Fault",
                sentence="Something went wrong inside the box. Nothing was changed; the log says more.",
            )
        message.send(self.request, answer)


def refuse(trouble: LinekeepError) -> verbs.Refused:
    """A trouble as it crosses the boundary: its kind, its sentence, and what a page needs to say it anew."""
    facts = getattr(trouble, "facts", {})
    return verbs.Refused(kind=type(trouble).__name__, sentence=str(trouble), facts=facts)


def _union(handlers: Mapping[type[verbs.Request], Handler]) -> Any:
    kind: Any = None
    for verb in handlers:
        kind = verb if kind is None else kind | verb
    return kind


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _process, user_id, _group = _CREDENTIALS.unpack(credentials)
    return int(user_id)
