"""The page that explains an export of evidence to people, in both languages; made from the signed statements.

It is not signed itself, and says so: it shows, and verify.py proves.
"""

from __future__ import annotations

import json
from typing import Any

from flask import render_template

from appliance.terms import RATE_HZ
from webui.acts import act_text
from webui.language import LANGUAGES, mark, speaking

_OUTCOMES = {
    "kept": mark("kept"),
    "recovered": mark("kept, but cut off"),
    "not_kept": mark("nothing was recorded"),
    "refused": mark("not recorded: no consent"),
    "unfinished": mark("not taken over when the day was signed"),
}


class Report:
    """Takes the facts of an export as they pass, and makes the pages at its end."""

    def __init__(self, line: str, day: str, files: dict[str, bytes]) -> None:
        self._line, self._day_name = line, day
        self._log: dict[str, Any] = json.loads(files["access-log.json"])
        self._day: dict[str, Any] | None = json.loads(files["day.json"]) if "day.json" in files else None
        self._calls: list[dict[str, Any]] = []

    def add(self, folder: str, statement: bytes) -> None:
        """The statement about the next call."""
        facts = json.loads(statement)
        opening, closing = facts["opening"], facts["closing"]
        self._calls.append(
            {
                "call": facts["call"],
                "number": facts["number"],
                "audio": f"calls/{folder}/audio.ogg",
                "sha256": closing["audio_sha256"],
                "started_at_ms": opening["started_at_ms"],
                "length_ms": _ms(closing["frames"]),
                "ended": closing["ended"],
                "ground": opening["ground"],
                # A recording of format 1 does not say it, nor does a statement from then.
                "consent": opening.get("consent") or {"by": "", "at_ms": 0},
                "gaps": [(_ms(gap["at_frame"]), _ms(gap["frames"]), gap["why"]) for gap in closing["gaps"]],
            }
        )

    def pages(self) -> dict[str, bytes]:
        """REPORT.LANGUAGE.html for each language."""
        return {f"REPORT.{code}.html": self._page(code).encode() for code in sorted(LANGUAGES)}

    def _page(self, code: str) -> str:
        with speaking(code):
            return render_template(
                "evidence_report.html",
                code=code,
                root=self._log["box"],
                line=self._line,
                day_name=self._day_name,
                is_whole_day=self._log["scope"] == "day",
                exported_at_ms=self._log["exported_at_ms"],
                entries=self._log["entries"],
                numbers={call["call"]: call["number"] for call in self._calls},
                calls=self._calls,
                day=self._day,
                act_text=act_text,
                outcomes=_OUTCOMES,
            )


def _ms(frames: int) -> int:
    return frames * 1000 // RATE_HZ
