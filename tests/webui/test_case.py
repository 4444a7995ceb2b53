"""The case on the first page and on its own: shown until it is acknowledged, once through the whole vault."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from tests.simulators.vault_stub import NOW_MS, VaultStub, quiet_box
from webui.pages.live import Chip, Tone, view_of

NO_CHIP = (
    "There is no GPIO chip /dev/gpiochip9, so the switch of the case is not used. An opening of the case is not "
    "noticed without it; correct 'chip' in the settings ('gpiodetect' lists them)."
)


def case(*, is_open: bool | None = False, openings: int = 0, trouble: str = "") -> verbs.CaseNow:
    return verbs.CaseNow(is_open=is_open, openings=openings, counted=7, opened_at_ms=NOW_MS, trouble=trouble)


def put(stub: VaultStub, now: verbs.CaseNow | None, *, alive: bool = True) -> None:
    stub.now = msgspec.structs.replace(stub.now, case=now, recorder_alive=alive)


def chip(client: FlaskClient, stub: VaultStub) -> Chip | None:
    with client.application.test_request_context(headers={"Accept-Language": "en"}):
        return next((chip for chip in view_of(stub.now, NOW_MS).chips if chip.name == "case"), None)


@pytest.mark.parametrize(
    ("now", "alive", "value", "tone", "note"),
    [
        (case(), True, "closed", Tone.GOOD, ""),
        (case(is_open=True), True, "open", Tone.WARN, "Close it"),
        (case(openings=1), True, "opened", Tone.BAD, "opened 1 time, noted last: Sunday, 22 November 2026, 14:05."),
        (case(is_open=True, openings=3), True, "open", Tone.BAD, "opened 3 times"),
        (case(is_open=None, trouble=NO_CHIP), True, "not watched", Tone.WARN, "/dev/gpiochip9"),
        (case(), False, "not watched", Tone.WARN, "Nobody watches"),
        (case(is_open=True, openings=1), False, "opened", Tone.BAD, "opened 1 time"),
    ],
)
def test_first_page_says_how_the_case_is_and_never_more_than_the_recorder_did(
    now: verbs.CaseNow, value: str, tone: Tone, note: str, owner: FlaskClient, stub: VaultStub, *, alive: bool
) -> None:
    put(stub, now, alive=alive)
    told = chip(owner, stub)
    assert told is not None
    assert (told.value, told.tone, told.address) == (value, tone, "/case")
    assert note in told.note
    assert bool(note) is bool(told.note)


def test_box_without_a_switch_shows_no_case(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = quiet_box("front-desk")
    assert chip(owner, stub) is None
    assert owner.get("/case").location == "/"


def test_openings_that_were_seen_are_acknowledged_and_the_first_page_is_quiet(
    owner: FlaskClient, stub: VaultStub
) -> None:
    put(stub, case(openings=2))
    assert "was opened 2 times" in owner.get("/").text
    page = owner.get("/case").text
    for said in ("The case is closed", "Opened 2 times", "Sunday, 22 November 2026, 14:05", 'name="counted" value="7"'):
        assert said in page
    answer = owner.post("/case/acknowledge", data={"counted": "7"})
    assert (answer.status_code, answer.location) == (303, "/")
    (given,) = stub.requests(verbs.AcknowledgeOpenings)
    assert isinstance(given, verbs.AcknowledgeOpenings)
    assert given.counted == 7
    assert "was opened" not in owner.get("/").text
    assert "/case/acknowledge" not in owner.get("/case").text


@pytest.mark.parametrize("counted", ["", "x", "-1", "9" * 17, "٣"])
def test_a_count_that_is_none_is_refused(counted: str, owner: FlaskClient, stub: VaultStub) -> None:
    put(stub, case(openings=1))
    assert owner.post("/case/acknowledge", data={"counted": counted}).status_code == 400
    assert stub.requests(verbs.AcknowledgeOpenings) == []


def test_german_reader_reads_it_in_german(owner: FlaskClient, stub: VaultStub) -> None:
    put(stub, case(is_open=None, openings=1, trouble=NO_CHIP))
    page = owner.get("/case", headers={"Accept-Language": "de"}).text
    for said in ("Das Gehäuse wird nicht bewacht", "1 Mal geöffnet", "Ich weiß davon", "Gehäuseschalter"):
        assert said in page
    assert "Das Gehäuse des Geräts wurde 1 Mal" in owner.get("/", headers={"Accept-Language": "de"}).text
