"""The first page and its list: what is shown, in which order, under which filter."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.terms import LineName, NotKept
from tests.simulators.vault_stub import NOW_MS, StubCall, VaultStub, made_up_facts, quiet_box
from webui.pages.calls import PAGE_CALLS
from webui.wording import _NOT_KEPT

HOUR_MS = 3_600_000


def silent_call(nth: int, started_at_ms: int, **changed: Any) -> StubCall:
    return StubCall(facts=made_up_facts(nth, started_at_ms, **changed), audio=b"", frames=0)


def shown_calls(page: str) -> list[int]:
    return [int(call, 16) for call in re.findall(r'href="/calls/([0-9a-f]{32})"', page)]


def test_box_without_a_call_says_where_it_listens(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = quiet_box("front-desk", "office")
    page = owner.get("/").text
    assert "No call yet" in page
    assert "Linekeep is listening on the lines front-desk and office." in page


@pytest.mark.parametrize(
    ("why", "said"), [("missed", "Missed"), ("timed_out", "Not recorded: no consent in time"), ("fax", "fax")]
)
def test_call_that_was_not_recorded_stands_among_the_others_with_its_reason(
    why: str, said: str, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.keep(
        silent_call(1, NOW_MS - 3 * HOUR_MS),
        silent_call(2, NOW_MS - 2 * HOUR_MS, not_kept=why),
        silent_call(3, NOW_MS - HOUR_MS),
    )
    page = owner.get("/").text
    assert shown_calls(page) == [3, 2, 1]
    (row,) = re.findall(r'<li class="row row-unrecorded">.*?</li>', page, re.DOTALL)
    assert said in row
    assert "+49 30 5550 4471" in row


def test_every_reason_for_not_recording_is_said_in_words() -> None:
    assert set(_NOT_KEPT) == set(NotKept)


def test_box_without_a_line_says_who_sets_one_up(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = quiet_box()
    assert "No line is set up yet" in owner.get("/").text


def test_call_is_listed_with_its_facts(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(silent_call(1, NOW_MS - HOUR_MS, seconds=3723.9, number="+49 30 901820", gaps=2, ended="cut_off"))
    page = owner.get("/").text
    for fact in ("13:05", "front-desk", "+49 30 901820", "1:02:03", "2 gaps", "cut off", "deleted on 22 Dec 2026"):
        assert fact in page


def test_call_without_number_says_so(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(silent_call(1, NOW_MS, number=""))
    assert "number not known" in owner.get("/").text


@pytest.mark.parametrize(
    ("due_at_ms", "said"),
    [
        (NOW_MS + 2 * HOUR_MS, "will be deleted on 22 Nov 2026 at 16:05"),
        (NOW_MS - 1, "being deleted"),
        (0, "deletion date set once the clock is right"),
    ],
)
def test_unusual_deletion_dates_are_said_in_words(
    due_at_ms: int, said: str, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.keep(silent_call(1, NOW_MS, due_at_ms=due_at_ms))
    assert said in owner.get("/").text


def test_calls_stand_under_local_days_newest_first(owner: FlaskClient, stub: VaultStub) -> None:
    half_past_eleven_utc_yesterday = NOW_MS - 14 * HOUR_MS - 35 * 60_000
    stub.keep(
        silent_call(1, NOW_MS),
        # Half an hour before midnight by UTC is today in Berlin.
        silent_call(2, half_past_eleven_utc_yesterday + HOUR_MS),
        silent_call(3, NOW_MS - 24 * HOUR_MS),
        silent_call(4, NOW_MS - 48 * HOUR_MS),
    )
    page = owner.get("/").text
    assert shown_calls(page) == [1, 2, 3, 4]
    headings = re.findall(r'class="day">([^<]+)<', page)
    assert headings == ["Today", "Yesterday", "Friday, 20 November 2026"]


def test_a_call_from_a_moment_that_no_calendar_has_hides_no_other(owner: FlaskClient, stub: VaultStub) -> None:
    """When it began is the recorder's word."""
    stub.keep(silent_call(1, 2**53), silent_call(2, NOW_MS - HOUR_MS))
    assert shown_calls(owner.get("/").text) == [1, 2]
    for call in stub.calls:
        assert owner.get(f"/calls/{call}").status_code == 200


def test_filter_in_the_address_reaches_the_vault_and_stays_in_the_form(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = quiet_box("front-desk", "office")
    stub.keep(silent_call(1, NOW_MS, line="office", number="1234"), silent_call(2, NOW_MS, number="1234"))
    page = owner.get("/?line=office&number=+1234+").text
    assert shown_calls(page) == [1]
    assert "<option selected>office</option>" in page
    assert 'value="1234"' in page


def test_filter_that_nothing_fits_offers_all_calls(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(silent_call(1, NOW_MS))
    page = owner.get("/?number=9999").text
    assert "No call fits" in page
    assert '<a href="/">Show all calls</a>' in page


def test_older_calls_are_one_link_away_and_keep_the_filter(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(*(silent_call(nth, NOW_MS - nth * HOUR_MS) for nth in range(1, PAGE_CALLS + 4)))
    first = owner.get("/?line=front-desk").text
    assert shown_calls(first) == list(range(1, PAGE_CALLS + 1))
    older = re.search(r'href="(/\?[^"]+)">Older<', first)
    assert older is not None
    second = owner.get(older[1].replace("&amp;", "&")).text
    assert shown_calls(second) == [PAGE_CALLS + 1, PAGE_CALLS + 2, PAGE_CALLS + 3]
    assert "Older<" not in second
    assert 'href="/?line=front-desk">Newest<' in second
    assert "data-list-moves" in first
    assert "data-list-moves" not in second


@pytest.mark.parametrize(
    "query",
    [
        "line=UPPER",
        "line=%00",
        f"line={'x' * 33}",
        "before_ms=5",
        f"before_call={'a' * 32}",
        "before_ms=5&before_call=nonsense",
        f"before_ms=-5&before_call={'a' * 32}",
        f"before_ms={2**60}&before_call={'a' * 32}",
        f"before_ms=x&before_call={'a' * 32}",
    ],
)
def test_address_that_no_page_of_ours_makes_is_not_put_to_the_vault(
    query: str, owner: FlaskClient, stub: VaultStub
) -> None:
    assert owner.get(f"/?{query}").status_code == 404
    assert stub.requests(verbs.ListCalls) == []


def test_long_number_is_cut_to_what_the_vault_takes(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get(f"/?number={'1' * 99}").status_code == 200


def test_fragment_is_the_list_alone(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(silent_call(1, NOW_MS), silent_call(2, NOW_MS, line="office"))
    fragment = owner.get("/calls?fragment=1&line=office").text
    assert fragment.lstrip().startswith('<section id="calls"')
    assert "<html" not in fragment
    assert shown_calls(fragment) == [2]


def test_list_address_without_fragment_leads_to_the_whole_page(owner: FlaskClient) -> None:
    assert owner.get("/calls?line=office").location == "/?line=office"


def test_page_asks_for_the_list_that_it_shows(owner: FlaskClient) -> None:
    page = owner.get("/?line=front-desk&number=77").text
    assert 'data-list="/calls?line=front-desk&amp;number=77&amp;fragment=1"' in page


def test_line_that_is_gone_can_still_be_chosen(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(silent_call(1, NOW_MS, line=LineName("old-line")))
    assert "<option selected>old-line</option>" in owner.get("/?line=old-line").text


def test_filter_is_hidden_until_there_is_a_call(owner: FlaskClient, stub: VaultStub) -> None:
    assert '<form class="filter" hidden' in owner.get("/").text
    stub.keep(silent_call(1, NOW_MS))
    assert '<form class="filter" hidden' not in owner.get("/").text


def test_overdue_deletions_are_an_alarm_on_the_first_page(owner: FlaskClient, stub: VaultStub) -> None:
    assert 'data-chip="overdue" data-tone="good"' in owner.get("/").text
    stub.now = msgspec.structs.replace(stub.now, overdue_calls=2)
    page = owner.get("/").text
    assert 'data-chip="overdue" data-tone="bad"' in page
    assert "2 calls should have been deleted by now" in page
