"""Claiming, guessing, logging in and out, and what a dump of the database gives away."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from appliance.audit.journal import Journal
from appliance.terms import LinekeepError
from appliance.vault import accounts as product
from appliance.vault.accounts import (
    ABSOLUTE_S,
    IDLE_S,
    Accounts,
    AlreadyClaimed,
    LoginEnded,
    PasswordTooShort,
    WrongCode,
    WrongLogin,
    WrongPassword,
)
from appliance.vault.store import Store
from appliance.vault.tries import FREE_TRIES, TooManyTries
from tests.vault.box_house import PASSWORD, Hands

FRESH = "four quiet words now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    folder: Path
    hands: Hands
    store: Store
    journal: Journal

    def accounts(self) -> Accounts:
        return Accounts(self.store, self.journal, self.hands.clock, self.code_file)

    @property
    def code_file(self) -> Path:
        return self.folder / "claim-code"

    def dump(self) -> str:
        with closing(sqlite3.connect(self.folder / "catalogue.sqlite")) as raw:
            return "\n".join(raw.iterdump())


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    hands = Hands()
    with (
        closing(Store(tmp_path / "catalogue.sqlite")) as store,
        closing(Journal(tmp_path / "acts.jsonl", hands.clock)) as journal,
    ):
        yield Office(folder=tmp_path, hands=hands, store=store, journal=journal)


@pytest.fixture
def accounts(office: Office) -> Accounts:
    return office.accounts()


@pytest.fixture
def owned(accounts: Accounts) -> Accounts:
    accounts.claim(accounts.claim_code() or "", "Ada", PASSWORD)
    return accounts


def outcome(act: Callable[..., Any], *arguments: str) -> str:
    try:
        act(*arguments)
    except LinekeepError as trouble:
        return type(trouble).__name__
    return "ok"


@pytest.mark.parametrize(
    "typed",
    [
        lambda code: code,
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: " " + " ".join(code) + "\n",
        lambda code: code.replace("0", "o").replace("1", "l"),
        lambda code: code.replace("0", "O").replace("1", "I"),
        lambda code: code.replace("-", " – "),
    ],
)
def test_a_code_typed_sloppily_claims_the_box(accounts: Accounts, typed: Callable[[str], str]) -> None:
    token, _ends = accounts.claim(typed(accounts.claim_code() or ""), "Ada", PASSWORD)
    assert accounts.visitor(token).name == "Ada"
    assert accounts.is_claimed()
    assert accounts.claim_code() is None


@pytest.mark.parametrize("guess", ["", " ", "-", "00000-00000", "ÄÖÜ", "٣٣٣٣٣٣٣٣٣٣"])
def test_another_code_does_not(accounts: Accounts, guess: str) -> None:
    assert outcome(accounts.claim, guess, "Eve", PASSWORD) == "WrongCode"
    assert not accounts.is_claimed()


@pytest.mark.parametrize("left", ["", "\n", "ABC", "\0" * 12])
def test_a_code_file_torn_by_a_power_cut_is_matched_by_nothing_and_made_anew(
    office: Office, accounts: Accounts, left: str
) -> None:
    office.code_file.write_text(left)
    with pytest.raises(WrongCode):
        accounts.claim(left, "Eve", PASSWORD)
    again = office.accounts()
    again.claim(again.claim_code() or "", "Ada", PASSWORD)


def test_the_code_stays_the_same_over_restarts_and_is_for_the_owner_only(office: Office, accounts: Accounts) -> None:
    assert office.accounts().claim_code() == accounts.claim_code()
    assert office.code_file.stat().st_mode & 0o777 == 0o600


def test_a_second_claim_is_refused_even_with_the_right_code(office: Office, accounts: Accounts) -> None:
    code = accounts.claim_code() or ""
    accounts.claim(code, "Ada", PASSWORD)
    with pytest.raises(AlreadyClaimed):
        accounts.claim(code, "Eve", PASSWORD)
    office.code_file.write_text(code)
    with pytest.raises(AlreadyClaimed):
        accounts.claim(code, "Eve", PASSWORD)


def test_a_code_file_left_by_a_cut_after_the_claim_is_removed_at_start(office: Office, owned: Accounts) -> None:
    office.code_file.write_text("ABCDE-FGHJK")
    office.accounts()
    assert not office.code_file.exists()


def test_of_claims_at_the_same_moment_one_wins(office: Office, accounts: Accounts) -> None:
    code = accounts.claim_code() or ""
    names = [f"name {number}" for number in range(FREE_TRIES)]
    with ThreadPoolExecutor(len(names)) as pool:
        outcomes = list(pool.map(lambda name: outcome(accounts.claim, code, name, PASSWORD), names))
    assert outcomes.count("ok") == 1
    assert set(outcomes) <= {"ok", "AlreadyClaimed"}
    assert office.dump().count('INSERT INTO "accounts"') == 1


def test_a_short_password_changes_nothing_and_the_code_still_works(accounts: Accounts) -> None:
    code = accounts.claim_code() or ""
    with pytest.raises(PasswordTooShort):
        accounts.claim(code, "Ada", "123456789")
    accounts.claim(code, "Ada", PASSWORD)


def test_wrong_name_and_wrong_password_look_the_same(owned: Accounts) -> None:
    with pytest.raises(WrongLogin) as password:
        owned.log_in("Ada", "wrong password")
    with pytest.raises(WrongLogin) as name:
        owned.log_in("Eve", "wrong password")
    assert str(password.value) == str(name.value)


def test_a_name_is_found_however_it_is_written(owned: Accounts) -> None:
    token, ends_at_ms = owned.log_in("  aDA ", PASSWORD)
    assert owned.visitor(token).name == "Ada"
    assert ends_at_ms > 0


def test_guesses_are_slowed_down_and_the_owner_gets_in_after_the_wait(office: Office, owned: Accounts) -> None:
    for _ in range(FREE_TRIES):
        assert outcome(owned.log_in, "Ada", "wrong password") == "WrongLogin"
    assert outcome(owned.log_in, "Ada", PASSWORD) == "TooManyTries"
    office.hands.pass_s(1)
    assert outcome(owned.log_in, "Ada", PASSWORD) == "ok"
    assert outcome(owned.log_in, "Ada", "wrong password") == "WrongLogin"


def test_of_parallel_guesses_none_comes_for_free(owned: Accounts) -> None:
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda guess: outcome(owned.log_in, "Ada", f"guess {guess}"), range(12)))
    assert outcomes.count("WrongLogin") == FREE_TRIES
    assert outcomes.count("TooManyTries") == 12 - FREE_TRIES


def test_guesses_at_names_that_do_not_exist_cost_one_row(office: Office, owned: Accounts) -> None:
    for number in range(FREE_TRIES + 2):
        outcome(owned.log_in, f"name {number}", "wrong password")
    assert outcome(owned.log_in, "another", "wrong password") == "TooManyTries"
    assert office.dump().count('INSERT INTO "tries"') == 1
    assert outcome(owned.log_in, "Ada", PASSWORD) == "ok"


def test_guesses_at_the_claim_code_are_slowed_down(office: Office, accounts: Accounts) -> None:
    code = accounts.claim_code() or ""
    for _ in range(FREE_TRIES):
        assert outcome(accounts.claim, "wrong", "Eve", PASSWORD) == "WrongCode"
    with pytest.raises(TooManyTries) as trouble:
        accounts.claim(code, "Ada", PASSWORD)
    assert trouble.value.facts == {"wait_s": 1}


def test_who_guesses_names_long_enough_learns_which_exist_and_no_more(owned: Accounts) -> None:
    """The price of one count for all names that do not exist: docs/threat-model.md says so."""
    for nth in range(FREE_TRIES + 1):
        outcome(owned.log_in, f"Eve {nth}", "wrong password")
    assert outcome(owned.log_in, "Eve", "wrong password") == "TooManyTries"
    assert outcome(owned.log_in, "Ada", "wrong password") == "WrongLogin"


def test_a_clock_that_went_back_years_makes_nobody_wait_years(office: Office, owned: Accounts) -> None:
    for _ in range(FREE_TRIES):
        outcome(owned.log_in, "Ada", "wrong password")
    office.hands.wall_ms = 0
    assert outcome(owned.log_in, "Ada", PASSWORD) == "TooManyTries"
    office.hands.pass_s(1)
    assert outcome(owned.log_in, "Ada", PASSWORD) == "ok"


def test_a_login_ends_when_idle(office: Office, owned: Accounts) -> None:
    token, _ends = owned.log_in("Ada", PASSWORD)
    office.hands.pass_s(IDLE_S - 1)
    owned.visitor(token)
    office.hands.pass_s(IDLE_S - 1)
    owned.visitor(token)
    office.hands.pass_s(IDLE_S)
    with pytest.raises(LoginEnded):
        owned.visitor(token)


def test_what_a_page_asks_by_itself_does_not_keep_a_login_alive(office: Office, owned: Accounts) -> None:
    token, _ends = owned.log_in("Ada", PASSWORD)
    for _ in range(IDLE_S // 60 - 1):
        office.hands.pass_s(60)
        owned.visitor(token, in_person=False)
    office.hands.pass_s(60)
    with pytest.raises(LoginEnded):
        owned.visitor(token, in_person=False)


def test_a_login_ends_for_good_however_busy_it_is(office: Office, owned: Accounts) -> None:
    token, ends_at_ms = owned.log_in("Ada", PASSWORD)
    assert ends_at_ms == office.hands.wall_ms + ABSOLUTE_S * 1000
    for _ in itertools.takewhile(lambda _n: office.hands.wall_ms + 600_000 < ends_at_ms, itertools.count()):
        office.hands.pass_s(600)
        owned.visitor(token)
    office.hands.wall_ms = ends_at_ms
    with pytest.raises(LoginEnded):
        owned.visitor(token)


def test_a_clock_that_falls_back_does_not_wake_an_ended_login(office: Office, owned: Accounts) -> None:
    token, _ends = owned.log_in("Ada", PASSWORD)
    office.hands.pass_s(ABSOLUTE_S + 1)
    office.hands.wall_ms = 0
    with pytest.raises(LoginEnded):
        owned.visitor(token)


def test_log_out_kills_the_token_and_no_other(owned: Accounts) -> None:
    here, there = owned.log_in("Ada", PASSWORD)[0], owned.log_in("Ada", PASSWORD)[0]
    owned.log_out(here)
    with pytest.raises(LoginEnded):
        owned.visitor(here)
    with pytest.raises(LoginEnded):
        owned.log_out(here)
    assert owned.visitor(there).name == "Ada"


def test_a_changed_password_opens_the_old_one_not_and_every_other_login_has_ended(
    office: Office, owned: Accounts
) -> None:
    here, there = owned.log_in("Ada", PASSWORD)[0], owned.log_in("Ada", PASSWORD)[0]
    fresh, ends_at_ms = owned.change_password(here, PASSWORD, FRESH)
    assert owned.visitor(fresh).name == "Ada"
    assert ends_at_ms == office.hands.wall_ms + ABSOLUTE_S * 1000
    for ended in (here, there):  # who copied the cookie of this very browser is out as well
        with pytest.raises(LoginEnded):
            owned.visitor(ended)
    with pytest.raises(WrongLogin):
        owned.log_in("Ada", PASSWORD)
    assert office.accounts().log_in("Ada", FRESH)
    assert [entry.by for _place, entry in office.journal.entries_before() if entry.act == "password:changed"] == [
        owned.visitor(fresh).account
    ]
    assert FRESH not in office.dump()


class Between:
    """Does something once, after the next password was found right and before what follows from that."""

    def __init__(self, accounts: Accounts, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
        self._is_password, self._act = accounts._is_password, act
        self._restore = monkeypatch.undo
        monkeypatch.setattr(accounts, "_is_password", self)

    def __call__(self, stored: str, password: str) -> bool:
        is_right = self._is_password(stored, password)
        self._restore()
        self._act()
        return is_right


def test_a_login_with_the_old_password_that_is_under_way_while_it_is_changed_does_not_begin(
    office: Office, owned: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = owned.log_in("Ada", PASSWORD)[0]
    Between(owned, monkeypatch, lambda: owned.change_password(here, PASSWORD, FRESH))
    with pytest.raises(WrongLogin):
        owned.log_in("Ada", PASSWORD)
    assert office.dump().count('INSERT INTO "logins"') == 1


def test_of_two_changes_at_the_same_moment_one_wins(owned: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, stolen = owned.log_in("Ada", PASSWORD)[0], owned.log_in("Ada", PASSWORD)[0]
    Between(owned, monkeypatch, lambda: owned.change_password(mine, PASSWORD, FRESH))
    with pytest.raises(LoginEnded):
        owned.change_password(stolen, PASSWORD, "a thief's own words")
    assert owned.log_in("Ada", FRESH)


def test_a_stolen_login_changes_no_password_and_its_guesses_are_slowed_down(owned: Accounts) -> None:
    stolen, mine = owned.log_in("Ada", PASSWORD)[0], owned.log_in("Ada", PASSWORD)[0]
    for _ in range(FREE_TRIES):
        with pytest.raises(WrongPassword):
            owned.change_password(stolen, "a guess at it", FRESH)
    with pytest.raises(TooManyTries):
        owned.change_password(stolen, PASSWORD, FRESH)
    assert owned.visitor(mine).name == "Ada"


def test_a_password_that_is_too_short_is_no_try_and_changes_nothing(owned: Accounts) -> None:
    token = owned.log_in("Ada", PASSWORD)[0]
    for _ in range(FREE_TRIES + 1):
        with pytest.raises(PasswordTooShort):
            owned.change_password(token, PASSWORD, "123456789")
    assert owned.log_in("Ada", PASSWORD)


def test_a_dump_of_the_database_has_no_token_password_or_code(office: Office, accounts: Accounts) -> None:
    code = accounts.claim_code() or ""
    tokens = [accounts.claim(code, "Ada", PASSWORD)[0], accounts.log_in("Ada", PASSWORD)[0]]
    held = b"".join(path.read_bytes() for path in office.folder.iterdir() if path.is_file())
    for secret in [*tokens, PASSWORD, code, product.plain_code(code)]:
        assert secret not in office.dump()
        assert secret.encode() not in held
        assert secret.encode().hex().upper() not in office.dump()


def test_refused_passwords_are_journalled_with_whose_account_it_was(office: Office, owned: Accounts) -> None:
    visitor = owned.visitor(owned.log_in("Ada", PASSWORD)[0])
    assert outcome(owned.log_in, "Ada", "wrong password") == "WrongLogin"
    assert outcome(owned.log_in, "Eve", "wrong password") == "WrongLogin"
    with pytest.raises(WrongPassword):
        owned.check_password(visitor, "wrong password")
    refusals = [entry for _place, entry in office.journal.entries_before() if entry.act == "login:refused"]
    assert [(entry.by, entry.ids) for entry in reversed(refusals)] == [
        ("webui", (visitor.account,)),
        ("webui", ()),
        (visitor.account, ()),
    ]


def test_a_name_that_does_not_exist_costs_the_same_hash_of_32_mib_and_three_passes(
    office: Office, owned: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, verified = PasswordHasher.verify, list[str]()

    def note(hasher: PasswordHasher, stored: str, password: str) -> bool:
        verified.append(stored)
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", note)
    for name in ("Ada", "Eve"):
        assert outcome(owned.log_in, name, "wrong password") == "WrongLogin"
    parameters = "$argon2id$v=19$m=32768,t=3,p=1$"
    assert [stored.startswith(parameters) for stored in verified] == [True, True]
    assert verified[0] in office.dump()


def test_the_journal_names_nobody(office: Office, owned: Accounts) -> None:
    outcome(owned.log_in, "Eve", "wrong password")
    journal = (office.folder / "acts.jsonl").read_text()
    assert '"login:refused"' in journal
    assert "Ada" not in journal
    assert "Eve" not in journal


def test_the_claim_code_that_was_shown_is_the_one_after_a_power_cut(office: Office, synced: list[Path]) -> None:
    office.accounts()
    assert synced[-1] == office.folder
