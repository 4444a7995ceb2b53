"""Evidence as it is taken away from a call's page: one ZIP, made while it is sent, explained in two languages."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.terms import RATE_HZ
from tests.simulators.vault_stub import NOW_MS, SIGNED, StubCall, VaultStub, made_up_facts, speaking_call, trouble
from webui.ranges import RANGE_LIMIT_BYTES
from webui.zip_stream import Member, member, zip_pieces

CALL = dataclasses.replace(
    speaking_call(made_up_facts(1, NOW_MS - 60_000, seconds=3)), gaps=((RATE_HZ, RATE_HZ // 2, "overrun"),)
)
BIG = StubCall(
    facts=made_up_facts(2, NOW_MS), audio=np.random.default_rng(1).bytes(2 * RANGE_LIMIT_BYTES + 99), frames=1
)
ADDRESS = f"/calls/{CALL.facts.call}"
MADE_AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
def kept(stub: VaultStub) -> None:
    stub.keep(CALL)


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def with_evidence(**changed: object) -> StubCall:
    return dataclasses.replace(CALL, evidence=verbs.Evidence(**changed))  # type: ignore[arg-type]


def test_page_offers_both_exports_and_shows_the_fingerprint(owner: FlaskClient, stub: VaultStub) -> None:
    page = owner.get(ADDRESS).text
    assert f'href="{ADDRESS}/evidence.zip"' in page
    assert f'href="{ADDRESS}/day-evidence.zip"' in page
    assert "Signed by this box as call 3 of line front-desk on 2026-11-22 (UTC)." in page
    assert "0F0F 0F0F" in page
    assert stub.requests(verbs.ExportEvidence) == []


def test_page_of_a_day_that_runs_offers_the_call_alone_and_says_why(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(with_evidence(root=SIGNED.root, is_signed=True, day="2026-11-22", number=3))
    page = owner.get(ADDRESS).text
    assert f'href="{ADDRESS}/evidence.zip"' in page
    assert "day-evidence.zip" not in page
    assert "only then is it proven that no call of it is missing" in page


def test_page_of_a_call_that_is_not_signed_yet_offers_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(with_evidence(root=SIGNED.root))
    page = owner.get(ADDRESS).text
    assert "evidence.zip" not in page
    assert "Nothing is signed about this call yet." in page


def test_export_holds_what_the_vault_gave_the_audio_and_two_reports(owner: FlaskClient) -> None:
    answer = owner.get(f"{ADDRESS}/evidence.zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="evidence_call-1.zip"'
    files = files_of(answer.data)
    assert files["calls/call-1/audio.ogg"] == CALL.audio
    assert files["calls/call-1/recording.attest"] == b"attest"
    assert files["verify.py"] == b"print()"
    assert {"REPORT.de.html", "REPORT.en.html", "day.json", "access-log.json"} <= set(files)


def test_reports_tell_the_same_in_german_and_english_whoever_asks(owner: FlaskClient) -> None:
    files = files_of(owner.get(f"{ADDRESS}/evidence.zip", headers={"Accept-Language": "de"}).data)
    english, german = files["REPORT.en.html"].decode(), files["REPORT.de.html"].decode()
    for page, told in (
        (
            english,
            ("It is not signed itself", "0.5 seconds, the box was too slow", "listened to", "What this does not"),
        ),
        (german, ("selbst ist nicht unterschrieben", "0,5 Sekunden, das", "angehört", "Was das nicht beweist")),
    ):
        for sentence in (*told, "Agreed &lt;in writing&gt;", "something:new", "0F0F 0F0F", CALL.facts.call):
            assert sentence in page, sentence
    assert '<html lang="de">' in german
    assert "<script" not in english + german


def test_reports_say_what_proves_consent_and_when(owner: FlaskClient, stub: VaultStub) -> None:
    told = {
        ("key", NOW_MS): ("key pressed at 14:05:00", "Taste gedrückt um 14:05:00 Uhr"),
        ("duty", NOW_MS): ("No consent asked</td>", "Keine Einwilligung erfragt</td>"),
        ("", 0): ("not noted in this recording", "in dieser Aufzeichnung nicht vermerkt"),
    }
    for (by, at_ms), sentences in told.items():
        stub.keep(dataclasses.replace(CALL, consent_by=by, consent_at_ms=at_ms))
        files = files_of(owner.get(f"{ADDRESS}/evidence.zip").data)
        for code, sentence in zip(("en", "de"), sentences, strict=True):
            assert f"<td>{sentence}" in files[f"REPORT.{code}.html"].decode()


def test_report_of_a_day_that_runs_says_that_it_says_nothing_of_other_calls(
    owner: FlaskClient, stub: VaultStub
) -> None:
    stub.keep(with_evidence(root=SIGNED.root, is_signed=True, day="2026-11-22", number=3))
    page = files_of(owner.get(f"{ADDRESS}/evidence.zip").data)["REPORT.en.html"].decode()
    assert "The day was not over when this was exported" in page
    assert "No call was left out" not in page


def test_whole_day_holds_every_call_and_names_the_deleted(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(BIG)
    answer = owner.get(f"{ADDRESS}/day-evidence.zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="evidence_front-desk_2026-11-22.zip"'
    files = files_of(answer.data)
    assert files["calls/call-2/audio.ogg"] == BIG.audio
    page = files["REPORT.en.html"].decode()
    assert "4 calls began on this day." in page
    assert page.count("no: it was deleted, see the receipts") == 1


def test_audio_is_read_for_evidence_in_pieces_that_one_answer_holds(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(BIG)
    assert files_of(owner.get(f"/calls/{BIG.facts.call}/evidence.zip").data)  # the audio is read while it is sent
    reads = [request for request in stub.requests(verbs.Read) if isinstance(request, verbs.Read)]
    assert {read.purpose for read in reads} == {verbs.Purpose.EVIDENCE}
    assert [read.offset for read in reads] == [0, RANGE_LIMIT_BYTES, 2 * RANGE_LIMIT_BYTES]


def test_head_exports_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.head(f"{ADDRESS}/evidence.zip").mimetype == "application/zip"
    assert stub.requests(verbs.ExportEvidence) == []


@pytest.mark.parametrize(("kind", "status"), [("NotSigned", 409), ("DayNotOver", 409), ("TooManyOpenings", 429)])
def test_export_that_the_vault_refuses_is_a_page_and_no_zip(
    kind: str, status: int, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.troubles[verbs.ExportEvidence] = trouble(kind, wait_s=90)
    answer = owner.get(f"{ADDRESS}/day-evidence.zip")
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert "Content-Disposition" not in answer.headers


def test_export_that_breaks_off_is_no_zip(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(BIG)
    answer = owner.get(f"/calls/{BIG.facts.call}/evidence.zip", buffered=False)
    received = b""
    with pytest.raises(Exception, match="No"):  # noqa: PT012 - the vault's refusal, in the middle of the stream
        for piece in answer.iter_encoded():
            received += piece
            if len(received) > RANGE_LIMIT_BYTES:
                stub.end_logins()
    assert len(received) > RANGE_LIMIT_BYTES
    with pytest.raises(zipfile.BadZipFile):
        files_of(received)


def test_file_is_asked_for_when_its_turn_comes() -> None:
    asked: list[int] = []

    def one(number: int) -> Member:
        asked.append(number)
        return member(f"{number}", bytes(100))

    pieces = zip_pieces((one(number) for number in range(3)), MADE_AT)
    next(pieces)
    assert asked == [0]
    assert set(files_of(b"".join([next(zip_pieces(iter(()), MADE_AT))]))) == set()


def test_file_beyond_4_gib_is_announced_as_zip64() -> None:
    small = Member(name="a", pieces=(b"x",), length=5 * 2**30, is_dense=True)
    assert files_of(b"".join(zip_pieces([small], MADE_AT))) == {"a": b"x"}
    plain = b"".join(zip_pieces([member("a", b"x")], MADE_AT))
    assert len(b"".join(zip_pieces([small], MADE_AT))) > len(plain)
