"""Opening: what does not belong together is one sentence, and nothing is changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.structs import replace

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.settings import LineSettings, Settings
from appliance.terms import KeyTrouble, LinekeepError, StorageTrouble
from appliance.vault.box import Box
from appliance.vault.evidence.journal_verifier import chain_findings, lines_of
from appliance.vault.ring import Ring
from appliance.vault.store import Store
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import BoxHouse, acts_of, contents_of, kept_call


@pytest.fixture
def settings(house: BoxHouse, request: pytest.FixtureRequest) -> Settings:
    return house.settings(sha256(request.node.name.encode()).hexdigest()[:16])


@pytest.fixture
def state(house: BoxHouse, settings: Settings) -> Path:
    """Of a box that holds one call, and is closed."""
    with house.opened(settings) as box:
        kept_call(box)
    return settings.state


def refused(house: BoxHouse, settings: Settings, family: type[LinekeepError], match: str) -> None:
    before = contents_of(settings.state)
    with pytest.raises(family, match=match) as trouble:
        house.start(settings)
    assert contents_of(settings.state) == before
    assert "\n" not in str(trouble.value)


def test_a_box_opens_again_with_all_it_held(house: BoxHouse, settings: Settings, state: Path) -> None:
    with house.opened(settings) as box:
        assert box.catalogue.count_kept() == 1
        assert acts_of(box).count("box:provisioned") == 1
        assert box.playback.unreadable() == 0
    assert chain_findings(lines_of((state / "journal" / "acts.jsonl").read_bytes())) == []


def test_a_state_in_use_is_refused_and_free_after_close(house: BoxHouse, settings: Settings) -> None:
    with house.opened(settings), pytest.raises(StorageTrouble, match="in use"):
        house.start(settings)
    house.start(settings).close()


def test_a_missing_ring_is_refused(house: BoxHouse, settings: Settings, state: Path) -> None:
    shutil.rmtree(state / "ring")
    refused(house, settings, StorageTrouble, "ring of keys is missing")


@pytest.mark.parametrize("place", ["finished", "growing"])
def test_a_missing_catalogue_is_refused_while_recordings_are_there(
    house: BoxHouse, settings: Settings, state: Path, place: str
) -> None:
    (state / "catalogue.sqlite").unlink()
    for recording in list((state / "recordings" / "finished").iterdir()):
        recording.rename(state / "recordings" / place / recording.name)
    refused(house, settings, StorageTrouble, "catalogue is missing")


def test_an_old_ring_is_refused(house: BoxHouse, settings: Settings, state: Path) -> None:
    old = contents_of(state / "ring")
    with house.opened(settings) as box:
        box.erasure.erase([row.call_id for row in box.catalogue.page(limit=1)], by="test", why="test")
    for name, content in old.items():
        (state / "ring" / name).write_bytes(content)
    refused(house, settings, KeyTrouble, "old copy")


def test_a_foreign_tpm_is_refused(house: BoxHouse, settings: Settings, state: Path, tmp_path: Path) -> None:
    leftover = state / "recordings" / "finished" / ("ab" * 16 + ".tmp")
    leftover.write_bytes(b"left by a recovery")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(tmp_path / "other", Path(run_dir)):
        foreign = Settings(state_dir=settings.state_dir, run_dir=run_dir, vault=settings.vault)
        refused(house, foreign, KeyTrouble, r"\.")


def test_a_tpm_that_is_away_is_one_sentence(house: BoxHouse, settings: Settings, state: Path, tmp_path: Path) -> None:
    away = Settings(state_dir=settings.state_dir, run_dir=str(tmp_path), vault=settings.vault)
    refused(house, away, KeyTrouble, r"\.")


def test_a_catalogue_that_is_garbage_is_one_sentence(house: BoxHouse, settings: Settings, state: Path) -> None:
    (state / "catalogue.sqlite").write_bytes(b"garbage" * 1000)
    refused(house, settings, StorageTrouble, "damaged")


class Cut(BaseException):
    """The power is gone."""


def cut_after(real: Callable[..., None]) -> Callable[..., None]:
    def die(*arguments: object, **named: object) -> None:
        real(*arguments, **named)
        raise Cut

    return die


@pytest.mark.parametrize("part", [Ring, Journal, Store])
def test_a_first_start_that_is_cut_ends_well_at_the_second(
    house: BoxHouse, settings: Settings, part: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    if part is Ring:
        create = Ring.create.__func__  # type: ignore[attr-defined]
        monkeypatch.setattr(Ring, "create", classmethod(cut_after(create)))
    else:
        monkeypatch.setattr(part, "__init__", cut_after(part.__init__))  # type: ignore[misc]
    with pytest.raises(Cut):
        house.start(settings)
    monkeypatch.undo()
    with house.opened(settings) as box:
        assert acts_of(box).count("box:provisioned") == 1
        assert box.accounts.claim_code()
        assert box.call_keys.can_open(kept_call(box))


def test_one_lost_copy_of_the_ring_is_repaired_and_noted(house: BoxHouse, settings: Settings, state: Path) -> None:
    (state / "ring" / "ring.a").unlink()
    with house.opened(settings) as box:
        assert "ring:repaired" in acts_of(box)
        assert box.playback.unreadable() == 0


def test_the_authority_of_the_page_is_the_same_over_restarts(house: BoxHouse, settings: Settings) -> None:
    authorities = []
    for _ in range(2):
        box: Box
        with house.opened(settings) as box:
            box.make_front_certificate()
            authorities.append((settings.state / "tls" / "ca.pem").read_bytes())
    assert authorities[0] == authorities[1]


def test_a_new_state_directory_is_durable_before_anything_is_kept_in_it(
    house: BoxHouse, settings: Settings, synced: list[Path]
) -> None:
    house.start(settings).close()
    assert synced[0] == house.folder


def test_other_settings_and_another_period_are_journalled_at_the_next_start(house: BoxHouse) -> None:
    with house.opened(house.settings("changed")) as box:
        for _ in range(2):
            box.note_start()
        assert acts_of(box)[-2:] == ["vault:started", "vault:started"]
    with house.opened(house.settings("changed", keep="7d")) as box:
        box.note_start()
        assert acts_of(box)[-3:] == ["settings:changed", "period:changed", "vault:started"]
        changed = box.journal.last(Act.PERIOD_CHANGED)
        assert changed is not None
        assert changed.notes == {"before_s": 30 * 86_400, "after_s": 7 * 86_400}


def test_another_announcement_is_journalled_as_other_settings(house: BoxHouse, settings: Settings) -> None:
    sound = house.folder / "announcement.wav"
    line = LineSettings(name="front-desk", alsa="hw:1", announcement=str(sound))
    settings = replace(settings, recorder=replace(settings.recorder, lines=(line,)))
    told = []
    for content in ("Who presses 1 is recorded.", "Who presses 1 is recorded.", "Good day."):
        sound.write_text(content)
        with house.opened(settings) as box:
            box.note_start()
            told.append(acts_of(box).count("settings:changed"))
    assert told == [0, 0, 1]


def test_a_certificate_is_journalled_when_it_is_made_and_not_when_it_is_there(house: BoxHouse) -> None:
    with house.opened(house.settings("certificate")) as box:
        for _ in range(2):
            box.make_front_certificate()
        assert acts_of(box).count("certificate:issued") == 1
