"""What proves a call, or a line's whole day, as one ZIP to take away.

The ZIP is put together while it is sent: the vault's statements, the audio as it is read, and at the end the page
that explains it. Whether it may be had the vault decides, before the first byte goes out.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, request, stream_with_context
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary import verbs
from appliance.boundary.verbs import Purpose
from appliance.clock import Clock
from appliance.terms import DamagedRecording
from webui.evidence_report import Report
from webui.gate import this_login
from webui.pages.call import call_of_address
from webui.ranges import RANGE_LIMIT_BYTES
from webui.vault_client import ThreadVault
from webui.wording import local_time
from webui.zip_stream import ZIP, Member, member, zip_pieces


class EvidencePages:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("evidence", __name__, url_prefix="/calls/<call>")
        pages.add_url_rule("/evidence.zip", "call", self.export_call, methods=["GET"])
        pages.add_url_rule("/day-evidence.zip", "day", self.export_day, methods=["GET"])
        return pages

    def export_call(self, call: str) -> AnyResponse:
        return self._export(call, whole_day=False)

    def export_day(self, call: str) -> AnyResponse:
        return self._export(call, whole_day=True)

    def _export(self, untrusted_call: str, *, whole_day: bool) -> AnyResponse:
        call, login = call_of_address(untrusted_call), this_login()
        if request.method == "HEAD":
            return Response(mimetype=ZIP)  # exports nothing
        exported = self._vault.export_evidence(login, call, whole_day=whole_day)
        pieces = zip_pieces(self._members(login, exported), local_time(self._clock.now_ms()))
        answer = Response(stream_with_context(pieces), mimetype=ZIP)
        name = f"evidence_{exported.line}_{exported.day}" if whole_day else f"evidence_{exported.calls[0].folder}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}.zip"'
        return answer

    def _members(self, login: str, exported: verbs.ExportedEvidence) -> Iterator[Member]:
        report = Report(exported.line, exported.day, exported.files)
        for name, content in exported.files.items():
            yield member(name, content)
        for call in exported.calls:
            signed = self._vault.read_statement(login, call.call)
            report.add(call.folder, signed.statement)
            place = f"calls/{call.folder}"
            yield member(f"{place}/recording.json", signed.statement)
            yield member(f"{place}/recording.attest", signed.attest)
            yield member(f"{place}/recording.sig", signed.signature)
            audio = self._audio(login, call)
            yield Member(name=f"{place}/audio.ogg", pieces=audio, length=call.audio_bytes, is_dense=True)
        for name, page in report.pages().items():
            yield member(name, page)

    def _audio(self, login: str, call: verbs.ExportedCall) -> Iterator[bytes]:
        offset = 0
        while offset < call.audio_bytes:
            piece = self._vault.read(login, call.call, offset, RANGE_LIMIT_BYTES, Purpose.EVIDENCE).audio
            if not piece:
                raise DamagedRecording("The recording is shorter than its own facts say.")
            offset += len(piece)
            yield piece
