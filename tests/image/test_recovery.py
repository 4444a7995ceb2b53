"""The words on paper open a box from the image on another board: its disk and its recordings, brought on a stick."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.image.box import Box
from tests.image.conftest import FirstBoot
from tests.image.machine import SLOWER
from tests.system.house import until
from tests.system.visitor import PASSWORD

_SHEETS = re.compile(r'<ol class="words" lang="en">(.*?)</ol>', re.DOTALL)
_RESTARTS_WITHIN_S = 900.0


def written_down(box: Box) -> bytes:
    """Make a recovery key on the page, and read off two of its three sheets. Returns: a file with them."""
    shown = box.visitor.ask("/recovery/words", {"division": "2-3", "password": PASSWORD}).text
    sheets = [re.findall(r"<li>([a-z]+)</li>", words) for words in _SHEETS.findall(shown)]
    asked = re.findall(r"Sheet (\d), word (\d+)", box.visitor.ask("/recovery").text)
    typed = [sheets[int(sheet) - 1][int(word) - 1] for sheet, word in asked]
    assert (len(sheets), len(typed)) == (3, 6)
    # A page gives up sooner than this machine answers; that it was done is seen on the next one.
    box.visitor.ask("/recovery/confirm", {"word": typed})
    until(lambda: "any 2 of 3 sheets open it" in box.visitor.ask("/recovery").text, 60 * SLOWER)
    return "".join(f"{' '.join(sheet)}\r\n" for sheet in (sheets[2], sheets[0])).encode()


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
def box(first_boot: FirstBoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box that goes through what the tests below do to it, in their order."""
    with Box(first_boot.body.fork(tmp_path_factory.mktemp("recovery") / "box")) as box:
        box.wait_until_up()
        box.wait_for("vault", "vault_ready", timeout_s=120)
        box.trust(first_boot.authority, first_boot.label.name)
        box.log_in()
        yield box


@pytest.fixture(scope="module")
def keys(box: Box) -> tuple[bytes, bytes]:
    """Files with the words of two recovery keys that the box was given, one after the other."""
    former = written_down(box)
    until(lambda: openers(box) == ["linekeep-words", "systemd-tpm2"], 60 * SLOWER)
    return former, written_down(box)


def bring(box: Box, name: str, words: bytes, *, says: str) -> None:
    """On the stick, which tells afterwards."""
    box.body.put_on_stick(name, words)
    box.plug_stick_in_again()
    box.label(timeout_s=180, says=says)


def test_the_disk_opens_by_its_tpm_and_the_words_of_the_last_key(box: Box, keys: tuple[bytes, bytes]) -> None:
    until(lambda: openers(box) == ["linekeep-words", "systemd-tpm2"], 60 * SLOWER)
    assert box.check() == ""


def test_words_that_are_tried_change_nothing_and_are_taken_off_the_stick(box: Box, keys: tuple[bytes, bytes]) -> None:
    before = header(box)
    bring(box, "drill.txt", keys[1], says="They open the disk too.")
    assert "keys for 1 of 1 calls" in box.label().text
    assert box.body.take_from_stick("drill.txt") is None
    assert header(box) == before
    assert "Last tried on" in box.visitor.ask("/recovery").text


def test_words_of_a_key_that_it_had_before_open_nothing_on_another_board(box: Box, keys: tuple[bytes, bytes]) -> None:
    box.power_off()
    box.body.with_another_tpm()
    box.body.put_on_stick("recover.txt", keys[0])
    box.power_on()
    box.wait_until_up()
    box.label(timeout_s=180, says="they do not open the disk of this box")
    assert openers(box) == ["linekeep-words", "systemd-tpm2"]


def test_the_words_open_it_there_after_a_restart_of_its_own(
    box: Box, keys: tuple[bytes, bytes], first_boot: FirstBoot
) -> None:
    box.body.put_on_stick("recover.txt", keys[1])
    box.plug_stick_in_again()
    box.wait_until_up(_RESTARTS_WITHIN_S)
    box.label(timeout_s=180, says="Every call is being wrapped again under fresh keys")
    assert box.body.take_from_stick("recover.txt") is None
    box.log_in()
    assert box.visitor.calls() == [first_boot.call]
    assert box.visitor.download(first_boot.call) == first_boot.wav
    assert openers(box) == ["linekeep-words", "systemd-tpm2"]
    assert box.check() == ""


def test_who_decides_to_have_none_has_a_disk_that_opens_by_its_tpm_alone(box: Box) -> None:
    assert box.visitor.ask("/recovery/none", {"password": PASSWORD}).status == 303
    until(lambda: openers(box) == ["systemd-tpm2"], 60 * SLOWER)
