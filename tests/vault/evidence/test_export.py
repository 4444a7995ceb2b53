"""Evidence that leaves the box: it verifies elsewhere, with openssl too, and each kind of tampering is said."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from appliance.audit.events import Act
from appliance.boundary.verbs import ExportEvidence
from appliance.recordings.container import PAUSED, Gap
from appliance.recordings.opus import OpusDecoder
from appliance.terms import CallId, NotAllowed
from appliance.vault.evidence import verifier
from appliance.vault.evidence.notary import Notary
from appliance.vault.evidence.statements import RECORDING
from appliance.vault.evidence_desk import DayNotOver, NotSigned
from appliance.vault.playback import OPENINGS_A_MINUTE, NoSuchCall, NothingRecorded, TooManyOpenings
from appliance.vault.rights import Right
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import (
    CONSENT_AFTER_MS,
    NOON_MS,
    OWNER,
    BoxHouse,
    acts_of,
    begin_writing,
    end_writing,
    kept_call,
    unrecorded_call,
)
from tests.vault.evidence.house import (
    DAY_S,
    NUMBER,
    Desk,
    Export,
    by_hand,
    call_with_gaps,
    call_without_audio,
    run_verifier,
    verdict_of,
    written,
)

FIRST = "calls/front-desk_2027-01-15_0001/"
FORMAT_1_OPENING = ["call", "codec", "format", "ground", "line", "rate_hz", "software", "started_at_ms"]
FORMAT_1_CLOSING = [
    "audio_bytes", "audio_sha256", "call", "ended", "ended_at_ms", "frames", "gaps", "lost_after_frame", "peaks"
]  # fmt: skip
LAST = "calls/front-desk_2027-01-15_0004/"


@dataclass(frozen=True, kw_only=True)
class Day:
    """The exports of one day: four calls of which the second was deleted and the third never had any audio."""

    first: CallId
    last: CallId
    root: str
    whole: Export
    single: Export
    unfinished: Export


def lived_day(house: BoxHouse) -> Day:
    with house.opened() as box, Desk(box, house.settings()).opened() as desk:
        first, second = call_with_gaps(box), kept_call(box)
        call_without_audio(box)
        last = kept_call(box, seconds=1.5)
        box.evidence.run()
        unfinished = desk.export(first, whole_day=False)
        box.erasure.erase([second], by="retention", why="period")
        house.hands.pass_s(DAY_S)
        box.evidence.run()
        return Day(
            first=first,
            last=last,
            root=box.notary.chain.root_fingerprint,
            whole=desk.export(first, whole_day=True),
            single=desk.export(last, whole_day=False),
            unfinished=unfinished,
        )


@pytest.fixture(scope="module")
def day(house: BoxHouse) -> Day:
    return lived_day(house)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The same on another box."""
    folder = tmp_path_factory.mktemp("other")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(folder / "tpm", Path(run_dir)):
        yield lived_day(BoxHouse(folder, Path(run_dir)))


def changed(files: Export, name: str, change: Callable[[bytes], bytes]) -> Export:
    return {**files, name: change(files[name])}


def without(files: Export, *prefixes: str) -> Export:
    return {name: content for name, content in files.items() if not name.startswith(prefixes)}


def rewritten(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def rewrite(statement: bytes) -> bytes:
        facts = json.loads(statement)
        change(facts)
        return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()

    return rewrite


# it holds


@pytest.mark.parametrize("which", ["whole", "single", "unfinished"])
def test_an_export_verifies_with_its_own_program_where_nothing_of_linekeep_is(
    day: Day, which: str, tmp_path: Path
) -> None:
    done = run_verifier(getattr(day, which), tmp_path, verifier.shown_fingerprint(day.root))
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    assert "All that is in this file is proven." in done.stdout
    assert "NOT PROVEN" not in done.stdout


def test_the_program_is_one_file_that_loads_nothing_of_linekeep(day: Day, tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_bytes(day.whole["verify.py"])
    shows = "import sys; sys.path[:0] = ['.']; import verify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", shows], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "verify" in done.stdout.split()
    assert not [name for name in done.stdout.split() if name.startswith(("appliance", "webui", "msgspec"))]


def test_a_whole_day_tells_every_call_the_gaps_and_what_was_deleted(day: Day, tmp_path: Path) -> None:
    verdict = verdict_of(day.whole, tmp_path, day.root)
    assert verdict.findings == []
    said = "\n".join(verdict.said)
    assert "Call 1 of line front-desk on 2027-01-15, begun 2027-01-15 08:00:00 UTC, 2.00 s long" in said
    assert "At 0.10 s: 0.01 s are missing (overrun)." in said
    assert "At 1.00 s: 0.50 s are missing (unplugged)." in said
    assert "4 calls began, 3 were kept; 4.0 s captured, 0.0 s paused, 0.0 s refused, 0.5 s lost" in said
    assert "Call 3 was not kept: nothing was recorded." in said
    assert sum(name.startswith("receipts/") for name in day.whole) == 3


def test_an_export_before_the_day_is_over_says_so(day: Day, tmp_path: Path) -> None:
    assert "day.json" not in day.unfinished
    said = "\n".join(verdict_of(day.unfinished, tmp_path).said)
    assert "The day was not finished when this was exported" in said
    assert "compare it with the label" in "\n".join(verifier.tell(verdict_of(day.unfinished, tmp_path), asked=False))


def test_the_statement_about_a_call_holds_both_records_and_no_name_of_a_person(day: Day) -> None:
    facts = json.loads(day.single[LAST + "recording.json"])
    assert (facts["kind"], facts["call"], facts["number"]) == ("recording", day.last, 4)
    assert facts["opening"]["ground"] == "Consent."
    assert facts["opening"]["consent"] == {"at_ms": NOON_MS + CONSENT_AFTER_MS, "by": "key"}
    assert facts["closing"]["frames"] == 12_000
    assert len(facts["container"]["sha256"]) == 64
    assert b"Ada" not in b"".join(day.whole.values())


def test_the_statement_about_a_call_says_its_direction_and_keeps_the_number_in_the_recording(day: Day) -> None:
    closing = json.loads(day.whole[FIRST + "recording.json"])["closing"]
    assert closing["direction"] == "in"
    assert "number" not in closing
    assert NUMBER.encode() not in b"".join(day.whole.values())


def test_the_program_says_by_whose_consent_and_when(day: Day, tmp_path: Path) -> None:
    consent = "Consent, 2027-01-15 08:00:07 UTC: the key that means yes was pressed on the telephone."
    assert "\n".join(verdict_of(day.whole, tmp_path).said).count(consent) == 2


def test_a_pause_that_was_asked_for_is_stated_as_paused_and_not_as_lost(house: BoxHouse, tmp_path: Path) -> None:
    gaps = (Gap(at_frame=800, frames=80, why="overrun"), Gap(at_frame=8000, frames=4000, why=PAUSED))
    with house.opened() as box, Desk(box, house.settings()).opened() as desk:
        call = call_with_gaps(box, gaps=gaps)
        box.evidence.run()
        files = desk.export(call, whole_day=False)
    (name,) = [name for name in files if name.endswith("recording.json")]
    facts = json.loads(files[name])
    assert (facts["frames_lost"], facts["frames_paused"]) == (80, 4000)
    verdict = verdict_of(files, tmp_path)
    assert verdict.findings == []
    assert "At 1.00 s: 0.50 s are missing (paused)." in "\n".join(verdict.said)
    assert "recording was paused" in files["REPORT.en.html"].decode()
    renamed = changed(files, name, rewritten(lambda facts: facts["closing"]["gaps"][1].update(why="overrun")))  # type: ignore[index]
    assert any("are stated as lost" in finding for finding in verdict_of(renamed, tmp_path).findings)


def test_the_statement_about_a_recording_of_format_1_is_what_it_was(house: BoxHouse, tmp_path: Path) -> None:
    """It has the members from before there was a format 2, so statements from then are accepted as this one is."""
    with house.opened() as box, Desk(box, house.settings()).opened() as desk:
        call, writer, pages = begin_writing(box, record_format=1)
        end_writing(call, writer, pages)
        box.intake.finish(call)
        box.evidence.run()
        files = desk.export(call, whole_day=False)
    (name,) = [name for name in files if name.endswith("recording.json")]
    facts = json.loads(files[name])
    assert sorted(facts["opening"]) == FORMAT_1_OPENING
    assert sorted(facts["closing"]) == FORMAT_1_CLOSING
    verdict = verdict_of(files, tmp_path)
    assert verdict.findings == []
    assert "Recorded because: Consent." in "\n".join(verdict.said)
    assert "Consent, " not in "\n".join(verdict.said)
    assert "not noted in this recording" in files["REPORT.en.html"].decode()


def test_a_recording_of_two_sides_is_exported_with_both_and_says_which_is_which(
    house: BoxHouse, tmp_path: Path
) -> None:
    with house.opened() as box, Desk(box, house.settings()).opened() as desk:
        call, writer, pages = begin_writing(box, channels=2)
        end_writing(call, writer, pages)
        box.intake.finish(call)
        box.evidence.run()
        opened = box.playback.open_call(OWNER, call)
        files = desk.export(call, whole_day=False)
    assert opened.channels == 2
    (audio,) = [content for name, content in files.items() if name.endswith("audio.ogg")]
    assert OpusDecoder().feed(audio).shape == (opened.frames, 2)
    verdict = verdict_of(files, tmp_path)
    assert verdict.findings == []
    assert "near side on the left" in "\n".join(verdict.said)


def test_the_access_log_tells_who_had_the_call_before(day: Day) -> None:
    log = json.loads(day.whole["access-log.json"])
    acts = [(entry["act"], entry["call"]) for entry in log["entries"] if entry["call"] == day.first]
    assert [act for act, _call in acts] == ["call:kept", "evidence:exported", "evidence:exported"]
    assert log["calls"] == [day.first, day.last]


def test_holds_and_requests_are_stated_with_their_end_and_without_a_reason(house: BoxHouse, tmp_path: Path) -> None:
    with house.opened() as box, Desk(box, house.settings()).opened() as desk:
        assert box.watch.trouble() is None
        call, writer, pages = begin_writing(box)
        assert box.holds.ask(call)
        end_writing(call, writer, pages)
        box.intake.finish(call)
        until_ms = box.clock.now_ms() + 86_400_000
        box.holds.place(call, until_ms=until_ms, reason="Ludmilla", by=OWNER.account)
        box.evidence.run()
        files = desk.export(call, whole_day=False)
    entries = [
        (entry["act"], entry.get("until_ms"))
        for entry in json.loads(files["access-log.json"])["entries"]
        if entry["act"].startswith(("call:keep_", "call:h"))
    ]
    assert entries == [("call:keep_asked", None), ("call:held", until_ms)]
    assert verdict_of(files, tmp_path).findings == []
    assert "call held, last day" in files["REPORT.en.html"].decode()
    assert "Löschsperre für ein Gespräch gesetzt, letzter Tag" in files["REPORT.de.html"].decode()
    assert not [name for name, content in files.items() if b"Ludmilla" in content]


# by hand, with openssl


def test_openssl_alone_checks_a_whole_day_with_the_commands_of_the_export(day: Day, tmp_path: Path) -> None:
    told = by_hand(day.whole, tmp_path)
    fingerprint = re.search(r"sha256 Fingerprint=([0-9A-F:]+)", told)
    assert fingerprint is not None
    assert verifier.plain_fingerprint(fingerprint[1]) == day.root
    assert "device.pem: OK" in told
    assert told.count("Verified OK") == told.count(": as signed") == 5  # two calls, the day, the log, a receipt
    assert told.count(": as recorded") == told.count(": counted in the day") == 2
    assert "CHANGED" not in told
    assert "NOT COUNTED" not in told


def test_openssl_alone_notices_changed_audio_and_facts(day: Day, tmp_path: Path) -> None:
    files = changed(day.whole, FIRST + "audio.ogg", lambda audio: audio[:-1] + b"x")
    files = changed(files, LAST + "recording.json", lambda text: text.replace(b"Consent", b"Dissent"))
    told = by_hand(files, tmp_path)
    assert "calls/front-desk_2027-01-15_0001: CHANGED" in told
    assert "calls/front-desk_2027-01-15_0004/recording.json: CHANGED" in told
    assert "calls/front-desk_2027-01-15_0004: NOT COUNTED" in told


# tampering, each with its own sentence

_SIGNATURE = ("recording.attest", "recording.sig")

TAMPERING: dict[str, tuple[Callable[[Export, Day], Export], str]] = {
    "audio": (
        lambda files, _: changed(files, FIRST + "audio.ogg", lambda audio: audio[:-1] + bytes([audio[-1] ^ 1])),
        "Call 1 of line front-desk on 2027-01-15: The audio was changed: it is not the audio that was recorded.",
    ),
    "audio taken out": (
        lambda files, _: without(files, FIRST + "audio.ogg"),
        "Call 1 of line front-desk on 2027-01-15: its audio is missing.",
    ),
    "audio of another call": (
        lambda files, _: {**files, FIRST + "audio.ogg": files[LAST + "audio.ogg"]},
        "Call 1 of line front-desk on 2027-01-15: The audio was changed",
    ),
    "facts": (
        lambda files, _: changed(files, FIRST + "recording.json", lambda text: text.replace(b"Consent", b"Dissent")),
        "The statement about front-desk_2027-01-15_0001: A statement is not the one that was signed: its text was",
    ),
    "one gap removed": (
        lambda files, _: changed(
            files, FIRST + "recording.json", rewritten(lambda facts: facts["closing"]["gaps"].pop())  # type: ignore[index]
        ),
        "Its list of gaps was changed: the gaps listed add up to 0.01 s, but 0.51 s are stated as lost.",
    ),
    "a gap moved over another": (
        lambda files, _: changed(
            files,
            FIRST + "recording.json",
            rewritten(lambda facts: facts["closing"]["gaps"][1].update(at_frame=801)),  # type: ignore[index]
        ),
        "Its list of gaps is not in order",
    ),
    "another box's certificate": (
        lambda files, other: {**files, "device.pem": other.whole["device.pem"], "root.pem": other.whole["root.pem"]},
        "It names another box than the certificates in this file do: one of them is another box's.",
    ),
    "a root that did not issue": (
        lambda files, other: {**files, "root.pem": other.whole["root.pem"]},
        "The certificates do not belong together",
    ),
    "no certificate": (
        lambda files, _: without(files, "device.pem"),
        "The box's certificates are missing",
    ),
    "a statement of another box under this one's name": (
        lambda files, other: {**files, **{FIRST + p: other.whole[FIRST + p] for p in _SIGNATURE}},
        "A statement is not signed by this box",
    ),
    "one call missing from the day": (
        lambda files, _: without(files, LAST),
        "Call 4 of the day is missing from this file: neither its recording is here nor a receipt for its deletion.",
    ),
    "the receipt missing": (
        lambda files, _: without(files, "receipts/"),
        "Call 2 of the day is missing from this file: neither its recording is here nor a receipt for its deletion.",
    ),
    "a call struck from the day's numbers": (
        lambda files, _: changed(files, "day.json", rewritten(lambda facts: facts["calls"].pop(1))),  # type: ignore[attr-defined]
        "The calls of the day are not numbered without a hole: 2 is missing.",
    ),
    "lost seconds of the day": (
        lambda files, _: changed(files, "day.json", rewritten(lambda facts: facts.update(lost_ms=0))),
        "The day's lost seconds do not add up to what its calls lost.",
    ),
    "the day's statement missing": (
        lambda files, _: without(files, "day."),
        "The day's statement was exported, and is missing from this file.",
    ),
    "the access log missing": (
        lambda files, _: without(files, "access-log."),
        "The access log: The file access-log.json is missing.",
    ),
    "an entry struck from the access log": (
        lambda files, _: changed(files, "access-log.json", rewritten(lambda facts: facts["entries"].pop())),  # type: ignore[attr-defined]
        "The access log: A statement is not the one that was signed: its text was changed.",
    ),
    "a signature missing": (
        lambda files, _: without(files, FIRST + "recording.sig"),
        "recording.sig is missing.",
    ),
    "one statement under another's name": (
        lambda files, _: {**files, **{f"day{s}": files[f"access-log{s}"] for s in (".json", ".attest", ".sig")}},
        "This is a statement about something else.",
    ),
    "the verifier": (
        lambda files, _: changed(files, "verify.py", lambda text: text + b"\n"),
        "The program verify.py was changed.",
    ),
    "a file put in": (
        lambda files, _: {**files, FIRST + "note.txt": b"hello"},
        "The file 'calls/front-desk_2027-01-15_0001/note.txt' does not belong to this export.",
    ),
    "a call of another day put in": (
        lambda files, other: {
            **files, **{n.replace("0001", "0009"): c for n, c in other.whole.items() if n.startswith(FIRST)}
        },
        "was not exported with it.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_has_its_own_sentence(
    day: Day, other: Day, change: Callable[[Export, Day], Export], sentence: str, tmp_path: Path
) -> None:
    findings = verdict_of(change(day.whole, other), tmp_path).findings
    assert [finding for finding in findings if sentence in finding], findings


def stated_anew(files: Export, name: str, notary: Notary, change: Callable[[dict[str, Any]], object]) -> Export:
    """Another statement about the same call, truly signed by the same box."""
    facts = json.loads(files[name + ".json"])
    change(facts)
    signed = notary.sign(RECORDING, facts)
    parts = {".json": signed.statement, ".attest": signed.attest, ".sig": signed.signature}
    return {**files, **{name + suffix: part for suffix, part in parts.items()}}


def test_a_truly_signed_statement_that_the_day_does_not_count_is_no_evidence(house: BoxHouse, tmp_path: Path) -> None:
    settings = house.settings("stated-anew")
    with house.opened(settings) as box, Desk(box, settings).opened() as desk:
        call, another = kept_call(box), "ab" * 16
        box.evidence.run()
        house.hands.pass_s(DAY_S)
        box.evidence.run()
        files = desk.export(call, whole_day=False)
        (name,) = [name.removesuffix(".json") for name in files if name.endswith("recording.json")]
        assert verdict_of(files, tmp_path).findings == []

        def findings(change: Callable[[dict[str, Any]], object]) -> list[str]:
            return verdict_of(stated_anew(files, name, box.notary, change), tmp_path).findings

        day = json.loads(files["day.json"])["day"]
        assert findings(lambda facts: facts["opening"].update(ground="Another.")) == [
            f"Call 1 of line front-desk on {day}: the day counts another statement about this call than the one in "
            "this file."
        ]
        assert findings(lambda facts: facts.update(day="2026-12-31")) == [
            "Call 1 of line front-desk on 2026-12-31: it is not among the calls of the day."
        ]
        assert findings(lambda facts: (facts.update(line="back"), facts["opening"].update(line="back"))) == [
            f"Call 1 of line back on {day}: it is not among the calls of the day."
        ]
        assert f"Call 1 of line front-desk on {day}: it is not among the calls of the day." in findings(
            lambda facts: [part.update(call=another) for part in (facts, facts["opening"], facts["closing"])]
        )


def test_every_named_kind_of_tampering_is_told_apart_by_the_program(day: Day, other: Day, tmp_path: Path) -> None:
    told = {}
    for kind in ("audio", "facts", "one gap removed", "another box's certificate", "one call missing from the day"):
        change, sentence = TAMPERING[kind]
        done = run_verifier({**change(day.whole, other), "verify.py": day.whole["verify.py"]}, tmp_path)
        assert done.returncode == 1
        told[kind] = done.stdout
        assert sentence in done.stdout, kind
        assert [k for k, output in told.items() if sentence in output] == [kind]


def test_a_whole_forgery_by_another_box_is_caught_by_the_label(day: Day, other: Day, tmp_path: Path) -> None:
    assert verdict_of(other.whole, tmp_path).findings == []
    findings = verdict_of(other.whole, tmp_path, day.root).findings
    assert any("These certificates are another box's" in finding for finding in findings)


def test_every_byte_of_a_statement_counts(day: Day, tmp_path: Path) -> None:
    for suffix in ("json", "attest", "sig"):
        name = f"{LAST}recording.{suffix}"
        content = day.single[name]
        for place in {0, len(content) // 2, len(content) - 1}:
            flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            assert verdict_of({**day.single, name: flipped}, tmp_path).findings, (name, place)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06 no zip", b"x" * 1000])
def test_what_is_no_export_is_one_sentence(content: bytes, day: Day, tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_bytes(day.whole["verify.py"])
    (tmp_path / "export.zip").write_bytes(content)
    command = [sys.executable, "-I", "verify.py", "export.zip"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "export.zip cannot be read" in done.stderr


def test_a_zip_damaged_anywhere_ends_without_a_traceback(day: Day, tmp_path: Path) -> None:
    whole = written(day.single, tmp_path / "whole.zip").read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        (tmp_path / "bad.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(verifier.Unreadable):
            verifier.check_export(tmp_path / "bad.zip")


def test_names_in_an_export_cannot_command_a_terminal(day: Day, tmp_path: Path) -> None:
    verdict = verdict_of({**day.single, "\x1b[2Jnote": b""}, tmp_path)
    assert "\x1b" not in "".join(verifier.tell(verdict, asked=False))


# handing out


def test_what_cannot_be_handed_out_is_said_and_journals_nothing(house: BoxHouse) -> None:
    with house.opened(house.settings("refusing")) as box:
        fresh = kept_call(box)
        before = acts_of(box).count("evidence:exported")
        with pytest.raises(NotSigned):
            box.evidence_desk.export(OWNER, ExportEvidence(login="A" * 43, call=fresh))
        box.evidence.run()
        with pytest.raises(DayNotOver):
            box.evidence_desk.export(OWNER, ExportEvidence(login="A" * 43, call=fresh, whole_day=True))
        with pytest.raises(NoSuchCall):
            box.evidence_desk.export(OWNER, ExportEvidence(login="A" * 43, call=CallId("ab" * 16)))
        assert acts_of(box).count("evidence:exported") == before
        assert box.evidence_desk.about(fresh).is_signed
        assert not box.evidence_desk.about(fresh).day_is_signed


def test_a_statement_that_no_export_announced_is_journalled_as_one_and_needs_the_right(house: BoxHouse) -> None:
    nobody = replace(OWNER, rights=frozenset(Right) - {Right.HEAR_CALLS})
    with house.opened(house.settings("unannounced")) as box:
        missed, call = unrecorded_call(box), kept_call(box)
        box.evidence.run()
        before = acts_of(box)
        with pytest.raises(NotAllowed, match="does not include this right"):
            box.evidence_desk.read_statement(nobody, call)
        with pytest.raises(NothingRecorded):
            box.evidence_desk.read_statement(OWNER, missed)
        assert acts_of(box) == before
        read = box.evidence_desk.read_statement(OWNER, call)
        assert json.loads(read.statement)["call"] == call
        assert acts_of(box) == [*before, "evidence:exported"]
        entry = box.journal.last(Act.EVIDENCE_EXPORTED)
        assert entry is not None
        assert (entry.by, entry.ids) == (OWNER.account, (call,))


def test_a_day_tells_why_a_call_was_not_recorded(house: BoxHouse, tmp_path: Path) -> None:
    settings = house.settings("not-recorded")
    with house.opened(settings) as box, Desk(box, settings).opened() as desk:
        missed, call = unrecorded_call(box), kept_call(box)
        with pytest.raises(NothingRecorded):
            box.evidence_desk.export(OWNER, ExportEvidence(login="A" * 43, call=missed))
        box.evidence.run()
        house.hands.pass_s(DAY_S)
        box.evidence.run()
        whole = desk.export(call, whole_day=True)
    verdict = verdict_of(whole, tmp_path)
    assert verdict.findings == []
    assert "  Call 1 was not kept: it rang, and nobody answered." in verdict.said
    assert "Missed" in whole["REPORT.en.html"].decode()


def test_an_exported_day_counts_as_so_many_openings(house: BoxHouse) -> None:
    now_s = 0.0
    with house.opened(house.settings("pacing")) as box:
        box.playback._steady_s = lambda: now_s
        calls = [CallId(f"{nth:032x}") for nth in range(OPENINGS_A_MINUTE * 2 + 1)]
        box.playback.note_export(OWNER, calls, scope="day")
        with pytest.raises(TooManyOpenings) as refused:
            box.playback.note_export(OWNER, calls[:1], scope="call")
        assert refused.value.facts["wait_s"] == 121
        now_s = 119.0
        with pytest.raises(TooManyOpenings):
            box.playback.note_export(OWNER, calls[:1], scope="call")
        now_s = 121.0
        box.playback.note_export(OWNER, calls[:1], scope="call")
