"""The words on paper open a box from the image on another board: its disk and its recordings, brought on a stick."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.image.body import Body
from tests.image.box import Box
from tests.image.conftest import FirstBoot
from tests.image.machine import SLOWER
from tests.system.house import until
from tests.system.visitor import PASSWORD

_SHEETS = re.compile(r'<ol class="words" lang="en">(.*?)</ol>', re.DOTALL)
_RESTARTS_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A box with a recovery key, switched off, and two of its three sheets. `former`: those of a key that it had."""

    body: Body
    sheets: tuple[str, str]
    former: tuple[str, str]

    def as_file(self) -> bytes:
        return "".join(f"{sheet}\r\n" for sheet in self.sheets).encode()


def written_down(box: Box) -> tuple[str, str]:
    """Make a recovery key on the page, and read it off."""
    shown = box.visitor.ask("/recovery/words", {"division": "2-3", "password": PASSWORD}).text
    sheets = [re.findall(r"<li>([a-z]+)</li>", words) for words in _SHEETS.findall(shown)]
    asked = re.findall(r"Sheet (\d), word (\d+)", box.visitor.ask("/recovery").text)
    typed = [sheets[int(sheet) - 1][int(word) - 1] for sheet, word in asked]
    assert (len(sheets), len(typed)) == (3, 6)
    # A page gives up sooner than this machine answers; that it was done is seen on the next one.
    box.visitor.ask("/recovery/confirm", {"word": typed})
    until(lambda: "any 2 of 3 sheets open it" in box.visitor.ask("/recovery").text, 60 * SLOWER)
    return " ".join(sheets[2]), " ".join(sheets[0])


def header(box: Box) -> dict[str, Any]:
    dumped = box.sh("cryptsetup luksDump --dump-json-metadata /dev/disk/by-partlabel/linekeep-data")
    read: dict[str, Any] = json.loads(dumped)
    return read


def openers(box: Box) -> list[str]:
    """What opens the disk, slot by slot."""
    read = header(box)
    assert len(read["keyslots"]) == sum(len(token["keyslots"]) for token in read["tokens"].values())
    return sorted(token["type"] for token in read["tokens"].values())


@pytest.fixture(scope="module")
def paper(first_boot: FirstBoot, tmp_path_factory: pytest.TempPathFactory) -> Paper:
    body = first_boot.body.fork(tmp_path_factory.mktemp("paper") / "box")
    with Box(body) as box:
        box.wait_until_up()
        box.wait_for("vault", "vault_ready", timeout_s=120)
        box.trust(first_boot.authority, first_boot.label.name)
        box.log_in()
        assert openers(box) == ["systemd-tpm2"]
        former = written_down(box)
        until(lambda: openers(box) == ["linekeep-words", "systemd-tpm2"], 60 * SLOWER)
        first = header(box)["tokens"]
        sheets = written_down(box)
        until(
            lambda: openers(box) == ["linekeep-words", "systemd-tpm2"] and header(box)["tokens"] != first, 60 * SLOWER
        )
        assert box.check() == ""
        box.power_off()
    return Paper(body=body, sheets=sheets, former=former)


@pytest.fixture
def box(paper: Paper, first_boot: FirstBoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """The disk of that box, off, in whatever it will be put."""
    box = Box(paper.body.fork(tmp_path_factory.mktemp("recovery") / "box"))
    box.trust(first_boot.authority, first_boot.label.name)
    try:
        yield box
    finally:
        box.cut_power()


def setup_text_of(box: Box) -> str:
    return (box.body.take_from_stick("SETUP.TXT") or b"").decode()


def test_words_on_a_stick_open_it_on_another_board_and_are_taken_off_the_stick(
    box: Box, paper: Paper, first_boot: FirstBoot
) -> None:
    box.body.with_another_tpm()
    box.body.put_on_stick("recover.txt", paper.as_file())
    box.power_on()
    box.wait_until_up()
    box.wait_until_up(_RESTARTS_WITHIN_S)  # by itself, once the disk has a new key
    box.label(timeout_s=180, says="Every call is being wrapped again under fresh keys")
    assert box.body.take_from_stick("recover.txt") is None
    box.log_in()
    assert box.visitor.calls() == [first_boot.call]
    assert box.visitor.download(first_boot.call) == first_boot.wav
    assert openers(box) == ["linekeep-words", "systemd-tpm2"]
    assert box.check() == ""
    box.reboot()
    box.wait_for("vault", "vault_ready", timeout_s=120)
    box.log_in()
    assert box.visitor.calls() == [first_boot.call]


def test_words_of_a_key_that_it_had_before_open_nothing(box: Box, paper: Paper) -> None:
    box.body.with_another_tpm()
    box.body.put_on_stick("recover.txt", "\n".join(paper.former).encode())
    box.power_on()
    box.wait_until_up()
    box.label(timeout_s=180, says="they do not open the disk of this box")
    assert openers(box) == ["linekeep-words", "systemd-tpm2"]


def test_words_are_tried_on_a_box_that_works_and_change_nothing(box: Box, paper: Paper) -> None:
    box.body.put_on_stick("drill.txt", paper.as_file())
    box.power_on()
    box.wait_until_up()
    box.label(timeout_s=180, says="They open the disk too.")
    assert "keys for 1 of 1 calls" in setup_text_of(box)
    assert box.body.take_from_stick("drill.txt") is None
    box.log_in()
    assert "Last tried on" in box.visitor.ask("/recovery").text


def test_who_decides_to_have_none_has_a_disk_that_opens_by_its_tpm_alone(box: Box) -> None:
    box.power_on()
    box.wait_until_up()
    box.wait_for("vault", "vault_ready", timeout_s=120)
    box.log_in()
    assert box.visitor.ask("/recovery/none", {"password": PASSWORD}).status == 303
    until(lambda: openers(box) == ["systemd-tpm2"], 60 * SLOWER)
