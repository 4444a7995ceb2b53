"""The journal: who did what and when, and all of it, signed, to take away.

Ids are shown as the names of today's accounts. What is taken away holds none.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.terms import StorageTrouble
from webui.acts import act_text, detail_text, who_text
from webui.gate import this_login
from webui.pages.forms import Page
from webui.ranges import RANGE_LIMIT_BYTES
from webui.vault_client import ThreadVault
from webui.wording import local_time
from webui.zip_stream import ZIP, Member, member, zip_pieces

PAGE_ACTS = 50
_FARTHEST = 2**53


class JournalPages:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("journal", __name__, url_prefix="/journal")
        pages.add_url_rule("", "show", self.show, methods=["GET"])
        pages.add_url_rule("/journal.zip", "export", self.export, methods=["GET"])
        return pages

    def show(self) -> Page:
        before, people_only = _place(), "all" not in request.args
        wanted = verbs.ListActs(login=this_login(), limit=PAGE_ACTS, before=before, people_only=people_only)
        found = self._vault.list_acts(wanted)
        kind = {} if people_only else {"all": 1}
        return render_template(
            "journal.html",
            acts=found.acts,
            act_text=act_text,
            detail_text=detail_text,
            who_text=who_text,
            people_only=people_only,
            newest=urlencode(kind),
            older="" if found.before is None else urlencode(kind | {"before": found.before}),
            is_first_page=before is None,
        )

    def export(self) -> AnyResponse:
        if request.method == "HEAD":
            return Response(mimetype=ZIP)  # exports nothing
        login, made_at = this_login(), local_time(self._clock.now_ms())
        exported = self._vault.export_journal(login)
        pieces = zip_pieces(self._members(login, exported), made_at)
        answer = Response(stream_with_context(pieces), mimetype=ZIP)
        answer.headers["Content-Disposition"] = f'attachment; filename="journal_{made_at:%Y-%m-%d_%H-%M}.zip"'
        return answer

    def _members(self, login: str, exported: verbs.ExportedJournal) -> Iterator[Member]:
        for name, length in exported.lengths.items():
            yield Member(name=name, pieces=self._read(login, name, length), length=length)
        for name, content in exported.files.items():
            yield member(name, content)

    def _read(self, login: str, name: str, length: int) -> Iterator[bytes]:
        offset = 0
        while offset < length:
            piece = self._vault.read_journal(login, name, offset, min(length - offset, RANGE_LIMIT_BYTES))
            if not piece:
                raise StorageTrouble(f"{name} is shorter than the vault said.")
            offset += len(piece)
            yield piece


def _place() -> int | None:
    """Before which place of the journal is to be shown; None: its end."""
    if "before" not in request.args:
        return None
    before = request.args.get("before", type=int)
    if before is None or not 0 <= before <= _FARTHEST:
        abort(404)
    return before
