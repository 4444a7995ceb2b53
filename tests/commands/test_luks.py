"""The key slots of a partition: cryptsetup and systemd-cryptenroll are real, the partition is a file."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.commands.luks import LuksPartition
from appliance.terms import StorageTrouble
from tests.simulators.luks_file import LuksFile
from tests.simulators.software_tpm import SoftwareTpm

OLD, NEW = "0a" * 32, "0b" * 32
OLD_WORDS, NEW_WORDS = "a1" * 32, "b2" * 32
PATIENCE_S = 60.0


@pytest.fixture
def luks(tmp_path: Path) -> LuksFile:
    return LuksFile(tmp_path)


def test_words_that_are_put_open_it_besides_what_did_before(luks: LuksFile) -> None:
    luks.partition().put(OLD, OLD_WORDS)
    luks.partition().put(NEW, NEW_WORDS)
    assert luks.opens_with_tpm()
    assert luks.opens_with(OLD_WORDS)
    assert luks.opens_with(NEW_WORDS)
    assert luks.keys() == {OLD: {1}, NEW: {2}}


def test_words_that_are_put_twice_have_one_slot(luks: LuksFile) -> None:
    luks.partition().put(NEW, NEW_WORDS)
    before = luks.header_bytes()
    luks.partition().put(NEW, NEW_WORDS)
    assert luks.slots() == {0, 1}
    assert luks.header_bytes() == before


def test_words_whose_slot_is_damaged_are_put_again(luks: LuksFile) -> None:
    luks.partition().put(NEW, OLD_WORDS)  # the slot says that it is the key's, but its words do not open it
    luks.partition().put(NEW, NEW_WORDS)
    assert luks.opens_with(NEW_WORDS)


def test_a_slot_that_was_cut_from_its_token_is_put_again_and_taken_away(luks: LuksFile) -> None:
    luks.add_slot(NEW_WORDS)
    luks.partition().put(NEW, NEW_WORDS)
    assert luks.slots() == {0, 1, 2}
    assert luks.partition().keep(NEW)
    assert luks.slots() == {0, 2}
    assert luks.keys() == {NEW: {2}}
    assert luks.opens_with(NEW_WORDS)


def test_only_the_key_that_is_kept_and_the_tpm_open_it_afterwards(luks: LuksFile) -> None:
    luks.partition().put(OLD, OLD_WORDS)
    luks.add_slot("whose is this?")
    luks.partition().put(NEW, NEW_WORDS)
    assert luks.partition().keep(NEW)
    assert luks.opens_with_tpm()
    assert luks.opens_with(NEW_WORDS)
    assert not luks.opens_with(OLD_WORDS)
    assert not luks.opens_with("whose is this?")
    assert luks.keys() == {NEW: {3}}


def test_a_token_whose_slot_is_gone_is_no_slot_and_is_taken_away(luks: LuksFile) -> None:
    luks.partition().put(NEW, NEW_WORDS)
    luks.kill_slot(1)
    assert luks.keys() == {NEW: set()}
    assert not luks.partition().keep(NEW)
    assert luks.keys() == {}
    assert luks.opens_with_tpm()


@pytest.mark.parametrize("kept", [None, NEW], ids=["no key", "a key that has no slot"])
def test_where_no_key_is_kept_only_the_tpm_opens_it(luks: LuksFile, kept: str | None) -> None:
    luks.partition().put(OLD, OLD_WORDS)
    assert not luks.partition().keep(kept)
    assert (luks.slots(), luks.keys()) == ({0}, {})
    assert luks.opens_with_tpm()


@pytest.mark.parametrize("kept", [None, OLD], ids=["no key", "a key"])
def test_where_no_slot_is_known_for_the_tpm_s_nothing_is_taken_away(tmp_path: Path, kept: str | None) -> None:
    luks = LuksFile(tmp_path, has_tpm=False)
    luks.partition().put(OLD, OLD_WORDS)
    luks.add_slot("whose is this?")
    before = luks.header_bytes()
    with pytest.raises(StorageTrouble, match=r"^No TPM opens the disk, so its key slots are left as they are\.$"):
        luks.partition().keep(kept)
    assert luks.header_bytes() == before


def test_one_process_at_a_time_changes_a_header(luks: LuksFile) -> None:
    folder, before = luks.path.parent, luks.header_bytes()
    another = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(another, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        try:
            putting = pool.submit(luks.partition().put, NEW, NEW_WORDS)
            wait_until(lambda: putting.done() or somebody_waits_for(folder))
            assert luks.header_bytes() == before
        finally:
            os.close(another)
    putting.result()
    assert luks.opens_with(NEW_WORDS)


def somebody_waits_for(locked: Path) -> bool:
    """What the kernel says: a line with an arrow for each who waits."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if " -> FLOCK " in line]
    return any(line[6].endswith(f":{locked.stat().st_ino}") for line in waiting)


def wait_until(it_is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not it_is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_words_are_tried_without_a_change(luks: LuksFile) -> None:
    luks.partition().put(NEW, NEW_WORDS)
    before = luks.header_bytes()
    assert luks.partition().opens_with(NEW_WORDS)
    assert not luks.partition().opens_with(OLD_WORDS)
    assert luks.header_bytes() == before


@pytest.mark.parametrize("there", [True, False], ids=["no LUKS", "no file"])
def test_what_is_no_partition_is_one_sentence(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "partition.img"
    if there:
        path.write_bytes(bytes(1 << 20))
    partition = LuksPartition(path, ("--key-file", str(path)))
    for ask in (
        lambda: partition.put(NEW, NEW_WORDS),
        lambda: partition.keep(NEW),
        lambda: partition.opens_with(NEW_WORDS),
    ):
        with pytest.raises(StorageTrouble) as told:
            ask()
        assert str(told.value).startswith("The key slots of the disk cannot be read or written (cryptsetup says: ")
        assert str(path) in str(told.value)
        assert "\n" not in str(told.value)
        assert NEW_WORDS not in str(told.value)


def test_what_opens_nothing_any_more_puts_no_words(luks: LuksFile) -> None:
    luks.tpm_key.write_text("what another TPM unseals")
    with pytest.raises(StorageTrouble, match="cannot be read or written"):
        luks.partition().put(NEW, NEW_WORDS)
    assert (luks.slots(), luks.keys()) == ({0}, {})


def test_a_machine_without_cryptsetup_is_one_sentence(luks: LuksFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StorageTrouble, match=r"^cryptsetup does not run: "):
        luks.partition().opens_with(NEW_WORDS)


@pytest.fixture
def told_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with what the programs are told, by argument and by environment."""
    told = tmp_path / "told"
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("cryptsetup", "systemd-cryptenroll"):
        real, script = shutil.which(program), folder / program
        script.write_text(f'#!/bin/sh\n{{ echo {program} "$@"; env; }} >> \'{told}\'\nexec {real} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return told


@pytest.fixture
def new_tpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftwareTpm]:
    """A TPM that systemd-cryptenroll finds, not yet started."""
    if shutil.which("systemd-cryptenroll") is None:
        pytest.skip("systemd-cryptenroll is not installed")
    with TemporaryDirectory(prefix="lk-") as run_dir:
        tpm = SoftwareTpm(tmp_path / "new-tpm", Path(run_dir))
        monkeypatch.setenv("SYSTEMD_TPM2_DEVICE", tpm.tcti)
        yield tpm


def test_the_words_are_on_no_command_line(luks: LuksFile, told_programs: Path, new_tpm: SoftwareTpm) -> None:
    partition = LuksPartition(luks.path, luks.opened_by)
    partition.put(NEW, NEW_WORDS)
    assert partition.opens_with(NEW_WORDS)
    partition.keep(NEW)
    with new_tpm:
        partition.seal_to_tpm(NEW_WORDS)
    told = told_programs.read_text()
    assert told.count("cryptsetup luksAddKey") == told.count("systemd-cryptenroll --unlock-key-file=") == 1
    assert NEW_WORDS not in told


def test_words_are_tried_without_what_else_could_open_it(luks: LuksFile, told_programs: Path) -> None:
    """A TPM that is asked too opens it whatever was typed."""
    luks.partition().put(NEW, NEW_WORDS)
    assert luks.partition().opens_with(NEW_WORDS)
    told = told_programs.read_text().splitlines()
    tried = [line for line in told if line.startswith("cryptsetup open ") and "--test-passphrase" in line]
    assert len(tried) == 2  # `put` looks too
    assert all("--disable-external-tokens" in line.split() for line in tried)


def opened_by_words(luks: LuksFile, words: str) -> LuksPartition:
    """Whose check after the TPM was enrolled is by the words: cryptsetup finds a TPM in /dev only."""
    file = luks.path.with_name("words")
    file.write_text(words)
    return LuksPartition(luks.path, ("--key-file", str(file)))


def test_the_tpm_that_is_there_takes_the_place_of_the_former_one(luks: LuksFile, new_tpm: SoftwareTpm) -> None:
    luks.partition().put(NEW, NEW_WORDS)
    with new_tpm:
        for _ in range(2):  # the second time as after a cut
            opened_by_words(luks, NEW_WORDS).seal_to_tpm(NEW_WORDS)
            assert len(luks.slots()) == 2
    assert luks.tpm_slots() == luks.slots() - {1}
    assert not luks.opens_with_tpm()
    assert luks.opens_with(NEW_WORDS)
    assert luks.partition().keep(NEW)
    assert len(luks.slots()) == 2


def test_a_tpm_whose_registers_are_those_of_the_former_one_takes_its_place_too(
    luks: LuksFile, new_tpm: SoftwareTpm, tmp_path: Path
) -> None:
    """Two boards of one kind measure the same, so the policies are alike: only the TPM is another."""
    luks.partition().put(NEW, NEW_WORDS)
    partition = opened_by_words(luks, NEW_WORDS)
    with new_tpm:
        partition.seal_to_tpm(NEW_WORDS)
    former = luks.tpm_tokens()
    with SoftwareTpm(tmp_path / "newer-tpm", new_tpm.socket.parent):
        partition.seal_to_tpm(NEW_WORDS)
    (of_former,), (of_newer,) = former, luks.tpm_tokens()
    assert of_newer["tpm2-policy-hash"] == of_former["tpm2-policy-hash"]
    assert of_newer["tpm2-blob"] != of_former["tpm2-blob"]
    assert len(luks.slots()) == 2
    assert luks.opens_with(NEW_WORDS)


def test_words_that_do_not_open_it_seal_nothing(luks: LuksFile, new_tpm: SoftwareTpm) -> None:
    luks.partition().put(NEW, NEW_WORDS)
    before = luks.slots(), luks.keys(), luks.tpm_tokens()
    with new_tpm, pytest.raises(StorageTrouble, match="systemd-cryptenroll says: "):
        luks.partition().seal_to_tpm(OLD_WORDS)
    assert (luks.slots(), luks.keys(), luks.tpm_tokens()) == before


def test_without_a_tpm_nothing_is_sealed_and_the_words_open_it_still(luks: LuksFile, new_tpm: SoftwareTpm) -> None:
    assert not new_tpm.socket.exists()
    luks.partition().put(NEW, NEW_WORDS)
    with pytest.raises(StorageTrouble, match="systemd-cryptenroll says: "):
        opened_by_words(luks, NEW_WORDS).seal_to_tpm(NEW_WORDS)
    assert luks.opens_with(NEW_WORDS)
    assert luks.tpm_slots() == {0}
    assert luks.opens_with_tpm()
