"""Every nonsense in the settings file is one sentence that names the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import Settings, parse_period, read_settings
from appliance.terms import SettingsTrouble

BASE = 'state_dir = "/var/lib/linekeep"\nrun_dir = "/run/linekeep"\n'
DEVICE = '[[recorder.devices]]\nalsa = "hw:1"\nchannels = 2\n'
SIDES = "near_channel = 0\nfar_channel = 1\n"
LINE = '[[recorder.lines]]\nname = "a"\nalsa = "hw:1"\nchannel = 0\n'


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "linekeep.toml"
    file.write_text(text)
    return read_settings(file)


def test_the_least_that_must_be_said_gives_the_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, BASE)
    assert settings.vault.keep_s == 30 * 86_400
    assert settings.vault.pcrs == (7,)
    assert settings.vault_socket("webui") == Path("/run/linekeep/vault/webui/vault.sock")


def test_without_names_the_page_has_this_machines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Linekeep-3F2A.office.example")
    assert read(tmp_path, BASE).webui.names == ("linekeep-3f2a.local",)
    assert read(tmp_path, BASE + '[webui]\nnames = ["telefon.lan"]\n').webui.names == ("telefon.lan",)


@pytest.mark.parametrize("odd", ["", "(none)", "my_box", "kühlhaus"])
def test_a_machine_whose_own_name_is_none_has_one_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: odd)
    assert read(tmp_path, BASE).webui.names == ("linekeep.local",)


def test_two_lines_of_one_device_are_read(tmp_path: Path) -> None:
    lines = read(tmp_path, BASE + DEVICE + LINE + LINE.replace('"a"', '"b"').replace("channel = 0", "channel = 1"))
    assert [line.line for line in lines.recorder.lines] == ["a", "b"]


def test_a_line_has_one_channel_or_a_near_and_a_far_one(tmp_path: Path) -> None:
    sides = LINE.replace("channel = 0", "near_channel = 1\nfar_channel = 0")
    (line,) = read(tmp_path, BASE + DEVICE + sides).recorder.lines
    assert line.channels == (1, 0)
    assert read(tmp_path, BASE + DEVICE + LINE).recorder.lines[0].channels == (0,)
    assert read(tmp_path, BASE + DEVICE + LINE.replace("channel = 0\n", "")).recorder.lines[0].channels == (0,)


def test_a_line_names_a_card_by_its_usb_port(tmp_path: Path) -> None:
    text = BASE + (DEVICE + LINE).replace('alsa = "hw:1"', 'usb = "1-1.2"')
    (line,) = read(tmp_path, text).recorder.lines
    assert (line.usb, line.alsa, line.device) == ("1-1.2", "", "usb 1-1.2")


def test_without_codes_the_star_may_mean_yes(tmp_path: Path) -> None:
    codes = 'codes = { confirm = "", pause = "", resume = "", forget = "", keep = "" }\n'
    (line,) = read(tmp_path, BASE + DEVICE + LINE + 'yes_key = "*"\n' + codes).recorder.lines
    assert line.yes_key == "*"


SECOND = LINE.replace('"a"', '"b"').replace("channel = 0", "channel = 1")
TESTED = 'output = { alsa = "hw:2", channels = 2, self_test = "03:30" }\n'
RELAY = 'output = { alsa = "hw:2", relay = { line = "speak" } }\n'
ANNOUNCED = 'consent = "announced"\nannouncement = "/etc/a.wav"\n'


def test_a_line_may_have_an_output_to_speak_on_and_to_test(tmp_path: Path) -> None:
    output = 'output = { usb = "1-1.2", channels = 2, channel = 1, self_test = "03:30" }\n'
    (line,) = read(tmp_path, BASE + DEVICE + LINE + ANNOUNCED + output).recorder.lines
    assert line.output is not None
    assert (line.output.device, line.output.channel, line.output.self_test) == ("usb 1-1.2", 1, "03:30")
    assert line.plays_announcement
    (silent,) = read(tmp_path, BASE + DEVICE + LINE + TESTED).recorder.lines
    assert not silent.plays_announcement
    (joined,) = read(tmp_path, BASE + DEVICE + LINE + ANNOUNCED + RELAY).recorder.lines
    assert joined.output is not None
    assert joined.output.relay is not None
    assert (joined.output.relay.line, joined.output.relay.active_low) == ("speak", False)


NONSENSE = {
    "an output with nothing to play": (
        BASE + DEVICE + LINE + 'output = { alsa = "hw:2" }\n',
        "'a' has an output, but nothing to play on it",
    ),
    "an output for a duty, which asks nobody": (
        BASE + DEVICE + LINE + 'consent = "duty"\nground = "x"\nannouncement = "/a"\noutput = { alsa = "hw:2" }\n',
        "nothing to play on it",
    ),
    "an output nowhere": (
        BASE + DEVICE + LINE + ANNOUNCED + "output = { channel = 0 }\n",
        "the output of line 'a' must",
    ),
    "an output channel that is not there": (
        BASE + DEVICE + LINE + ANNOUNCED + 'output = { alsa = "hw:2", channel = 1 }\n',
        "output of line 'a' is channel 1, which",
    ),
    "two lines speak into one": (
        BASE + DEVICE + LINE + TESTED + SECOND + TESTED,
        "lines 'a' and 'b' both have channel 0 of 'hw:2' as output",
    ),
    "two outputs that disagree": (
        BASE + DEVICE + LINE + TESTED + SECOND + TESTED.replace("channels = 2", "channels = 4, channel = 3"),
        "output of line 'b' gives its device another number of channels",
    ),
    "no time of day": (
        BASE + DEVICE + LINE + TESTED.replace("03:30", "24:00"),
        "output.self_test must be a time of day, such as 03:30",
    ),
    "no toml": ("state_dir = ", "not valid TOML"),
    "empty": ("", "state_dir"),
    "no run_dir": ('state_dir = "/x"\n', "run_dir"),
    "empty state_dir": ('state_dir = ""\nrun_dir = "/r"\n', "state_dir"),
    "run_dir too long": (f'state_dir = "/x"\nrun_dir = "/{"r" * 100}"\n', "run_dir"),
    "unknown setting": (BASE + "colour = 1\n", "colour"),
    "unknown section": (BASE + "[cloud]\n", "cloud"),
    "unknown in a section": (BASE + "[vault]\nkeeep = '3d'\n", "keeep"),
    "wrong type": (BASE + "[vault]\nkeep = 30\n", "keep"),
    "no period": (BASE + "[vault]\nkeep = 'for ever'\n", "for ever"),
    "no time at all": (BASE + "[vault]\nkeep = '0d'\n", "0d"),
    "period with a line end": (BASE + '[vault]\nkeep = "30d\\n"\n', "not a period"),
    "backup to nowhere in particular": (BASE + "[vault]\nbackup = 'stick'\n", "vault.backup"),
    "backup into the state": (BASE + "[vault]\nbackup = '/var/lib/linekeep/backup'\n", "apart from state_dir"),
    "backup into the state by a detour": (BASE + "[vault]\nbackup = '/mnt/../var/lib/linekeep/b'\n", "apart from"),
    "backup around the state": (BASE + "[vault]\nbackup = '/var/lib'\n", "apart from state_dir"),
    "backup now and then": (BASE + "[vault]\nbackup_every = 'often'\n", "often"),
    "no registers": (BASE + "[vault]\npcrs = []\n", "pcrs"),
    "register 24": (BASE + "[vault]\npcrs = [24]\n", "pcrs"),
    "pre-roll not a number": (BASE + "[recorder]\npre_roll_s = nan\n", "pre_roll_s"),
    "endless hold-over": (BASE + "[recorder]\nhold_over_s = inf\n", "hold_over_s"),
    "line without device": (BASE + LINE, "does not list"),
    "line on a missing channel": (BASE + DEVICE + LINE.replace("channel = 0", "channel = 2"), "channel 2"),
    "line twice": (BASE + DEVICE + LINE + LINE.replace("channel = 0", "channel = 1"), "twice"),
    "near side without a far one": (BASE + DEVICE + LINE.replace("channel", "near_channel"), "no far_channel"),
    "far side without a near one": (BASE + DEVICE + LINE.replace("channel", "far_channel"), "no near_channel"),
    "two wires and two sides": (BASE + DEVICE + LINE + SIDES, "channel and near_channel"),
    "sides on one channel": (
        BASE + DEVICE + LINE.replace("channel = 0\n", SIDES.replace("1", "0")),
        "same near_channel",
    ),
    "far side on a missing channel": (
        BASE + DEVICE + LINE.replace("channel = 0\n", SIDES.replace("1", "2")),
        "channel 2, which its device has not",
    ),
    "side on another line's channel": (
        BASE
        + DEVICE
        + LINE
        + LINE.replace('"a"', '"b"').replace("channel = 0\n", "near_channel = 1\nfar_channel = 0\n"),
        "both on channel 0",
    ),
    "channel twice": (BASE + DEVICE + LINE + LINE.replace('"a"', '"b"'), "twice"),
    "device twice": (BASE + DEVICE + DEVICE, "twice"),
    "device without a name": (BASE + DEVICE.replace('alsa = "hw:1"', 'alsa = ""'), "either alsa or usb"),
    "device with two names": (BASE + DEVICE + 'usb = "1-1"\n', "either alsa or usb"),
    "line without a place": (BASE + DEVICE + LINE.replace('alsa = "hw:1"', ""), "either alsa or usb"),
    "card twice": (BASE + 2 * '[[recorder.devices]]\nusb = "1-1.2"\n', "'usb 1-1.2' is listed twice"),
    "line on a card that is not listed": (BASE + DEVICE + LINE.replace("alsa", "usb"), "does not list"),
    "unknown country": (
        BASE + '[recorder]\ncountry = "xx"\n',
        "recorder.country must be one of de, at, ch, fr, nl, uk",
    ),
    "country with capitals": (BASE + '[recorder]\ncountry = "DE"\n', "must be one of de"),
    "country in numbers": (BASE + "[recorder]\ncountry = 49\n", "recorder.country"),
    "threshold that nothing reaches": (BASE + "[recorder]\nspeech_above_floor_db = 41\n", "speech_above_floor_db"),
    "threshold below the noise": (BASE + "[recorder]\nspeech_above_floor_db = -3\n", "speech_above_floor_db"),
    "negative pre-roll": (BASE + "[recorder]\npre_roll_s = -1\n", "pre_roll_s"),
    "pre-roll that would keep what is no call": (BASE + "[recorder]\npre_roll_s = 10.1\n", "pre_roll_s"),
    "no reserve": (BASE + "[recorder]\nreserve_mib = 0\n", "reserve_mib"),
    "calls of a second": (BASE + "[recorder]\nlongest_call_s = 1\n", "longest_call_s"),
    "no channels": (BASE + DEVICE.replace("channels = 2", "channels = 0"), "channels"),
    "unknown consent": (BASE + DEVICE + LINE + 'consent = "maybe"\n', "must be one of opt_in, announced, duty, never"),
    "consent at once": (BASE + DEVICE + LINE + "consent_within_s = 1\n", "consent_within_s"),
    "consent when the call is long over": (BASE + DEVICE + LINE + "consent_within_s = 121\n", "consent_within_s"),
    "announced without announcement": (BASE + DEVICE + LINE + 'consent = "announced"\n', "names no announcement"),
    "duty without ground": (BASE + DEVICE + LINE + 'consent = "duty"\nground = " "\n', "but no ground"),
    "yes is no": (BASE + DEVICE + LINE + 'yes_key = "2"\n', "same yes_key and no_key"),
    "yes in two keys": (BASE + DEVICE + LINE + 'yes_key = "11"\n', "yes_key must be one key"),
    "star as yes": (BASE + DEVICE + LINE + 'yes_key = "*"\n', 'yes_key = "*", with which its codes begin'),
    "star as no": (BASE + DEVICE + LINE + 'no_key = "*"\n', "no_key"),
    "a code that is none": (
        BASE + DEVICE + LINE + 'codes = { keep = "75" }\n',
        "keep must be * and one to five keys",
    ),
    "equal codes": (BASE + DEVICE + LINE + 'codes = { pause = "*74" }\n', "begins like"),
    "codes that begin alike": (BASE + DEVICE + LINE + 'codes = { pause = "*7" }\n', "begins like codes.pause"),
    "code without a star": (BASE + DEVICE + LINE + 'codes = { pause = "72" }\n', "codes.pause must be * and"),
    "number in letters": (BASE + DEVICE + LINE + 'never_numbers = ["mother"]\n', "never_numbers[0] must be digits"),
    "number with a star amid": (
        BASE + DEVICE + LINE + 'always_numbers = ["0*1"]\n',
        "always_numbers[0] must be digits",
    ),
    "hook and ring on one wire": (
        BASE + DEVICE + LINE + "hook = { line = 17 }\nring = { line = 17 }\n",
        "GPIO line 17",
    ),
    "hooks of two lines on one wire": (
        BASE
        + DEVICE
        + LINE
        + "hook = { line = 17 }\n"
        + LINE.replace('"a"', '"b"').replace("= 0", "= 1")
        + "hook = { line = 17, active_low = true }\n",
        "the hook of line 'a' and the hook of line 'b'",
    ),
    "lamp and relay on one wire": (
        BASE + DEVICE + LINE + ANNOUNCED + "lamp = { line = 16 }\n" + RELAY.replace('"speak"', "16"),
        "the lamp of line 'a' and the relay of line 'a' are both GPIO line 16",
    ),
    "switch of the case and hook on one wire": (
        BASE + "[recorder]\ntamper = { line = 17 }\n" + DEVICE + LINE + "hook = { line = 17 }\n",
        "the switch of the case and the hook of line 'a' are both GPIO line 17",
    ),
    "chip that is none": (BASE + DEVICE + LINE + 'hook = { chip = "gpio", line = 1 }\n', "hook.chip must be the path"),
    "hook without its line": (BASE + DEVICE + LINE + 'hook = { chip = "/dev/gpiochip0" }\n', "line"),
    "line name with a slash": (BASE + DEVICE + LINE.replace('"a"', '"../a"'), "cannot name a line"),
    "ground too long": (BASE + DEVICE + LINE + f'ground = "{"g" * 121}"\n', "ground"),
    "port 0": (BASE + "[webui]\nport = 0\n", "port"),
    "a zone that is none": (BASE + '[webui]\ntimezone = "Nowhere/Town"\n', "webui.timezone: 'Nowhere/Town'"),
    "a zone outside the zones": (BASE + '[webui]\ntimezone = "../../etc/passwd"\n', "webui.timezone: "),
    "no name": (BASE + "[webui]\nnames = []\n", "webui.names is empty"),
    "a name of the whole world": (
        BASE + '[webui]\nnames = ["a.local", "telefon.example"]\n',
        "accept 'telefon.example' of",
    ),
    "a name without an ending": (
        BASE + '[webui]\nnames = ["telefon"]\n',
        "webui.names: no browser would accept 'telefon'",
    ),
    "an ending's namesake": (BASE + '[webui]\nnames = ["notlocal"]\n', "accept 'notlocal' of"),
    "an address of the whole world": (BASE + '[webui]\nnames = ["8.8.8.8"]\n', "accept '8.8.8.8' of"),
    "a name of two words": (BASE + '[webui]\nnames = ["a.local", "a b"]\n', "webui.names: 'a b'"),
    "an address with a zone": (BASE + '[webui]\naddress = "fe80::1%x; }"\n', "webui.address: 'fe80::1%x; }'"),
    "more years than a calendar has": (BASE + '[vault]\nkeep = "999999y"\n', "longer than a hundred years"),
    "nested without end": (BASE + f"a = {'[' * 5000}{']' * 5000}\n", "not valid TOML"),
    "a number without end": (BASE + f"a = {'9' * 5000}\n", "not valid TOML"),
    "more lines than the vault hears of": (
        BASE
        + "\n".join(f'[[recorder.devices]]\nalsa = "hw:{card}"\nchannels = 16' for card in range(5))
        + "".join(f'\n[[recorder.lines]]\nname = "l{n}"\nalsa = "hw:{n // 16}"\nchannel = {n % 16}' for n in range(65)),
        "recorder.lines",
    ),
}
COMMAND = "tee:hw:1,'|touch /tmp/x',raw"
WITH_A_COMMAND = {
    "a device": DEVICE.replace("hw:1", COMMAND),
    "a line": DEVICE + LINE.replace("hw:1", COMMAND),
    "an output": DEVICE + LINE + TESTED.replace("hw:2", COMMAND),
    "a definition": DEVICE + LINE + TESTED.replace("hw:2", "{ type hw card 1 }"),
    "a file without a folder": DEVICE.replace("hw:1", "tee:plughw:1,plain.raw,raw"),
    "a file behind a conversion": DEVICE.replace("hw:1", "plug:file:plain.raw,raw"),
    "a file and nothing else": DEVICE.replace("hw:1", "tee"),
    "a file": DEVICE.replace("hw:1", "file:/var/lib/linekeep/recordings/growing/plain,raw"),
}
"""ALSA runs what stands behind the bar, with all that is heard or played."""


@pytest.mark.parametrize("text", WITH_A_COMMAND.values(), ids=WITH_A_COMMAND.keys())
def test_a_sound_device_s_name_brings_no_command_and_no_file_along(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsTrouble, match="alsa must be the name of a sound device"):
        read(tmp_path, BASE + text)


@pytest.mark.parametrize(
    "name", ["hw:1", "plughw:CARD=Device,DEV=0", "default", "line0", "dsnoop:1,0", "hw:CARD=teepee"]
)
def test_names_that_alsa_lists_are_names(tmp_path: Path, name: str) -> None:
    (device,) = read(tmp_path, BASE + DEVICE.replace("hw:1", name)).recorder.devices
    assert device.alsa == name


@pytest.mark.parametrize(("text", "named"), NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_one_sentence_that_names_it(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsTrouble) as trouble:
        read(tmp_path, text)
    sentence = str(trouble.value)
    assert named in sentence
    assert "linekeep.toml" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsTrouble, match="cannot be read"):
        read_settings(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsTrouble, match="not valid TOML"):
        read_settings(tmp_path / "binary.toml")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("30d", 2_592_000)])
def test_a_period_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_period(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5d", "01d", "1 d", "1w", "1D", "9999999d", "१d"])
def test_everything_else_is_no_period(text: str) -> None:
    with pytest.raises(SettingsTrouble):
        parse_period(text)
