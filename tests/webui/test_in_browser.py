"""The pages in a real Chromium: what scripts add, and that all works without them."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from appliance.boundary import verbs
from appliance.terms import CallId, LineName, LineNowState, Order
from tests.simulators.vault_stub import (
    CODE,
    OWNER,
    PASSWORD,
    VaultStub,
    made_up_facts,
    murmur,
    quiet_box,
    speaking_call,
)
from tests.webui.house import House
from webui.gate import LOGIN_COOKIE

pytestmark = pytest.mark.browser

NOW_MS = int(time.time() * 1000)
SPOKEN = speaking_call(made_up_facts(1, NOW_MS - 60_000, seconds=30))
NEWER = speaking_call(made_up_facts(2, NOW_MS - 1000, seconds=1))


@pytest.fixture(scope="module")
def house(compiled_translations: None) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        house = House(Path(folder))
        house.start_web()
        house.start_front()
        yield house
        house.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def stub(house: House) -> VaultStub:
    house.stub.reset()
    return house.stub


def open_window(chromium: Browser, house: House, *, scripts: bool = True) -> BrowserContext:
    return chromium.new_context(
        base_url=house.address, ignore_https_errors=True, java_script_enabled=scripts, locale="en-GB"
    )


def log_in(window: BrowserContext, house: House) -> None:
    window.add_cookies([{"name": LOGIN_COOKIE, "value": house.stub.new_login(), "url": house.address, "secure": True}])


@pytest.fixture
def page(chromium: Browser, house: House, stub: VaultStub) -> Iterator[Page]:
    """A window of the owner; whatever the browser complains about fails the test."""
    window = open_window(chromium, house)
    log_in(window, house)
    page = window.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    yield page
    window.close()
    assert complaints == []


@pytest.mark.parametrize("scripts", [True, False])
def test_new_owner_claims_and_logs_out_and_in(scripts: bool, chromium: Browser, house: House, stub: VaultStub) -> None:
    stub.claimed = False
    window = open_window(chromium, house, scripts=scripts)
    page = window.new_page()
    page.goto("/")
    page.get_by_label("Code on the label").fill(CODE)
    page.get_by_label("Your name").fill(OWNER)
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Make this box mine").click()
    expect(page.get_by_text("No call yet")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Name").fill(OWNER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("No call yet")).to_be_visible()
    window.close()


def test_call_that_begins_is_shown_without_loading_the_page(page: Page, stub: VaultStub) -> None:
    page.goto("/")
    card = page.locator("[data-line=front-desk]")
    expect(card).to_contain_text("Listening")
    call = verbs.LineNow(
        line=LineName("front-desk"),
        level_dbfs=-12.0,
        state=LineNowState.RECORDING,
        call=CallId("f" * 32),
        started_at_ms=NOW_MS - 65_000,
    )
    stub.now = quiet_box(lines=(call,))
    expect(card).to_contain_text("Recording now")
    expect(card.locator("[data-part=running]")).to_have_text(re.compile(r"^\d+:\d\d$"))
    expect(page.locator("[data-part=spoken]")).to_have_text("front-desk: Recording now")
    expect(card.locator("rect")).to_have_attribute("width", "80")


def line_now(state: LineNowState, started_at_ms: int = NOW_MS - 65_000) -> verbs.Now:
    now = verbs.LineNow(line=LineName("front-desk"), level_dbfs=-12.0, state=state, started_at_ms=started_at_ms)
    return quiet_box(lines=(now,))


def test_orders_come_and_go_with_the_state_of_the_call_and_name_its_start(page: Page, stub: VaultStub) -> None:
    page.goto("/")
    card = page.locator("[data-line=front-desk]")
    expect(card.locator("[data-part=orders]")).to_be_hidden()
    stub.now = line_now(LineNowState.WAITING)
    expect(card).to_contain_text("Waiting for consent")
    expect(card.get_by_role("button", name="Confirm consent")).to_be_visible()
    expect(card.get_by_role("button", name="Pause recording")).to_be_hidden()
    stub.now = line_now(LineNowState.RECORDING)
    expect(card.get_by_role("button", name="Confirm consent")).to_be_hidden()
    card.get_by_role("button", name="Pause recording").click()
    page.wait_for_url("/")
    expected = {"line": "front-desk", "order": Order.PAUSE, "started_at_ms": NOW_MS - 65_000}
    (given,) = stub.requests(verbs.OrderLine)
    assert {name: getattr(given, name) for name in expected} == expected


def test_forgetting_asks_once_more_and_works_without_scripts(chromium: Browser, house: House, stub: VaultStub) -> None:
    stub.now = line_now(LineNowState.PAUSED)
    window = open_window(chromium, house, scripts=False)
    log_in(window, house)
    page = window.new_page()
    page.goto("/")
    page.get_by_role("link", name="Forget…").click()
    assert stub.requests(verbs.OrderLine) == []
    page.get_by_role("link", name="Do not forget").click()
    page.get_by_role("link", name="Forget…").click()
    page.get_by_role("button", name="Forget for good").click()
    page.wait_for_url("/")
    (given,) = stub.requests(verbs.OrderLine)
    assert isinstance(given, verbs.OrderLine)
    assert (given.order, given.started_at_ms) == (Order.FORGET, NOW_MS - 65_000)
    window.close()


def test_call_is_asked_to_be_kept_and_the_line_says_so(page: Page, stub: VaultStub) -> None:
    now = verbs.LineNow(line=LineName("office"), level_dbfs=-15.0, state=LineNowState.RECORDING, started_at_ms=NOW_MS)
    stub.now = quiet_box(lines=(now,))
    page.goto("/")
    expect(page.get_by_text("Asked to be kept longer")).to_be_hidden()
    page.get_by_role("button", name="Keep longer?").click()
    page.wait_for_url("**/")
    (given,) = stub.requests(verbs.OrderLine)
    assert isinstance(given, verbs.OrderLine)
    assert (given.order, given.started_at_ms) == (Order.KEEP, NOW_MS)
    stub.now = quiet_box(lines=(msgspec.structs.replace(now, keep_asked=True),))
    expect(page.get_by_text("Asked to be kept longer")).to_be_visible()
    expect(page.get_by_role("button", name="Keep longer?")).to_be_hidden()


@pytest.mark.parametrize("scripts", [True, False])
def test_request_becomes_a_hold_with_a_reason_and_is_lifted(
    scripts: bool, chromium: Browser, house: House, stub: VaultStub
) -> None:
    facts = msgspec.structs.replace(SPOKEN.facts, keep_asked_at_ms=NOW_MS - 70_000)
    stub.keep(dataclasses.replace(SPOKEN, facts=facts))
    window = open_window(chromium, house, scripts=scripts)
    log_in(window, house)
    page = window.new_page()
    page.goto("/?longer=1")
    page.locator(".row-time").click()
    page.get_by_role("link", name="Hold it…").click()
    last_day = datetime.now(UTC).date() + timedelta(days=90)
    page.get_by_label("Last day").fill(str(last_day))
    page.get_by_role("button", name="Hold it").click()
    assert stub.requests(verbs.HoldCall) == []  # the browser asks for the reason
    page.get_by_label("Reason").fill("Claim over twelve tables")
    page.get_by_role("button", name="Hold it").click()
    expect(page.get_by_text("Claim over twelve tables")).to_be_visible()
    expect(page.get_by_role("link", name="Delete…")).to_have_count(0)
    page.get_by_role("link", name="Renew or change…").click()
    expect(page.get_by_label("Last day")).to_have_value(str(last_day))
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="Lift the hold…").click()
    page.get_by_role("button", name="Lift it").click()
    expect(page.get_by_role("link", name="Keep longer…")).to_be_visible()
    assert [type(each) for each in stub.asked if type(each) in (verbs.HoldCall, verbs.LiftHold)] == [
        verbs.HoldCall,
        verbs.LiftHold,
    ]
    window.close()


def test_finished_call_appears_and_the_keyboard_stays_where_it_was(page: Page, stub: VaultStub) -> None:
    stub.keep(SPOKEN)
    page.goto("/")
    link = page.locator(f"a[href='/calls/{SPOKEN.facts.call}']")
    link.focus()
    stub.keep(NEWER)
    stub.now = msgspec.structs.replace(stub.now, newest_change=stub.now.newest_change + 1)
    expect(page.locator(f"a[href='/calls/{NEWER.facts.call}']")).to_be_visible()
    expect(link).to_be_focused()


def test_lost_connection_is_said_and_its_return_too(page: Page, stub: VaultStub) -> None:
    page.goto("/")
    notice = page.get_by_text("No connection to the box.")
    expect(notice).to_be_hidden()
    stub.stop()
    expect(notice).to_be_visible()
    expect(page.locator(".live")).to_have_attribute("data-cut", "")
    stub.restart()
    expect(notice).to_be_hidden(timeout=20_000)


def test_login_that_ends_leads_to_the_login_page(page: Page, stub: VaultStub) -> None:
    page.goto("/")
    stub.end_logins()
    expect(page.get_by_text("Your login has ended.")).to_be_visible()


def test_call_is_played_only_when_asked_and_where_asked(page: Page, stub: VaultStub) -> None:
    stub.keep(SPOKEN)
    page.goto(f"/calls/{SPOKEN.facts.call}")
    seek = page.get_by_role("slider", name="Position in the call")
    expect(seek).to_have_attribute("aria-valuetext", "0:00 of 0:30")
    assert stub.requests(verbs.Read) == []
    box = seek.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("[data-part=at]")).to_have_text("0:15")
    assert stub.requests(verbs.Read) == []
    page.get_by_role("button", name="Play").click()
    expect(page.locator("[data-part=at]")).to_have_text(re.compile("0:1[6-9]"))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert stub.requests(verbs.Read)


def test_keyboard_moves_and_speed_is_taken(page: Page, stub: VaultStub) -> None:
    stub.keep(SPOKEN)
    page.goto(f"/calls/{SPOKEN.facts.call}")
    at = page.locator("[data-part=at]")
    for key, shown in (("ArrowRight", "0:05"), ("ArrowRight", "0:10"), ("ArrowLeft", "0:05")):
        page.keyboard.press(key)
        expect(at).to_have_text(shown)
    page.get_by_role("slider").press("End")
    expect(at).to_have_text("0:30")
    page.get_by_role("slider").press("Home")
    expect(at).to_have_text("0:00")
    page.get_by_role("radio", name="2×").check()
    assert page.evaluate("document.querySelector('audio').playbackRate") == 2
    page.locator("h1").click()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


_HEARD = """async (address) => {
  const answer = await fetch(address);
  const context = new OfflineAudioContext(2, 1, 48000);
  const sound = await context.decodeAudioData(await answer.arrayBuffer());
  const power = (side, from) => sound.getChannelData(side).slice(from, from + 48000).reduce((sum, x) => sum + x * x, 0);
  return [sound.numberOfChannels, ...[0, 1].map((side) => [0, 2].map((at) => power(side, at * 48000)))];
}"""

_DRAWN = """() => {
  const canvas = document.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const [width, height] = [Math.floor(canvas.width / 2), Math.floor(canvas.height / 2)];
  const drawn = (side, half) => pen.getImageData(half * width, side * height, width, height).data.reduce(
    (count, value, at) => count + (at % 4 === 3 && value > 0 ? 1 : 0), 0);
  return [0, 1].map((side) => [0, 1].map((half) => drawn(side, half)));
}"""


def test_browser_hears_each_side_in_its_place_and_shows_both(page: Page, stub: VaultStub) -> None:
    voice = murmur(2)
    near, far = np.concatenate((voice, 0 * voice)), np.concatenate((0 * voice, voice))
    call = speaking_call(made_up_facts(3, NOW_MS - 60_000, seconds=4), np.stack((near, far), axis=1))
    stub.keep(call)
    page.goto(f"/calls/{call.facts.call}")
    channels, (near_first, near_then), (far_first, far_then) = page.evaluate(
        _HEARD, f"/calls/{call.facts.call}/audio.ogg"
    )
    assert channels == 2
    assert near_first > 1000 * far_first
    assert far_then > 1000 * near_then
    sides = page.locator(".side")
    expect(sides).to_have_text(["Own side", "Other side"])
    upper, lower = (sides.nth(nth).bounding_box() for nth in (0, 1))
    assert upper is not None
    assert lower is not None
    assert lower["y"] > upper["y"] + upper["height"]
    # Who speaks first has bars on the left of the upper row, and none there in the lower one.
    drawn = page.evaluate(_DRAWN)
    assert drawn[0][0] > 3 * drawn[1][0]
    assert drawn[1][1] > 3 * drawn[0][1]


def test_call_that_cannot_be_played_is_said(page: Page, stub: VaultStub) -> None:
    stub.keep(SPOKEN)
    page.goto(f"/calls/{SPOKEN.facts.call}")
    del stub.calls[SPOKEN.facts.call]
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("The call cannot be played here.")).to_be_visible()


def test_all_works_without_scripts(chromium: Browser, house: House, stub: VaultStub) -> None:
    stub.keep(SPOKEN)
    window = open_window(chromium, house, scripts=False)
    log_in(window, house)
    page = window.new_page()
    page.goto("/")
    page.locator("#number").fill("4471")
    page.get_by_role("button", name="Find").click()
    page.locator(".row-time").click()
    expect(page.locator("audio")).to_be_visible()
    expect(page.get_by_role("slider")).to_be_hidden()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="The call is deleted")).to_be_visible()
    assert stub.calls == {}
    window.close()


def test_starting_page_opens_by_itself(chromium: Browser, compiled_translations: None) -> None:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        house = House(Path(folder))
        house.start_front()
        window = open_window(chromium, house)
        page = window.new_page()
        page.goto("/login")
        expect(page.get_by_role("heading", name="The box is starting")).to_be_visible()
        house.start_web()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=20_000)
        window.close()
        house.stop()
