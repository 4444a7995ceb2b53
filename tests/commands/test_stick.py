"""`linekeep stick`: settings and words from a FAT file system and SETUP.TXT onto it. The FAT is real; no vault runs."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance import cli
from appliance.boundary.root_helper import HelperAnswer, RecoverBox, RestartBox, TryRecovery, answer_one
from appliance.commands import stick
from appliance.commands.fat_stick import Stick, UnfitStick
from appliance.commands.stick import own_addresses, own_cards, setup_text, take_over
from appliance.commands.stick_words import sheets_in, use_words
from appliance.terms import KeyTrouble, LinekeepError, StorageTrouble
from appliance.vault.recovery.words import RecoveryKey, WordsWrong, key_of, sheets_of
from tests.simulators.root_helpers import accepting

_LINE = '\n[[recorder.devices]]\nalsa = "hw:1"\n[[recorder.lines]]\nname = "front-desk"\nalsa = "hw:1"\n'


class Box:
    """A box's settings, and a stick in it."""

    def __init__(self, folder: Path) -> None:
        self.settings = folder / "linekeep.toml"
        self.as_it_came = folder / "as-it-came.toml"
        self.stick = folder / "stick.img"
        self.came = f'state_dir = "{folder}/state"\nrun_dir = "{folder}/run"\n[vault]\ntpm = "{folder}/no-tpm"\n'
        self.settings.write_text(self.came)
        self.as_it_came.write_text(self.came)
        subprocess.run(["mformat", "-C", "-i", self.stick, "-T", "4096", "::"], check=True)

    def put(self, name: str, content: str) -> None:
        subprocess.run(["mcopy", "-o", "-i", self.stick, "-", f"::{name}"], input=content.encode(), check=True)

    def take(self, name: str) -> str:
        command: list[str | Path] = ["mcopy", "-i", self.stick, f"::{name}", "-"]
        return subprocess.run(command, check=True, capture_output=True).stdout.decode()

    def names(self) -> list[str]:
        command: list[str | Path] = ["mdir", "-b", "-i", self.stick, "::"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    def plug_in(self) -> int:
        arguments = ["stick", self.stick, "--settings", self.settings, "--as-it-came", self.as_it_came]
        return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(stick, "_LEASE_COMES_WITHIN_S", 0)  # this machine's network is not asked for an address
    return Box(tmp_path)


def test_a_box_without_a_tpm_says_so_on_the_stick_and_leaves_settings_to_fill_in(box: Box) -> None:
    assert box.plug_in() == 2
    assert "This box shows no TPM" in box.take("SETUP.TXT")
    assert box.take("LINEKEEP.TOML") == box.came


def test_settings_on_the_stick_become_the_box_s_and_those_before_are_kept(box: Box) -> None:
    box.settings.chmod(0o640)
    box.put("linekeep.toml", box.came + _LINE)
    box.plug_in()
    assert box.settings.read_text() == box.came + _LINE
    assert box.settings.stat().st_mode & 0o777 == 0o640
    assert box.settings.with_name("before.toml").read_text() == box.came
    assert "are the box's now" in box.take("SETUP.TXT")
    # The second time there is nothing new, and the ones before stay.
    box.plug_in()
    assert "are the box's now" not in box.take("SETUP.TXT")
    assert box.settings.with_name("before.toml").read_text() == box.came


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda came: came + 'keeep = "1d"\n', "unknown field `keeep`"),
        (lambda came: came.replace("/state", "/elsewhere"), "On a box state_dir is"),
        (lambda came: came.replace("/run", "/elsewhere"), "On a box run_dir is"),
        (lambda came: came.replace("/no-tpm", "/dev/tpmrm1"), "On a box vault.tpm is"),
        (lambda came: came + 'webui_user = "root"\n', "On a box vault.webui_user is"),
        (lambda came: came + 'recorder_user = "root"\n', "On a box vault.recorder_user is"),
        (lambda came: came + "pcrs = [23]\n", "On a box vault.pcrs is"),
        (lambda came: came + 'update_key = "/etc/linekeep/announcement.wav"\n', "On a box vault.update_key is"),
        (lambda came: came + '[webui]\ntimezone = "Nowhere/Town"\n', "no time zone"),
        (lambda came: came + _LINE + 'announcement = "/etc/linekeep/none.wav"\n', "is not there"),
        (lambda came: came + _LINE.replace("hw:1", "tee:hw:1,'|reboot',raw"), "the name of a sound device"),
        (lambda came: "\x00" + came, "not valid TOML"),
        (lambda came: came + "#" * 65_536, "longer than 64 KiB"),
    ],
    ids=[
        "unknown",
        "another folder",
        "other sockets",
        "another TPM",
        "another user for the page",
        "another user",
        "other registers",
        "another's update key",
        "no time zone",
        "no announcement",
        "a command",
        "no TOML",
        "too long",
    ],
)
def test_unfit_settings_change_nothing_and_setup_txt_says_why(box: Box, change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    box.put("linekeep.toml", change(box.came))
    assert box.plug_in() == 2
    assert box.settings.read_text() == box.came
    assert sentence in box.take("SETUP.TXT")
    assert sorted(path.name for path in box.settings.parent.glob("*.toml")) == ["as-it-came.toml", "linekeep.toml"]


def test_an_announcement_that_comes_with_unfit_settings_is_not_taken_either(box: Box) -> None:
    box.put("announcement.wav", "-----BEGIN PUBLIC KEY-----")
    box.put("linekeep.toml", box.came + 'update_key = "/etc/linekeep/announcement.wav"\n')
    assert box.plug_in() == 2
    assert not box.settings.with_name("announcement.wav").exists()


@pytest.mark.parametrize("there", [True, False], ids=["one is there", "none is there"])
def test_an_announcement_is_as_it_was_where_the_lines_beside_it_cannot_be_followed(box: Box, there: bool) -> None:
    announcement = box.settings.with_name("announcement.wav")
    if there:
        announcement.write_text("the box's own")
    box.put("announcement.wav", "another")
    box.put("linekeep.toml", box.came + _LINE + f'announcement = "{announcement}"\nprivate = ["weekend"]\n')
    assert box.plug_in() == 2
    assert "'weekend'" in box.take("SETUP.TXT")
    assert box.settings.read_text() == box.came
    assert (announcement.read_text() if announcement.exists() else None) == ("the box's own" if there else None)


def test_settings_and_the_announcement_that_they_name_become_the_box_s(box: Box) -> None:
    announcement = box.settings.with_name("announcement.wav")
    box.put("announcement.wav", "sound")
    box.put("linekeep.toml", box.came + _LINE + f'announcement = "{announcement}"\n')
    box.plug_in()
    assert announcement.read_text() == "sound"
    assert "The announcement in announcement.wav on this stick is the box's now.\r\n" in box.take("SETUP.TXT")
    assert "The settings in linekeep.toml on this stick are the box's now.\r\n" in box.take("SETUP.TXT")


def test_an_announcement_alone_has_all_start_again_and_the_same_one_does_not(box: Box) -> None:
    """systemd watches the settings; that they are written is what it sees."""
    box.settings.write_text(box.came + _LINE)
    written = [box.settings.stat().st_ino]
    for _ in range(2):
        box.put("announcement.wav", "sound")
        box.plug_in()
        written.append(box.settings.stat().st_ino)
    assert written[0] != written[1] == written[2]
    assert "announcement.wav" not in box.take("SETUP.TXT")
    assert box.settings.read_text() == box.came + _LINE
    assert not box.settings.with_name("before.toml").exists()


class _Brings(Stick):
    """A stick with these settings, read at once, so that many of them come at the same moment."""

    def __init__(self, settings: str) -> None:
        self._settings = settings.encode()

    def read(self, name: str, *, most_bytes: int = 0) -> bytes | None:
        return self._settings if name == "linekeep.toml" else None


def test_of_two_sticks_at_once_each_is_taken_over_as_it_was_checked(box: Box) -> None:
    """Two partitions of one stick are two sticks: the fit one must not pass for the other."""
    fit, unfit = _Brings(box.came + _LINE), _Brings(box.came + "pcrs = [23]\n")
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            with suppress(LinekeepError):
                take_over(fit, box.settings)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(40):
            with pytest.raises(LinekeepError):
                take_over(unfit, box.settings)
            assert "pcrs" not in box.settings.read_text()
    finally:
        over.set()
        other.join()


def test_a_box_that_cannot_write_its_settings_says_so_on_the_stick(box: Box) -> None:
    box.put("linekeep.toml", box.came + _LINE)
    box.put("announcement.wav", "sound")
    box.settings.with_name("before.toml.new").mkdir()
    assert box.plug_in() == 2
    assert "The disk refuses while the settings are written" in box.take("SETUP.TXT")
    assert box.settings.read_text() == box.came
    assert not box.settings.with_name("announcement.wav").exists()


def test_an_owner_s_settings_do_not_leave_the_box(box: Box) -> None:
    box.settings.write_text(box.came + _LINE)
    box.plug_in()
    assert box.names() == ["::/SETUP.TXT"]


def test_garbage_in_the_place_of_a_file_system_is_one_sentence(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(5)
    whole = bytearray(box.stick.read_bytes())
    for attempt in range(20):
        damaged = bytearray(whole)
        for _ in range(40):
            damaged[chance.randrange(2048)] = chance.randrange(256)
        box.stick.write_bytes(damaged if attempt else chance.randbytes(1 << 20))
        assert box.plug_in() == 2
        assert box.settings.read_text() == box.came
        error = capsys.readouterr().err
        assert error == "" or (error.startswith("linekeep: The stick cannot be used") and error.count("\n") == 1)


def test_setup_txt_names_address_label_and_troubles_in_lines_for_windows() -> None:
    text = setup_text(
        taken=["linekeep.toml"],
        told=["Claim code:  ABCDE-FGHIJ"],
        addresses=["192.0.2.7"],
        cards=['usb = "1-1.2"    # USB Audio Device'],
        troubles=["Look here."],
    )
    assert "Claim code:  ABCDE-FGHIJ\r\nIn the network it is 192.0.2.7.\r\n" in text
    assert 'may call them:\r\n  usb = "1-1.2"    # USB Audio Device\r\n' in text
    assert text.endswith("To be looked after:\r\n- Look here.\r\n")
    assert "\n" not in text.replace("\r\n", "")


def test_addresses_are_those_that_the_network_gave(tmp_path: Path) -> None:
    assert own_addresses(tmp_path / "no-networkd" / "leases") == []
    (tmp_path / "2").write_text("# This is private data. Do not parse.\nADDRESS=192.0.2.7\nNETMASK=255.255.255.0\n")
    (tmp_path / "3").write_text("ADDRESS=198.51.100.9\nSERVER_ADDRESS=198.51.100.1\n")
    assert own_addresses(tmp_path) == ["192.0.2.7", "198.51.100.9"]


def test_a_card_is_told_as_a_line_of_settings_whatever_it_calls_itself(tmp_path: Path) -> None:
    device = tmp_path / "devices/usb1/1-1.2"
    card = device / "1-1.2:1.0/sound/card1"
    card.mkdir(parents=True)
    (card / "id").write_text("Device\n")
    (card / "device").symlink_to(device / "1-1.2:1.0")
    (device / "product").write_text("USB Audio\r\nClaim code:  AAAAA-AAAAA\n")
    (tmp_path / "class/sound").mkdir(parents=True)
    (tmp_path / "class/sound/card1").symlink_to(card)
    (told,) = own_cards(tmp_path)
    assert "\n" not in told
    assert tomllib.loads(told) == {"usb": "1-1.2"}


KEY = RecoveryKey(bytes(range(32)))
ONE_SHEET = sheets_of(KEY, needed=1, sheets=1)
THREE_SHEETS = sheets_of(KEY, needed=2, sheets=3)


def a_word_a_line(sheets: tuple[str, ...]) -> str:
    return "\n\n".join("\n".join(sheet.split()) for sheet in sheets)


@pytest.mark.parametrize(
    ("text", "sheets"),
    [
        (ONE_SHEET[0], ONE_SHEET),
        ("\n".join(THREE_SHEETS), THREE_SHEETS),
        ("\r\n".join(THREE_SHEETS) + "\r\n", THREE_SHEETS),
        ("\n\n \t\n".join(THREE_SHEETS[1:]) + "\n\n", THREE_SHEETS[1:]),
        (a_word_a_line(ONE_SHEET), ONE_SHEET),
        (a_word_a_line(THREE_SHEETS), THREE_SHEETS),
        (a_word_a_line(THREE_SHEETS).replace("\n", "\r\n"), THREE_SHEETS),
        (
            "\n".join(" ".join(sheet.split()[at : at + 11]) for sheet in THREE_SHEETS for at in (0, 11, 22)),
            THREE_SHEETS,
        ),
        ("", ()),
        (" \r\n\t\n", ()),
    ],
    ids=[
        "one sheet",
        "a sheet a line",
        "Windows line ends",
        "blank lines",
        "a word a line",
        "sheets of a word a line",
        "a word a line and Windows line ends",
        "three lines a sheet",
        "nothing",
        "blanks",
    ],
)
def test_sheets_are_found_however_their_words_stand_on_lines(text: str, sheets: tuple[str, ...]) -> None:
    assert [" ".join(sheet.split()) for sheet in sheets_in(text)] == list(sheets)


def test_a_sheet_that_lacks_a_word_keeps_its_line_so_that_it_is_named() -> None:
    short = " ".join(THREE_SHEETS[0].split()[:-1])
    with pytest.raises(WordsWrong, match="Sheet 1 has 32 words"):
        key_of(sheets_in(f"{short}\n{THREE_SHEETS[1]}"))


class Helper:
    """In the place of who opens the box: notes what it is asked, and answers what a test says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[RecoverBox | TryRecovery | RestartBox] = []
        self.answer = HelperAnswer(said=("The words fit.",))
        self.trouble: LinekeepError | None = None

    def serve(self, connection: socket.socket) -> None:
        answer_one(connection, RecoverBox | TryRecovery | RestartBox, self._handle)

    def _handle(self, request: RecoverBox | TryRecovery | RestartBox) -> HelperAnswer:
        self.asked.append(request)
        if self.trouble is not None:
            raise self.trouble
        return self.answer


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helper]:
    # Not tmp_path: a socket's path has 107 bytes at most.
    with TemporaryDirectory(prefix="lk-") as folder:
        helper = Helper(Path(folder) / "recover.sock")
        monkeypatch.setattr(stick, "use_words", partial(use_words, helper=helper.path))
        monkeypatch.setattr(stick, "RECOVER_SOCKET", helper.path)
        with accepting(helper.path, helper.serve):
            yield helper


WORD_FILES = pytest.mark.parametrize(("name", "asked"), [("recover.txt", RecoverBox), ("drill.txt", TryRecovery)])


@WORD_FILES
@pytest.mark.parametrize(
    "text",
    [ONE_SHEET[0], "\ufeff" + "\r\n".join(THREE_SHEETS[:2]), a_word_a_line(THREE_SHEETS[1:]), ONE_SHEET[0].upper()],
    ids=["one sheet", "as Windows saves them", "a word a line", "capitals"],
)
def test_words_that_did_their_work_are_taken_off_the_stick_and_told(
    box: Box, helper: Helper, name: str, asked: type[RecoverBox | TryRecovery], text: str
) -> None:
    box.put(name, text)
    box.put("other.txt", "the owner's")
    told, troubles, restart = use_words(Stick(box.stick), helper.path)
    assert helper.asked == [asked(sheets=tuple(sheets_in(text.removeprefix("\ufeff"))))]
    assert told[0] == "The words fit."
    assert told[1].startswith(f"{name} was taken off this stick.")
    assert "destroy the stick" in told[1]
    assert (troubles, restart) == ([], False)
    assert [name.casefold() for name in box.names()] == ["::/other.txt"]


def test_a_stick_without_words_asks_nobody(box: Box, helper: Helper) -> None:
    assert use_words(Stick(box.stick), helper.path) == ([], [], False)
    assert helper.asked == []


def test_setup_txt_tells_what_the_words_did(box: Box, helper: Helper) -> None:
    box.put("drill.txt", ONE_SHEET[0])
    box.plug_in()
    assert "The words fit.\r\ndrill.txt was taken off this stick." in box.take("SETUP.TXT")
    assert ONE_SHEET[0].split()[5] not in box.take("SETUP.TXT")


def test_both_files_on_one_stick_are_both_done(box: Box, helper: Helper) -> None:
    for name in ("drill.txt", "recover.txt"):
        box.put(name, ONE_SHEET[0])
    told, _troubles, _restart = use_words(Stick(box.stick), helper.path)
    assert [type(request) for request in helper.asked] == [RecoverBox, TryRecovery]
    assert len(told) == 4
    assert box.names() == []


def test_when_the_disk_was_opened_the_box_starts_again_once_and_the_words_stay_for_the_second_half(
    box: Box, helper: Helper
) -> None:
    helper.answer = HelperAnswer(restart=True)
    box.put("recover.txt", ONE_SHEET[0])
    box.put("linekeep.toml", box.came + _LINE)
    assert box.plug_in() == 0
    assert [type(request) for request in helper.asked] == [RecoverBox, RestartBox]
    assert "The box starts again now" in box.take("SETUP.TXT")
    assert box.take("recover.txt") == ONE_SHEET[0]
    assert box.settings.read_text() == box.came  # its turn is after the start
    assert box.plug_in() == 2  # as the next start finds it, if the disk is shut still
    assert [type(request) for request in helper.asked] == [RecoverBox, RestartBox, RecoverBox]
    assert "the box has started again, and the disk is shut" in box.take("SETUP.TXT")


def test_what_one_file_did_is_told_though_the_other_is_refused(box: Box, helper: Helper) -> None:
    box.put("recover.txt", ONE_SHEET[0])
    box.put("drill.txt", "linekeep")
    told, troubles, _restart = use_words(Stick(box.stick), helper.path)
    assert told[0] == "The words fit."
    assert troubles[0].startswith("drill.txt: Word 1 of sheet 1")


@WORD_FILES
@pytest.mark.parametrize(
    "trouble", [KeyTrouble("These words are those of another box."), StorageTrouble("The disk refuses.")], ids=str
)
def test_words_that_could_not_do_their_work_stay_and_the_reason_is_told(
    box: Box, helper: Helper, name: str, asked: type[RecoverBox | TryRecovery], trouble: LinekeepError
) -> None:
    helper.trouble = trouble
    box.put(name, ONE_SHEET[0])
    assert use_words(Stick(box.stick), helper.path) == ([], [f"{name}: {trouble}"], False)
    assert [type(request) for request in helper.asked] == [asked]
    assert box.take(name) == ONE_SHEET[0]
    assert box.plug_in() == 2
    assert f"{name}: {trouble}" in box.take("SETUP.TXT")


def test_words_for_which_nobody_is_there_stay(box: Box, tmp_path: Path) -> None:
    box.put("recover.txt", ONE_SHEET[0])
    _told, (trouble,), _restart = use_words(Stick(box.stick), tmp_path / "nobody.sock")
    assert "does not answer" in trouble
    assert box.take("recover.txt") == ONE_SHEET[0]


def changed(sheet: str, at: int, word: str) -> str:
    words = sheet.split()
    return " ".join([*words[: at - 1], word, *words[at:]])


@WORD_FILES
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{THREE_SHEETS[0]}\n{changed(THREE_SHEETS[2], 17, 'linekeep')}", "Word 17 of sheet 2, 'linekeep', is not on"),
        (a_word_a_line((changed(ONE_SHEET[0], 9, "linekeep"),)), "Word 9 of sheet 1, 'linekeep', is not on"),
        (
            changed(ONE_SHEET[0], 9, "academic" if "academic" not in ONE_SHEET[0] else "acid"),
            "The words of sheet 1 do not fit together",
        ),
        (THREE_SHEETS[1], "2 different sheets of the set are needed; 1 more must be typed"),
        ("", "No words were typed"),
        ("\x00\xff\x1b[2J" * 12, "Word 1 of sheet 1, "),
        ("x" * 65_536 + "y", "recover.txt on the stick is longer than 64 KiB"),
    ],
    ids=["a word", "a word a line", "another word", "too few sheets", "nothing", "garbage", "too long"],
)
def test_wrong_words_are_named_stay_on_the_stick_and_nobody_is_asked(
    box: Box, helper: Helper, name: str, asked: type[RecoverBox | TryRecovery], text: str, sentence: str
) -> None:
    box.put(name, text)
    assert box.plug_in() == 2
    said = box.take("SETUP.TXT")
    assert f"{name}: {sentence.replace('recover.txt', name)}" in said
    assert said.replace("\r\n", "").isprintable()
    assert helper.asked == []
    assert box.take(name) == text


def test_a_file_of_any_spelling_is_taken_off_and_no_other(box: Box) -> None:
    for name in ("Recover.TXT", "drill.txt"):
        box.put(name, "x")
    Stick(box.stick).remove("recover.txt")
    assert [name.casefold() for name in box.names()] == ["::/drill.txt"]
    with pytest.raises(UnfitStick):
        Stick(box.stick).remove("recover.txt")
