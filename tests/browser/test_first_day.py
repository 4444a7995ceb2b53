"""A person's first day with the box: the real product, a real line device, a real browser that trusts it truly."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

from appliance.terms import RATE_HZ
from tests.browser.chromium import chromium_that_trusts
from tests.system.house import House, run_linekeep
from tests.system.sounds import conversation, decoded_ogg, read_wav, write_wav
from tests.system.visitor import NAME, PASSWORD
from webui.gate import LOGIN_COOKIE

pytestmark = [pytest.mark.browser, pytest.mark.system]

QUIET_S, SPOKEN_S = 1.0, 24.0
LEAD_S, HOLD_OVER_S = 2.0, 6.0
SIGNED_WITHIN_S = 75

expect.set_options(timeout=30_000)  # what a page shows in its time is no subject here, and the machine may be shared

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`violated: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


@dataclass
class Watched:
    """Everything that a browser window did and complained of."""

    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, window: BrowserContext) -> None:
        window.add_init_script(TELL_VIOLATIONS)
        window.on("request", self._note_request)
        window.on("page", self._watch_page)

    def _note_request(self, request: Request) -> None:
        self.asked.append(request.url)

    def _watch_page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    audio = write_wav(folder / "call.wav", conversation(QUIET_S + SPOKEN_S, lead_s=QUIET_S))
    with House(state=folder / "state", audio=[audio], repeat=True) as house:
        yield house


@pytest.fixture(scope="module")
def chromium(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium_that_trusts(Path(house.ready["ca"]), tmp_path_factory.mktemp("home")) as browser:
        yield browser


def open_window(chromium: Browser, house: House, language: str) -> BrowserContext:
    return chromium.new_context(base_url=f"https://localhost:{house.port}", locale=language)


def test_first_day_from_the_claim_to_the_last_logout(chromium: Browser, house: House, tmp_path: Path) -> None:
    watched = Watched()
    window = open_window(chromium, house, "en-GB")
    watched.watch(window)
    page = window.new_page()

    claim(page, house.ready["claim_code"])
    see_the_running_call(page)
    read_the_first_page_in_german(page)
    house.wait_for("call_ended", timeout_s=45)
    seconds = open_the_call(page)
    listen(page, seconds)
    download(page, seconds, tmp_path)
    sheets = write_the_recovery_key_down(page)
    try_it(house, sheets[1:])
    label = take_the_evidence(page, tmp_path)
    delete(page, label, tmp_path)
    read_the_journal(page, label, tmp_path)
    thief = copy_login(window, chromium, house)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    thief.reload()
    expect(thief.get_by_role("heading", name="Anmelden")).to_be_visible()

    assert [
        url for url in watched.asked if not url.startswith((f"https://localhost:{house.port}/", "data:", "blob:"))
    ] == []
    assert watched.complaints == []


def claim(page: Page, code: str) -> None:
    page.goto("/")
    page.get_by_label("Code on the label").fill(code)
    page.get_by_label("Your name").fill(NAME)
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Make this box mine").click()


def see_the_running_call(page: Page) -> None:
    """The line says that it records, for how long, and its meter follows the voices."""
    card = page.locator("[data-line=line1]")
    expect(card).to_contain_text("Recording now", timeout=15_000)
    level = card.locator("[data-part=level]")
    seen = level.get_attribute("width") or ""
    assert re.fullmatch(r"\d+", seen)
    for _ in range(3):
        expect(level).not_to_have_attribute("width", seen)
        seen = level.get_attribute("width") or ""
    expect(card.locator("[data-part=running]")).to_have_text(re.compile(r"^0:\d\d$"))


def read_the_first_page_in_german(page: Page) -> None:
    page.get_by_role("link", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("button", name="Abmelden")).to_be_visible()
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def open_the_call(page: Page) -> float:
    """Without loading the page: the call that has ended comes by itself. Returns its length."""
    page.locator(".row-time").first.click()
    expect(page.get_by_role("slider", name="Position in the call")).to_be_visible()
    seconds = float(page.locator("[data-player]").get_attribute("data-seconds") or 0)
    assert seconds == pytest.approx(LEAD_S + SPOKEN_S + HOLD_OVER_S, abs=2.5)
    return seconds


def listen(page: Page, seconds: float) -> None:
    """It plays from the start, and goes on playing from where a click in the waveform takes it."""
    page.get_by_role("button", name="Play").click()
    wait_until_played(page, 0.5)
    slider = page.get_by_role("slider", name="Position in the call")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert played_s(page) == pytest.approx(seconds / 2, abs=1)
    wait_until_played(page, seconds / 2 + 1)
    assert played_s(page) < seconds / 2 + 5
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def wait_until_played(page: Page, seconds: float) -> None:
    page.wait_for_function("(least) => document.querySelector('audio').currentTime >= least", arg=seconds)


def played_s(page: Page) -> float:
    return float(page.evaluate("document.querySelector('audio').currentTime"))


def download(page: Page, seconds: float, scratch: Path) -> None:
    """Both files are whole and sound alike."""
    wav = read_wav(save(page, "Download WAV"))
    ogg = decoded_ogg(save(page, "Download Ogg (small)"), scratch / "call.ogg")
    assert len(wav) == round(seconds * RATE_HZ)
    assert len(ogg) == pytest.approx(len(wav), abs=2)
    assert np.sqrt(np.mean(wav.astype(float) ** 2)) > 300


def save(page: Page, link: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=link).click()
    assert re.fullmatch(r"line1_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.(wav|ogg)", waiting.value.suggested_filename)
    return waiting.value.path().read_bytes()


def write_the_recovery_key_down(page: Page) -> list[str]:
    """On three sheets, of which two will do; ends where it began."""
    address = page.url
    page.goto("/")
    page.get_by_label("Pages").get_by_role("link", name="Recovery").click()
    page.get_by_label("Three sheets").check()
    page.locator("#password-make").fill(PASSWORD)
    page.get_by_role("button", name="Show the words").click()
    sheets = [" ".join(sheet.locator("li").all_inner_texts()) for sheet in page.locator(".sheet").all()]
    page.get_by_role("link", name="They are on paper").click()
    for label in page.locator("form[action='/recovery/confirm'] label").all():
        sheet, word = map(int, re.findall(r"\d+", label.inner_text()))
        page.get_by_label(label.inner_text(), exact=True).fill(sheets[sheet - 1].split()[word - 1])
    page.get_by_role("button", name="Use this key from now on").click()
    expect(page.get_by_text("any 2 of 3 sheets open it")).to_be_visible()
    page.goto(address)
    return sheets


def try_it(house: House, sheets: list[str]) -> None:
    """What is on paper opens the call, beside the running box and without its TPM."""
    done = run_linekeep("recover", "--drill", "--state", str(house.state), typed="\n".join(sheets))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The words open call" in done.stdout
    assert "does not say so" not in done.stdout


def take_the_evidence(page: Page, scratch: Path) -> str:
    """Signed within a minute after the call; the program in it finds all of it proven. Returns the fingerprint."""
    link = page.get_by_role("link", name="Evidence for this call (ZIP)")
    for _ in range(SIGNED_WITHIN_S):
        if link.count():
            break
        page.wait_for_timeout(1000)
        page.reload()
    label = page.locator(".evidence .fingerprint").inner_text()
    told = checked(saved(page, link, scratch / "evidence.zip"), label)
    assert "its audio is the one that was recorded." in told
    return label


def checked(export: Path, label: str) -> str:
    """What the program in an export says of it."""
    told = run_program_in(export, label, "-I", "verify.py")
    assert "All that is in this file is proven." in told
    return told


def run_program_in(export: Path, label: str, *program: str) -> str:
    """As somebody would who has nothing of Linekeep."""
    with zipfile.ZipFile(export) as archive:
        archive.extractall(export.parent, [name for name in archive.namelist() if name.endswith(".py")])
    command = [sys.executable, *program, export.name, "--root", label]
    done = subprocess.run(command, cwd=export.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def saved(page: Page, link: Locator, target: Path) -> Path:
    with page.expect_download() as waiting:
        link.click()
    waiting.value.save_as(target)
    return target


def delete(page: Page, label: str, scratch: Path) -> None:
    """The receipt that whoever deleted it is offered names this call, and so does the one in the list."""
    address = page.url
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="The call is deleted")).to_be_visible()
    call = address.rsplit("/", 1)[1]
    told = checked(saved(page, page.get_by_role("link", name="Receipt (ZIP)"), scratch / "receipt.zip"), label)
    assert "Deleted: 1 call (a person asked for it)" in told
    assert f"Call {call}" in told
    page.get_by_role("link", name="To the list of calls").click()
    expect(page.get_by_role("heading", name="Calls", exact=True)).to_be_attached()
    expect(page.locator(f"a[href='/calls/{call}']")).to_have_count(0)
    # Ends where nothing is asked for by itself: a question that meets the end of the login is a complaint.
    page.get_by_label("Pages").get_by_role("link", name="Deletions").click()
    link = page.get_by_role("link", name="Receipt for the deletion of").first
    assert checked(saved(page, link, scratch / "again.zip"), label) == told


def copy_login(window: BrowserContext, chromium: Browser, house: House) -> Page:
    """The page of somebody who has copied the cookie: as long as the login lives, it is let in."""
    copied = next(cookie["value"] for cookie in window.cookies() if cookie["name"] == LOGIN_COOKIE)
    elsewhere = open_window(chromium, house, "de-DE")
    address = f"https://localhost:{house.port}"
    elsewhere.add_cookies([{"name": LOGIN_COOKIE, "value": copied, "url": address, "secure": True}])
    page = elsewhere.new_page()
    page.goto("/calls/" + "0" * 32)  # a page that does not move on by itself when its login ends
    expect(page.get_by_role("button", name="Abmelden")).to_be_visible()
    return page


def read_the_journal(page: Page, label: str, scratch: Path) -> None:
    """It names who did all that, and is found whole elsewhere."""
    page.get_by_label("Pages").get_by_role("link", name="Journal").click()
    for done in ("call listened to", "call downloaded", "call exported as evidence", "deletion of a call asked for"):
        row = page.locator(".act").filter(has_text=done).first
        expect(row).to_contain_text(NAME)
    link = page.get_by_role("link", name="Take the journal away (ZIP)")
    told = run_program_in(saved(page, link, scratch / "journal.zip"), label, "journal_verifier.py")
    assert told.rstrip().endswith(": whole."), told
