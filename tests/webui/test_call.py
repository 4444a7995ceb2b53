"""The page of one call, and its deletion."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.terms import RATE_HZ
from tests.simulators.vault_stub import NOW_MS, StubCall, VaultStub, made_up_facts, speaking_call, trouble, with_gaps

CALL = speaking_call(made_up_facts(1, NOW_MS - 60_000, seconds=3))
ADDRESS = f"/calls/{CALL.facts.call}"


@pytest.fixture(autouse=True)
def kept(stub: VaultStub) -> None:
    stub.keep(CALL)


def test_page_shows_facts_and_where_it_can_be_taken_away(owner: FlaskClient) -> None:
    page = owner.get(ADDRESS).text
    for fact in (CALL.facts.number, "front-desk", "14:04", "0:03", "deleted on 22 Dec 2026", "the call was over"):
        assert fact in page
    for way in ("/audio.ogg", "/download.ogg", "/download.wav", "/delete"):
        assert f'"{ADDRESS}{way}"' in page


def test_page_of_a_call_that_was_not_recorded_shows_facts_and_no_player(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(StubCall(facts=msgspec.structs.replace(CALL.facts, not_kept="refused"), audio=b"", frames=0))
    page = owner.get(ADDRESS).text
    for fact in ("Not recorded: no consent", CALL.facts.number, "front-desk", "14:04", "deleted on 22 Dec 2026"):
        assert fact in page
    for thing in ("audio", "player", "download", "evidence", "Missing"):
        assert thing not in page
    assert f'"{ADDRESS}/delete"' in page


def test_page_carries_waveform_length_and_gaps_for_the_player(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(with_gaps(CALL, (RATE_HZ, RATE_HZ // 2, "overrun"), (2 * RATE_HZ, 800, "something new")))
    page = owner.get(ADDRESS).text
    peaks, seconds, gaps = (
        html.unescape(re.search(f'data-{name}="([^"]*)"', page)[1])  # type: ignore[index]
        for name in ("peaks", "seconds", "gaps")
    )
    assert base64.b64decode(peaks) == CALL.peaks
    assert float(seconds) == 3
    assert [(gap["start_s"], gap["end_s"]) for gap in json.loads(gaps)] == [(1.0, 1.5), (2.0, 2.1)]
    assert "2 gaps, 0.6 seconds" in page
    assert "at 0:01: 0.5 seconds, the box was too slow for a moment" in page
    assert "something new" in page


@pytest.mark.parametrize(
    ("by", "english", "german"),
    [
        ("key", "key pressed at 14:04:12", "Taste gedrückt um 14:04:12 Uhr"),
        (
            "agent",
            "spoken yes, confirmed by the side that records at 14:04:12",
            "mündliches Ja, von der aufzeichnenden Seite",
        ),
        ("announcement", "announcement heard to its end at 14:04:12", "Ansage bis zum Ende gehört um 14:04:12 Uhr"),
        ("duty", "No consent asked: 100 % &lt;duty&gt;", "Keine Einwilligung erfragt: 100 % &lt;duty&gt;"),
        ("", "not noted in this recording", "in dieser Aufzeichnung nicht vermerkt"),
    ],
)
def test_page_says_what_proves_consent_and_when(
    by: str, english: str, german: str, owner: FlaskClient, stub: VaultStub
) -> None:
    at_ms = NOW_MS - 60_000 + 12_345
    stub.keep(dataclasses.replace(CALL, ground="100 % <duty>", consent_by=by, consent_at_ms=at_ms if by else 0))
    assert f"<dt>Consent</dt><dd>{english}" in owner.get(ADDRESS).text
    assert f"<dt>Einwilligung</dt><dd>{german}" in owner.get(ADDRESS, headers={"Accept-Language": "de"}).text


def test_consent_of_a_later_kind_is_said_as_it_came(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(dataclasses.replace(CALL, consent_by="telepathy", consent_at_ms=1))
    assert "<dt>Consent</dt><dd>telepathy</dd>" in owner.get(ADDRESS).text


def test_page_alone_opens_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    page = owner.get(ADDRESS).text
    assert 'preload="none"' in page
    assert stub.requests(verbs.Read) == []


@pytest.mark.parametrize("name", ["nonsense", "A" * 32, "a" * 31, "a" * 33, "%00" * 32])
def test_name_that_is_no_calls_is_not_put_to_the_vault(name: str, owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get(f"/calls/{name}").status_code == 404
    assert stub.requests(verbs.OpenCall) == []


def test_call_that_is_gone_is_said(owner: FlaskClient) -> None:
    answer = owner.get(f"/calls/{'e' * 32}")
    assert answer.status_code == 404
    assert "This call is not here" in answer.text


def test_asking_to_delete_says_the_price_and_deletes_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    page = owner.get(f"{ADDRESS}/delete").text
    assert "This cannot be undone." in page
    assert f'href="{ADDRESS}"' in page
    assert CALL.facts.call in stub.calls


def test_confirmed_deletion_is_done_and_said(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.post(f"{ADDRESS}/delete")
    assert answer.status_code == 200
    assert "The call is deleted" in answer.text
    assert CALL.facts.call not in stub.calls


def test_deletion_that_is_refused_is_never_said_to_be_done(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.EraseCall] = trouble("StillRunning")
    answer = owner.post(f"{ADDRESS}/delete")
    assert answer.status_code == 409
    assert "The call is deleted" not in answer.text
    assert "This call is still being recorded" in answer.text
