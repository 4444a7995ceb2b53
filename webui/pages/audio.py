"""A call's sound: to listen to, piece by piece, or to take away as a file.

Never holds more of a call than one answer of the vault; nothing is cached or written down. The first piece is
read before the answer begins, so that a refusal is a page and not a broken sound. What fails later breaks the
connection: the announced length is then missing, and no browser takes the rest for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary import verbs
from appliance.boundary.verbs import Purpose
from appliance.terms import CallId, DamagedRecording
from webui.gate import this_login
from webui.pages.call import call_of_address
from webui.ranges import RANGE_LIMIT_BYTES, ByteRange, OutsideTheAudio, parse_range
from webui.vault_client import ThreadVault
from webui.wav import wav_bytes, wav_pieces
from webui.wording import local_time

OGG = "audio/ogg"
WAV = "audio/wav"

DECODED_AT_ONCE_BYTES = 64 * 1024
"""Half a minute of speech: as samples it is eight times as much."""


class AudioPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("audio", __name__, url_prefix="/calls/<call>")
        pages.add_url_rule("/audio.ogg", "listen", self.listen, methods=["GET"])
        pages.add_url_rule("/download.ogg", "download_ogg", self.download_ogg, methods=["GET"])
        pages.add_url_rule("/download.wav", "download_wav", self.download_wav, methods=["GET"])
        return pages

    def listen(self, call: str) -> AnyResponse:
        call_id = call_of_address(call)
        total = self._open(call_id).audio_bytes
        try:
            wanted = parse_range(_range_asked(), total)
        except OutsideTheAudio:
            return Response(status=416, headers={"Content-Range": f"bytes */{total}", "Accept-Ranges": "bytes"})
        answer = self._whole(call_id, total) if wanted is None else self._part(call_id, wanted, total)
        answer.headers["Accept-Ranges"] = "bytes"
        return answer

    def download_ogg(self, call: str) -> AnyResponse:
        call_id = call_of_address(call)
        opened = self._open(call_id)
        pieces = self._pieces(call_id, opened.audio_bytes, Purpose.DOWNLOAD, at_once=RANGE_LIMIT_BYTES)
        return _attachment(pieces, opened.audio_bytes, OGG, file_name(opened.facts, "ogg"))

    def download_wav(self, call: str) -> AnyResponse:
        call_id = call_of_address(call)
        opened = self._open(call_id)
        ogg = self._pieces(call_id, opened.audio_bytes, Purpose.DOWNLOAD, at_once=DECODED_AT_ONCE_BYTES)
        pieces = wav_pieces(ogg, opened.frames, opened.channels)
        return _attachment(pieces, wav_bytes(opened.frames, opened.channels), WAV, file_name(opened.facts, "wav"))

    def _open(self, call: CallId) -> verbs.OpenedCall:
        opened = self._vault.open_call(this_login(), call)
        if opened.facts.not_kept:
            self._vault.read(this_login(), call, 0, 1, Purpose.LISTEN)  # refused, with the reason
        return opened

    def _whole(self, call: CallId, total: int) -> AnyResponse:
        pieces = self._pieces(call, total, Purpose.LISTEN, at_once=RANGE_LIMIT_BYTES)
        return _stream(pieces, total, OGG)

    def _part(self, call: CallId, wanted: ByteRange, total: int) -> AnyResponse:
        headers = {"Content-Range": wanted.content_range(total)}
        if request.method == "HEAD":
            headers["Content-Length"] = str(wanted.length)
            return Response(status=206, headers=headers, mimetype=OGG)
        read = self._vault.read(this_login(), call, wanted.first, wanted.length, Purpose.LISTEN)
        return Response(read.audio, status=206, headers=headers, mimetype=OGG)

    def _pieces(self, call: CallId, total: int, purpose: Purpose, *, at_once: int) -> Iterator[bytes]:
        """The Ogg stream in pieces. Nothing is read before the first is asked for: HEAD opens no call."""
        login, offset = this_login(), 0
        while offset < total:
            piece = self._vault.read(login, call, offset, min(at_once, total - offset), purpose).audio
            if not piece:
                raise DamagedRecording("The recording is shorter than its own facts say.")
            offset += len(piece)
            yield piece


def file_name(facts: verbs.CallFacts, ending: str) -> str:
    """Line and local time: a name that sorts, and that every file system takes."""
    return f"{facts.line}_{local_time(facts.started_at_ms):%Y-%m-%d_%H-%M-%S}.{ending}"


def _range_asked() -> str:
    # Our answers carry no validator, so no If-Range can be true; the whole is sent then (RFC 9110, 13.1.5).
    return "" if "If-Range" in request.headers else request.headers.get("Range", "")


def _attachment(pieces: Iterator[bytes], length: int, kind: str, name: str) -> AnyResponse:
    answer = _stream(pieces, length, kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _stream(pieces: Iterator[bytes], length: int, kind: str) -> AnyResponse:
    body: Iterator[bytes] = iter(())
    if request.method != "HEAD":
        first = next(pieces, b"")
        body = chain((first,), pieces)
    answer = Response(body, mimetype=kind)
    answer.headers["Content-Length"] = str(length)
    return answer
