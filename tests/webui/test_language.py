"""German and English: chosen by the browser or the person, and complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask
from flask.testing import FlaskClient

from appliance.recordings.container import EndReason
from appliance.settings import WebuiSettings
from appliance.terms import ConsentBy, SettingsTrouble
from tests.simulators.vault_stub import NOW_MS
from webui import wording
from webui.app import create_app

WEBUI = Path(wording.__file__).parent
APPLIANCE = WEBUI.parent / "appliance"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


@pytest.fixture(scope="module")
def german() -> Catalog:
    with (WEBUI / "translations/de/LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file)


def texts_in_the_source() -> Iterator[Any]:
    """Texts, or pairs of one and many."""
    options = {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
    for _file, _line, text, _comments, _context in extract_from_dir(
        WEBUI, METHODS, options_map=options, keywords=KEYWORDS, strip_comment_tags=True
    ):
        yield text


def translations(message: Message) -> tuple[str, ...]:
    told: Any = message.string
    return told if isinstance(told, tuple) else (told,)


def test_every_text_of_the_source_has_its_german(german: Catalog) -> None:
    missing = {text for text in texts_in_the_source() if text not in german}
    assert missing == set()


def test_german_catalogue_holds_nothing_that_is_said_no_more(german: Catalog) -> None:
    said = {text if isinstance(text, str) else text[0] for text in texts_in_the_source()}
    kept = {message.id if isinstance(message.id, str) else message.id[0] for message in german if message.id}
    assert kept - said == set()
    assert german.obsolete == {}


def test_every_german_text_is_whole_and_certain(german: Catalog) -> None:
    for message in german:
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        assert all(translations(message)), message.id
        singular = message.id if isinstance(message.id, str) else message.id[0]
        for translation in translations(message):
            assert sorted(PLACEHOLDER.findall(translation)) == sorted(PLACEHOLDER.findall(singular)), singular


def test_every_ending_of_a_recording_can_be_said() -> None:
    assert wording._ENDINGS.keys() == set(EndReason)
    assert set(EndReason) >= wording.CUT_SHORT


def test_every_consent_of_a_recording_can_be_said() -> None:
    assert wording._CONSENTS.keys() | {ConsentBy.DUTY} == set(ConsentBy)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("de", "de"), ("de-AT,de;q=0.9,en;q=0.5", "de"), ("en-US", "en"), ("fr,de;q=0.5", "de"), ("fr", "en"), ("", "en")],
)
def test_browser_chooses_the_language(asked: str, shown: str, stranger: FlaskClient) -> None:
    assert f'<html lang="{shown}">' in stranger.get("/login", headers={"Accept-Language": asked}).text


def test_chosen_language_is_remembered_and_the_address_stays(owner: FlaskClient) -> None:
    answer = owner.get("/?line=front-desk&number=12&lang=de")
    assert (answer.status_code, answer.location) == (303, "/?line=front-desk&number=12")
    assert "Leitung" in owner.get(answer.location, headers={"Accept-Language": "en"}).text
    cookie = owner.get_cookie("lang")
    assert cookie is not None
    assert cookie.value == "de"


@pytest.mark.parametrize("language", ["fr", "", "../etc", "de%00"])
def test_language_that_we_do_not_speak_changes_nothing(language: str, stranger: FlaskClient) -> None:
    answer = stranger.get(f"/login?lang={language}")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("address", ["//evil.example/?lang=de", "/no-such-page?lang=de", "/\\evil.example?lang=de"])
def test_language_switch_leads_to_our_own_pages_only(address: str, owner: FlaskClient) -> None:
    answer = owner.get(address)
    assert "evil" not in (answer.location or "")
    assert "Set-Cookie" not in answer.headers


def test_page_offers_the_other_language_for_what_it_shows(owner: FlaskClient) -> None:
    assert 'href="?line=front-desk&amp;lang=de"' in owner.get("/?line=front-desk").text


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Sunday, 22 November 2026, 14:05"), ("de", "Sonntag, 22. November 2026, 14:05 Uhr")]
)
def test_moment_is_said_as_people_in_the_country_do(language: str, said: str, app: Flask) -> None:
    with app.test_request_context(headers={"Accept-Language": language}):
        assert wording.moment_text(NOW_MS) == said


def test_time_zone_that_does_not_exist_stops_the_start(app: Flask) -> None:
    with pytest.raises(SettingsTrouble, match="Europe/Nowhere"):
        create_app(WebuiSettings(timezone="Europe/Nowhere"), None, None, None)  # type: ignore[arg-type]
