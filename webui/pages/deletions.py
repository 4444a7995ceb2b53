"""What has been deleted, when and why, and the signed receipt of each deletion to take away.

Ids, times and counts only: of a deleted call nothing else is left.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary import verbs
from appliance.clock import Clock
from webui.gate import this_login
from webui.language import LANGUAGES, gettext, mark, speaking
from webui.pages.forms import Page
from webui.vault_client import ThreadVault
from webui.wording import local_time
from webui.zip_stream import ZIP, member, zip_pieces

PAGE_ERASURES = 50
_LATEST_MS = 2**53
_ERASURE = re.compile(r"[0-9a-f]{16}")

_REASONS = {
    "period": mark("their time was over"),
    "asked": mark("somebody asked for it"),
    "nothing_recorded": mark("nothing had been recorded"),
    "dropped": mark("forgotten while it ran"),
    "forgotten_before": mark("deleted before the box was restored from a backup"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A deletion as the list shows it."""

    facts: verbs.ErasureFacts
    reason: str


class DeletionPages:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("deletions", __name__, url_prefix="/deletions")
        pages.add_url_rule("", "show", self.show, methods=["GET"])
        pages.add_url_rule("/<erasure>/receipt.zip", "receipt", self.receipt, methods=["GET"])
        return pages

    def show(self) -> Page:
        before_ms, before_erasure = _place()
        wanted = verbs.ListErasures(
            login=this_login(), limit=PAGE_ERASURES, before_ms=before_ms, before_erasure=before_erasure
        )
        found = self._vault.list_erasures(wanted)
        older = ""
        if found.more:
            last = found.erasures[-1]
            older = urlencode({"before_ms": last.asked_at_ms, "before": last.erasure})
        return render_template(
            "deletions.html",
            deletions=[Deletion(facts=facts, reason=_reason(facts.why)) for facts in found.erasures],
            older=older,
            is_first_page=before_ms is None,
        )

    def receipt(self, erasure: str) -> AnyResponse:
        if not _ERASURE.fullmatch(erasure):
            abort(404)
        if request.method == "HEAD":
            return Response(mimetype=ZIP)  # exports nothing
        files = self._vault.export_receipt(this_login(), erasure).files
        facts = json.loads(files[f"receipts/{erasure}.json"])
        files |= {f"REPORT.{code}.html": _report(facts, code).encode() for code in sorted(LANGUAGES)}
        members = [member(name, content) for name, content in files.items()]
        answer = Response(zip_pieces(members, local_time(self._clock.now_ms())), mimetype=ZIP)
        answer.headers["Content-Disposition"] = f'attachment; filename="receipt_{erasure}.zip"'
        return answer


def _place() -> tuple[int | None, str | None]:
    """From where on the list is to be shown; nothing for its beginning."""
    before_ms, before = request.args.get("before_ms", type=int), request.args.get("before")
    if before is None and "before_ms" not in request.args:
        return None, None
    if before_ms is None or not 0 <= before_ms <= _LATEST_MS or not _ERASURE.fullmatch(before or ""):
        abort(404)
    return before_ms, before


def _reason(why: str) -> str:
    return gettext(_REASONS[why]) if why in _REASONS else why


def _report(facts: dict[str, object], code: str) -> str:
    with speaking(code):
        return render_template("receipt_report.html", code=code, receipt=facts, reason=_reason(str(facts["why"])))
