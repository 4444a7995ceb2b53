"""The recovery key's pages: the price said, the words shown once, some of them asked for."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
import segno
from flask.testing import FlaskClient
from shamir_mnemonic.wordlist import WORDLIST

from appliance.boundary import verbs
from tests.simulators.vault_stub import NOW_MS, PASSWORD, VaultStub, trouble

KEY, NONE, OPEN = verbs.RecoveryChoice.KEY, verbs.RecoveryChoice.NONE, verbs.RecoveryChoice.OPEN
SHUT = verbs.RecoveryChoice.SHUT


def words(owner: FlaskClient, division: str = "2-3", password: str = PASSWORD) -> tuple[int, str]:
    answer = owner.post("/recovery/words", data={"division": division, "password": password})
    return answer.status_code, answer.text


def test_page_says_what_is_lost_without_and_what_is_risked_with_a_key(owner: FlaskClient) -> None:
    page = owner.get("/recovery").text
    assert "the recordings are lost, in every backup too" in page
    assert "also calls that have been deleted since" in page
    assert "if this box dies, its recordings die with it" in page


@pytest.mark.parametrize(("division", "sheets"), [("1-1", 1), ("2-3", 3), ("3-5", 5)])
def test_every_sheet_is_shown_as_words_and_as_a_drawing_and_kept_by_nobody(
    owner: FlaskClient, division: str, sheets: int
) -> None:
    status, page = words(owner, division)
    assert status == 200
    shown = re.findall(r"<li>([a-z]+)</li>", page)
    assert shown == WORDLIST[: 33 * sheets]
    assert page.count('class="qr"') == sheets
    assert "style=" not in page
    assert owner.get("/recovery/words").status_code == 303
    assert WORDLIST[0] not in re.findall(r"<li>([a-z]+)</li>", owner.get("/recovery").text)


def test_the_drawing_on_a_sheet_is_of_that_sheet_s_words_alone(owner: FlaskClient) -> None:
    """A drawing of all of them would make one sheet enough, where two are needed."""
    sheets = re.findall(r'<article class="sheet.*?</article>', words(owner)[1], re.DOTALL)
    assert len(sheets) == 3
    for sheet in sheets:
        shown = re.findall(r"<li>([a-z]+)</li>", sheet)
        assert len(shown) == 33
        drawn = io.BytesIO()
        segno.make_qr(" ".join(shown).upper(), error="m").save(drawn, kind="svg", border=4, xmldecl=False)
        assert path_of(sheet) == path_of(drawn.getvalue().decode())


def path_of(page: str) -> str:
    """What the one drawing on it draws."""
    (path,) = re.findall(r'<path[^>]* d="([^"]+)"', page)
    return str(path)


def test_words_are_in_no_cache_and_in_no_address(owner: FlaskClient) -> None:
    answer = owner.post("/recovery/words", data={"division": "2-3", "password": PASSWORD})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.status_code == 200
    assert "Location" not in answer.headers
    secret = set(re.findall(r"<li>([a-z]+)</li>", answer.text))
    addresses = re.findall(r'\b(?:href|action|formaction|src)="([^"]*)"', answer.text)
    assert secret
    assert addresses
    assert not secret & set(re.findall("[a-z]+", " ".join(addresses).lower()))


def test_words_that_are_asked_for_are_typed_and_the_key_is_used(owner: FlaskClient, stub: VaultStub) -> None:
    words(owner)
    page = owner.get("/recovery").text
    assert re.findall(r"Sheet \d, word \d", page) == ["Sheet 1, word 7", "Sheet 2, word 7", "Sheet 3, word 7"]
    answer = owner.post("/recovery/confirm", data={"word": [WORDLIST[6], WORDLIST[39], WORDLIST[72]]})
    assert answer.status_code == 303
    assert "any 2 of 3 sheets open it" in owner.get("/recovery").text
    assert stub.recovery.choice is KEY


def test_wrong_words_ask_again_and_say_so(owner: FlaskClient, stub: VaultStub) -> None:
    words(owner)
    answer = owner.post("/recovery/confirm", data={"word": ["academic"] * 3})
    assert answer.status_code == 422
    assert "Not all of these words are right" in answer.text
    assert answer.text.count('name="word"') == 3
    assert stub.recovery.choice is OPEN


def test_a_disk_that_did_not_take_the_words_is_said_and_they_are_asked_for_again(
    owner: FlaskClient, stub: VaultStub
) -> None:
    words(owner)
    typed = {"word": [WORDLIST[6], WORDLIST[39], WORDLIST[72]]}
    stub.troubles[verbs.ConfirmRecovery] = trouble("DiskRefused")
    answer = owner.post("/recovery/confirm", data=typed)
    assert answer.status_code == 503
    assert "The disk of this box did not take these words" in answer.text
    assert "They are not its recovery key." in answer.text
    assert answer.text.count('name="word"') == 3
    assert "There is a recovery key" not in answer.text
    assert stub.recovery.choice is OPEN
    german = owner.post("/recovery/confirm", data=typed, headers={"Accept-Language": "de"})
    assert "Der Datenträger dieses Geräts hat diese Wörter nicht angenommen" in german.text
    stub.troubles.clear()
    assert owner.post("/recovery/confirm", data=typed).status_code == 303


@pytest.mark.parametrize("address", ["words", "none"])
def test_a_login_alone_is_not_enough(owner: FlaskClient, stub: VaultStub, address: str) -> None:
    answer = owner.post(f"/recovery/{address}", data={"division": "1-1", "password": "guess"})
    assert answer.status_code == 403
    assert "That is not your password" in answer.text
    assert stub.recovery.choice is OPEN
    assert not re.findall(r"<li>[a-z]+</li>", answer.text)


def test_to_have_none_is_possible_and_said_plainly(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.post("/recovery/none", data={"password": PASSWORD}).status_code == 303
    assert stub.recovery.choice is NONE
    page = owner.get("/recovery").text
    assert "This box has no recovery key." in page
    assert "nobody can open its recordings any more" in page


@pytest.mark.parametrize(
    "data",
    [{"division": "1-2", "password": PASSWORD}, {"password": PASSWORD}, {"division": "1-1"}],
    ids=["no such division", "no division", "no password"],
)
def test_what_the_form_cannot_send_is_refused(owner: FlaskClient, stub: VaultStub, data: dict[str, str]) -> None:
    assert owner.post("/recovery/words", data=data).status_code == 400
    assert stub.requests(verbs.BeginRecovery) == []


def test_more_or_longer_words_than_are_ever_asked_for_are_refused(owner: FlaskClient, stub: VaultStub) -> None:
    for typed in (["x"] * 33, ["x" * 65]):
        assert owner.post("/recovery/confirm", data={"word": typed}).status_code == 400
    assert stub.requests(verbs.ConfirmRecovery) == []


@pytest.mark.parametrize(
    ("choice", "said"), [(OPEN, "not decided"), (KEY, "on paper"), (NONE, "none"), (SHUT, "not for the disk")], ids=str
)
def test_first_page_says_what_was_decided_and_leads_there(
    owner: FlaskClient, stub: VaultStub, choice: verbs.RecoveryChoice, said: str
) -> None:
    stub.now = msgspec.structs.replace(stub.now, recovery=choice)
    page = owner.get("/").text
    chip = page[page.index('data-chip="recovery"') :]
    assert '<a href="/recovery">' in chip[:300]
    assert said in chip[:900]
    assert ("Nobody has decided yet" in page) is (choice is OPEN)
    assert ("The disk of this box does not open with the words on paper" in page) is (choice is SHUT)


def test_a_key_that_was_tried_says_when(owner: FlaskClient, stub: VaultStub) -> None:
    stub.recovery = verbs.RecoveryState(choice=KEY, needed=1, sheets=1, at_ms=NOW_MS)
    assert "It has not been tried yet." in owner.get("/recovery").text
    stub.recovery = msgspec.structs.replace(stub.recovery, drilled_at_ms=NOW_MS)
    assert "Last tried on " in owner.get("/recovery").text


def test_a_key_that_does_not_open_the_disk_is_no_key_to_rely_on_and_the_form_for_another_is_open(
    owner: FlaskClient, stub: VaultStub
) -> None:
    stub.recovery = verbs.RecoveryState(choice=SHUT, needed=2, sheets=3, at_ms=NOW_MS, drilled_at_ms=NOW_MS)
    page = owner.get("/recovery").text
    notice = page[page.index('<div class="notice bad">') :]
    assert "The disk of this box does not open with the words on paper." in notice[:600]
    assert "any 2 of 3 sheets open it" not in page
    assert "Last tried on" not in page
    assert re.search(r"<details open>\s*<summary>Make a new recovery key</summary>", page)
    assert "Have no recovery key" in page
    words(owner)
    owner.post("/recovery/confirm", data={"word": [WORDLIST[6], WORDLIST[39], WORDLIST[72]]})
    page = owner.get("/recovery").text
    assert "any 2 of 3 sheets open it" in page
    assert "does not open with the words" not in page
    assert re.search(r"<details\s*>\s*<summary>Make a new recovery key</summary>", page)
