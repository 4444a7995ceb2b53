"""What the first page says about this moment, and that it never says more than the recorder did."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.terms import CallId, LineName, LineNowState, Order
from tests.simulators.vault_stub import NOW_MS, VaultStub, quiet_box, trouble
from webui.pages.live import LineState, LineView, Tone, level_percent, view_of

RECORDING = verbs.LineNow(
    line=LineName("office"),
    level_dbfs=-15.0,
    state=LineNowState.RECORDING,
    call=CallId("f" * 32),
    started_at_ms=NOW_MS - 187_000,
)
BROKEN = (
    "The sound device 'hw:1' is gone. What was recorded is safe; plug it in again, and recording goes on by itself."
)


def live(client: FlaskClient, language: str = "en") -> dict[str, object]:
    answer = client.get("/live", headers={"Accept": "application/json", "Accept-Language": language})
    assert answer.status_code == 200
    return dict(answer.get_json())


def test_running_call_is_shown_with_time_and_level(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = msgspec.structs.replace(stub.now, lines=(RECORDING,))
    assert live(owner)["lines"] == [
        {
            "line": "office",
            "state": "recording",
            "state_text": "Recording now",
            "running": "3:07",
            "level": 75,
            "trouble": "",
            "started_at_ms": NOW_MS - 187_000,
            "orders": ["pause", "keep", "forget"],
            "asked": "",
        }
    ]


def test_call_that_was_asked_to_be_kept_says_so_and_is_not_asked_again(owner: FlaskClient, stub: VaultStub) -> None:
    asked = quiet_box(lines=(msgspec.structs.replace(RECORDING, keep_asked=True),))
    line = only_line(asked, owner)
    assert (line.asked, line.orders) == ("Asked to be kept longer", (Order.PAUSE, Order.FORGET))
    stub.now = asked
    assert "Asked to be kept longer" in owner.get("/").text


@pytest.mark.parametrize(
    ("requests", "held", "value", "tone"),
    [(1, 0, "1 request", Tone.WARN), (2, 3, "2 requests", Tone.WARN), (0, 3, "3 calls held", Tone.PLAIN)],
)
def test_open_requests_are_counted_and_lead_to_their_calls(
    requests: int, held: int, value: str, tone: Tone, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.now = msgspec.structs.replace(stub.now, keep_requests=requests, held_calls=held)
    (chip,) = (chip for chip in live(owner)["chips"] if chip["name"] == "longer")  # type: ignore[attr-defined]
    assert (chip["value"], chip["tone"], chip["address"]) == (value, tone, "/?longer=1")
    assert bool(chip["note"]) is bool(requests)


def test_page_and_poll_say_the_same(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = msgspec.structs.replace(stub.now, lines=(RECORDING,), overdue_calls=1, newest_change=77)
    page = owner.get("/").text
    told = live(owner)
    assert told["newest_change"] == 77
    assert 'data-newest="77"' in page
    assert 'data-state="recording"' in page
    assert "3:07" in page
    for chip in told["chips"]:  # type: ignore[attr-defined]
        assert f'data-chip="{chip["name"]}" data-tone="{chip["tone"]}"' in page
        assert chip["note"] in page


def backup(*, made_at_ms: int = NOW_MS - 3 * 3_600_000, **changed: object) -> verbs.BackupFacts:
    facts = verbs.BackupFacts(made_at_ms=made_at_ms, failed=False, late=False, waiting=0)
    return msgspec.structs.replace(facts, **changed)


def only_line(now: verbs.Now, client: FlaskClient) -> LineView:
    with client.application.test_request_context():
        return view_of(now, NOW_MS).lines[0]


@pytest.mark.parametrize(
    ("state", "said", "running", "orders"),
    [
        (LineNowState.IDLE, "Listening", "", ()),
        (LineNowState.RINGING, "Ringing", "", ()),
        (LineNowState.WAITING, "Waiting for consent", "3:07", ("confirm", "forget")),
        (LineNowState.RECORDING, "Recording now", "3:07", ("pause", "keep", "forget")),
        (LineNowState.PAUSED, "Recording paused", "3:07", ("resume", "keep", "forget")),
        (LineNowState.NOT_RECORDED, "Call is not recorded", "3:07", ()),
    ],
)
def test_line_says_what_is_on_it_and_what_can_be_done(
    state: LineNowState, said: str, running: str, orders: tuple[str, ...], owner: FlaskClient
) -> None:
    started_at_ms = NOW_MS - 187_000 if running else 0
    line = only_line(
        quiet_box(lines=(msgspec.structs.replace(RECORDING, state=state, started_at_ms=started_at_ms),)), owner
    )
    assert (line.state_text, line.running, line.orders) == (said, running, orders)


@pytest.mark.parametrize("state", LineNowState)
def test_silent_recorder_takes_no_orders(state: LineNowState, owner: FlaskClient) -> None:
    now = quiet_box(lines=(msgspec.structs.replace(RECORDING, state=state),), recorder_alive=False)
    assert only_line(now, owner).orders == ()


def test_silent_recorder_makes_every_line_unknown(owner: FlaskClient) -> None:
    now = quiet_box("office", lines=(RECORDING,), recorder_alive=False)
    line = only_line(now, owner)
    assert (line.state, line.running, line.level) == (LineState.UNKNOWN, "", 0)
    with owner.application.test_request_context():
        assert "calls are not being recorded at the moment" in view_of(now, NOW_MS).alarm


def test_line_with_trouble_is_said_not_to_record(owner: FlaskClient) -> None:
    idle = verbs.LineNow(line=LineName("office"), level_dbfs=-20.0, trouble=BROKEN)
    line = only_line(quiet_box(lines=(idle,)), owner)
    assert (line.state, line.level, line.trouble) == (LineState.TROUBLE, 0, BROKEN)


def test_call_that_goes_on_despite_trouble_is_shown_as_recording(owner: FlaskClient) -> None:
    line = only_line(quiet_box(lines=(msgspec.structs.replace(RECORDING, trouble=BROKEN),)), owner)
    assert (line.state, line.trouble) == (LineState.RECORDING, BROKEN)


def test_trouble_of_a_line_is_said_in_german(owner: FlaskClient, stub: VaultStub) -> None:
    idle = verbs.LineNow(line=LineName("office"), level_dbfs=-20.0, trouble=BROKEN)
    stub.now = quiet_box(lines=(idle,))
    assert "Das Tongerät „hw:1“ ist weg." in str(live(owner, "de"))


@pytest.mark.parametrize(("level_dbfs", "percent"), [(-200, 0), (-60, 0), (-30, 50), (0, 100), (10, 100)])
def test_level_fills_the_meter_from_line_noise_to_full_scale(level_dbfs: float, percent: int) -> None:
    assert level_percent(level_dbfs) == percent


@pytest.mark.parametrize(
    ("changed", "name", "tone", "value"),
    [
        ({}, "overdue", Tone.GOOD, "0"),
        ({"overdue_calls": 3}, "overdue", Tone.BAD, "3"),
        ({}, "clock", Tone.GOOD, "right"),
        ({"clock_trouble": "The clock has jumped."}, "clock", Tone.BAD, "not certain"),
        ({}, "room", Tone.PLAIN, "5,600 hours"),
        ({"free_bytes": 500_000_000}, "room", Tone.WARN, "64 hours"),
        ({"unreadable_calls": 1}, "unreadable", Tone.BAD, "1"),
        ({"backup": backup()}, "backup", Tone.PLAIN, "3 hours ago"),
        ({"backup": backup(made_at_ms=0)}, "backup", Tone.PLAIN, "none yet"),
        ({"backup": backup(failed=True)}, "backup", Tone.BAD, "3 hours ago"),
        ({"backup": backup(late=True)}, "backup", Tone.BAD, "3 hours ago"),
        ({"backup": backup(waiting=2)}, "backup", Tone.WARN, "3 hours ago"),
        ({"keep_s": 30 * 86_400}, "keep", Tone.PLAIN, "30 days"),
        ({"keep_s": 90}, "keep", Tone.PLAIN, "90 seconds"),
        ({"keep_s": 2 * 365 * 86_400}, "keep", Tone.PLAIN, "2 years"),
        ({"kept_calls": 1234}, "kept", Tone.PLAIN, "1,234"),
    ],
)
def test_figure_has_value_and_tone(
    changed: dict[str, object], name: str, tone: Tone, value: str, owner: FlaskClient
) -> None:
    with owner.application.test_request_context():
        chips = {chip.name: chip for chip in view_of(quiet_box("office", **changed), NOW_MS).chips}
    assert (chips[name].tone, chips[name].value) == (tone, value)
    assert bool(chips[name].note) is (tone in {Tone.WARN, Tone.BAD})


def test_box_where_all_can_be_read_and_no_backup_is_wanted_has_no_figure_about_either(owner: FlaskClient) -> None:
    with owner.application.test_request_context():
        chips = view_of(quiet_box("office"), NOW_MS).chips
    assert {"unreadable", "backup"}.isdisjoint(chip.name for chip in chips)


def test_age_of_the_backup_is_said_in_german(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = quiet_box("office", backup=backup(waiting=1))
    told = str(live(owner, "de"))
    assert "vor 3 Stunden" in told
    assert "1 gelöschter Anruf liegt noch in der Sicherung" in told


def test_poll_without_a_login_is_told_so_as_json(stranger: FlaskClient) -> None:
    answer = stranger.get("/live", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["error"]) == (401, "LoginEnded")  # type: ignore[index]


def test_poll_with_an_ended_login_is_told_so_as_json(owner: FlaskClient, stub: VaultStub) -> None:
    stub.end_logins()
    answer = owner.get("/live", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["error"]) == (401, "LoginEnded")  # type: ignore[index]


def test_poll_that_the_vault_refuses_is_told_so_as_json(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.AskNow] = trouble("KeyTrouble")
    answer = owner.get("/live", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["error"]) == (503, "KeyTrouble")  # type: ignore[index]


def test_key_that_does_not_open_the_disk_is_said_to_be_bad_and_what_to_do(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = msgspec.structs.replace(stub.now, recovery=verbs.RecoveryChoice.SHUT)
    (chip,) = (chip for chip in live(owner)["chips"] if chip["name"] == "recovery")  # type: ignore[attr-defined]
    assert (chip["value"], chip["tone"], chip["address"]) == ("not for the disk", Tone.BAD, "/recovery")
    assert "Make a new recovery key" in chip["note"]
    (chip,) = (chip for chip in live(owner, "de")["chips"] if chip["name"] == "recovery")  # type: ignore[attr-defined]
    assert chip["value"] == "nicht für den Datenträger"
    assert "sind seine Aufnahmen verloren" in chip["note"]
