"""The settings file: TOML, one section a daemon, read once at start and never again.

A setting that is unknown, missing or nonsense stops the start with one sentence that names it: a box that
guesses what its owner meant records what it must not.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from appliance.terms import MOST_LINES, LineName, SettingsTrouble, parse_line_name

SETTINGS_NAME = "linekeep.toml"

BOX_SETTINGS = Path("/etc/linekeep") / SETTINGS_NAME
BOX_STATE = Path("/var/lib/linekeep")
"""Where they are on an installed box. A demonstration has its settings in the state directory."""

SOFTWARE_TPM = "software"
"""The value of `vault.tpm` for a demonstration: keys then lie on the same disk, and protect nothing."""

LONGEST_SOCKET_PATH = 107
"""Bytes that Linux gives the path of a Unix socket (unix(7))."""

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_PERIOD = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d|y)")
_LONGEST_PERIOD_S = 100 * 365 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections."""


class VaultSettings(_Section, frozen=True):
    """
    tpm: the TPM's device, or "software".
    pcrs: platform registers (SHA-256 bank) that must be unchanged for the ring to open.
    update_key: a file with the public key (ECDSA P-256, PEM) of whoever may vouch for other registers after an
        update; empty: nobody may.
    keep: how long a recording is kept: a number and s, m, h, d or y.
    recorder_user, webui_user: the system users of the two daemons; empty: the vault's own.
    backup: a directory on another disk or machine, mounted and writable for the vault; empty: no backup.
    backup_every: how often, a period as above.
    """

    tpm: str = "/dev/tpmrm0"
    pcrs: Annotated[tuple[Annotated[int, Meta(ge=0, le=23)], ...], Meta(min_length=1)] = (7,)
    update_key: str = ""
    keep: str = "30d"
    recorder_user: str = ""
    webui_user: str = ""
    backup: Annotated[str, Meta(max_length=1024)] = ""
    backup_every: str = "1d"

    @property
    def keep_s(self) -> int:
        return parse_period(self.keep)

    @property
    def backup_every_s(self) -> int:
        return parse_period(self.backup_every)


CountryCode = Literal["de", "at", "ch", "fr", "nl", "uk", "us"]
COUNTRY_CODES: tuple[CountryCode, ...] = get_args(CountryCode)
"""Those whose exchanges the recorder knows (recorder/ear/countries.py)."""


_AlsaName = Annotated[str, Meta(max_length=128, pattern=r"\A(?!(.*[:=,])?(tee|file)([:,]|\Z))[A-Za-z0-9_:=,.-]*\Z")]
"""No quotes, bars, blanks or slashes: a name of ALSA's may bring a definition along, and that may name a file to write
all sound into, or a command to run ("tee:hw:0,'|command',raw"). Nor the two of ALSA's own names that do so."""


class _Place(_Section, frozen=True):
    """
    alsa: a sound device, as ALSA calls it: a name that is defined on this machine, or one of ALSA's own ("hw:1").
    usb: or a sound card by the USB port in which it is plugged ("1-1.2"), or by its serial number; it is found again
        after a reboot, and when it was unplugged. `linekeep line check --list` shows both.
    """

    alsa: _AlsaName = ""
    usb: Annotated[str, Meta(max_length=128)] = ""

    @property
    def device(self) -> str:
        """The device's name in lists and logs; one place has one."""
        return self.alsa or f"usb {self.usb}"


_TimeOfDay = Annotated[str, Meta(pattern=r"\A(([01][0-9]|2[0-3]):[0-5][0-9])?\Z")]


class DeviceSettings(_Place, frozen=True):
    """A sound device, and how many channels to open."""

    channels: Annotated[int, Meta(ge=1, le=16)] = 1


class OutputSettings(DeviceSettings, frozen=True, kw_only=True):
    """Where the box speaks into a line; a coupler joins it to the wires on which the line is heard.

    channel: which of the device's is this line's.
    self_test: at what time of day a short, quiet tone is played into the idle line and listened for; empty: never.
    relay: the GPIO line of a relay that joins the two while something is played; without, they are always joined.
    """

    channel: Annotated[int, Meta(ge=0, le=15)] = 0
    self_test: _TimeOfDay = ""
    relay: GpioSettings | None = None


class GpioSettings(_Section, frozen=True, kw_only=True):
    """A wire of the line interface, a lamp, a relay, a button, or the switch of the case.

    chip, line: as libgpiod numbers them, or the line by its name ("gpioinfo" shows both).
    active_low: low is off the hook, is the ringing voltage, is a button that is down, lights the lamp, closes the
        relay, is a case that is open.
    """

    chip: Annotated[str, Meta(pattern=r"\A/dev/gpiochip[0-9]{1,3}\Z")] = "/dev/gpiochip0"
    line: Annotated[int, Meta(ge=0, le=1023)] | Annotated[str, Meta(min_length=1, max_length=32)]
    active_low: bool = False


ConsentMode = Literal["opt_in", "announced", "duty", "never"]

_Channel = Annotated[int, Meta(ge=0, le=15)]
_KeyName = Annotated[str, Meta(pattern=r"\A[0-9*#]\Z")]
_StarCode = Annotated[str, Meta(pattern=r"\A(\*[0-9*#]{1,5})?\Z")]
_NumberPattern = Annotated[str, Meta(pattern=r"\A(withheld|\+?[0-9?]{1,32}\*?|\*[0-9?]{1,32})\Z")]


class StarCodes(_Section, frozen=True):
    """What the own side types on the telephone; empty: no such code. See `recorder/line/star_codes.py`.

    confirm: the spoken yes was heard.
    pause, resume: what is said between them is not recorded.
    forget: nothing of this call is kept.
    keep: the owner is asked to keep its recording longer.
    """

    confirm: _StarCode = "*71"
    pause: _StarCode = "*72"
    resume: _StarCode = "*73"
    forget: _StarCode = "*74"
    keep: _StarCode = "*75"


class LineSettings(_Place, frozen=True, kw_only=True):
    """
    name: the line's name.
    alsa or usb, channel: where it is heard; the first channel, if nothing is said.
    near_channel, far_channel: in the place of channel, where the two sides are apart: what the own side sends, and what
        it hears.
    output: where the box plays its announcement and its test tone; without, it only listens.
    hook, ring: GPIO inputs that sense them; without, a line is known by its sound alone.
    lamp, button: GPIO lines of a lamp that shows what the line does, and of a button: `recorder/panel/language.py`.
    ground: why this line may be recorded, in the owner's words; without it, it is not.
    consent: what must be there before a call is kept. opt_in: a key, or the own side's word for a spoken yes;
        announced: the announcement, heard to its end, or that word; duty: the ground is a legal duty that asks nobody;
        never: nothing is kept, whatever the ground, nor noted.
    yes_key, no_key: what the other side presses.
    consent_within_s: so long, from the answer on, a call waits in memory for its consent.
    announcement: a sound file with the announcement as it is played, by the box if the line has an output; empty: none.
    never_numbers, always_numbers: digits as they are sent or dialled, ? for one of them, * for the rest at the end or
        the beginning; "withheld" for who withholds his. Always: who has agreed once and for all; never wins.
    private: nothing is kept of a call that begins then: "mo-fr 18:00-08:00", "sa-su", "12:30-13:15".
    keep_fax: record calls in which a fax machine is heard.
    unrecorded_numbers: keep the number of a call of which nothing else is kept.
    """

    name: str
    channel: _Channel | None = None
    near_channel: _Channel | None = None
    far_channel: _Channel | None = None
    output: OutputSettings | None = None
    hook: GpioSettings | None = None
    ring: GpioSettings | None = None
    lamp: GpioSettings | None = None
    button: GpioSettings | None = None
    ground: Annotated[str, Meta(max_length=120)] = ""
    consent: ConsentMode = "opt_in"
    yes_key: _KeyName = "1"
    no_key: _KeyName = "2"
    consent_within_s: Annotated[float, Meta(ge=5, le=120)] = 60.0
    announcement: Annotated[str, Meta(max_length=1024)] = ""
    never_numbers: tuple[_NumberPattern, ...] = ()
    always_numbers: tuple[_NumberPattern, ...] = ()
    private: tuple[Annotated[str, Meta(max_length=40)], ...] = ()
    keep_fax: bool = False
    unrecorded_numbers: bool = True
    codes: StarCodes = StarCodes()

    @property
    def line(self) -> LineName:
        return parse_line_name(self.name)

    @property
    def plays_announcement(self) -> bool:
        """The box itself plays it to whoever calls; a duty asks nobody."""
        return self.output is not None and bool(self.announcement) and self.consent in ("opt_in", "announced")

    @property
    def channels(self) -> tuple[int, ...]:
        """The one of two wires, or near and far one."""
        if self.near_channel is not None and self.far_channel is not None:
            return self.near_channel, self.far_channel
        return (self.channel or 0,)


class RecorderSettings(_Section, frozen=True):
    """
    country: whose exchange sends ringing, tones and caller ID.
    pre_roll_s: so much from before a call's first sound is recorded with it, but nothing of its ringing.
    hold_over_s: so long a silence belongs to the call; longer only if the line's noise says that it goes on.
    speech_above_floor_db: so much louder than the line's own noise is speech.
    longest_call_s: after that the recording ends, and the next one begins.
    reserve_mib: free disk below which no recording begins or goes on, so that forgetting still has room.
    tamper: the GPIO line of the switch that opens with the case; without, an opening is not noticed.
    """

    devices: tuple[DeviceSettings, ...] = ()
    lines: Annotated[tuple[LineSettings, ...], Meta(max_length=MOST_LINES)] = ()
    country: CountryCode = "de"
    pre_roll_s: Annotated[float, Meta(ge=0, le=10)] = 2.0
    hold_over_s: Annotated[float, Meta(ge=1, le=120)] = 30.0
    speech_above_floor_db: Annotated[float, Meta(ge=3, le=40)] = 12.0
    longest_call_s: Annotated[int, Meta(ge=60, le=86_400)] = 4 * 3600
    reserve_mib: Annotated[int, Meta(ge=1, le=65_536)] = 64
    tamper: GpioSettings | None = None


def _own_name() -> str:
    name = f"{socket.gethostname().partition('.')[0].lower()}.local"
    return name if is_host(name) else "linekeep.local"  # a machine without a name ("(none)") records too


class WebuiSettings(_Section, frozen=True):
    """
    address, port: where the TLS front listens.
    names: the host names and addresses for which the box's certificate is made, of those that a house may have
        (`is_local`). As it comes, what this machine calls itself in the network by mDNS (RFC 6762), and thus no name
        that another machine may have.
    timezone: in which times are shown, and the private hours of lines are meant.
    """

    address: str = "0.0.0.0"  # noqa: S104 - the front is the one part that listens on the company's network
    port: Annotated[int, Meta(ge=1, le=65_535)] = 443
    names: tuple[str, ...] = msgspec.field(default_factory=lambda: (_own_name(),))
    timezone: str = "Europe/Berlin"


class Settings(_Section, frozen=True):
    """The whole file. state_dir: what must last; run_dir: sockets, gone with the power, a folder for each daemon."""

    state_dir: Annotated[str, Meta(min_length=1)]
    run_dir: Annotated[str, Meta(min_length=1)]
    vault: VaultSettings = VaultSettings()
    recorder: RecorderSettings = RecorderSettings()
    webui: WebuiSettings = msgspec.field(default_factory=WebuiSettings)

    @property
    def state(self) -> Path:
        return Path(self.state_dir)

    @property
    def run(self) -> Path:
        return Path(self.run_dir)

    def vault_socket(self, caller: str) -> Path:
        """The socket on which the vault hears this caller."""
        return self.run / "vault" / caller / "vault.sock"


def read_settings(path: Path) -> Settings:
    """Read and check a settings file. Raises SettingsTrouble with a sentence that names the setting."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsTrouble(f"The settings file {path} cannot be read: {error.strerror}.") from error
    return parse_settings(content, str(path))


def parse_settings(untrusted: bytes, where: str) -> Settings:
    """Check a settings file that was read. `where`: its path, for the sentence. Raises as `read_settings`."""
    try:
        settings = msgspec.convert(tomllib.loads(untrusted.decode("utf-8")), Settings)
    except msgspec.ValidationError as error:
        raise SettingsTrouble(f"The settings file {where} is not right: {_in_plain_words(str(error))}.") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number or a nesting without end
        raise SettingsTrouble(f"The settings file {where} is not valid TOML: {error}.") from error
    try:
        _check(settings)
    except SettingsTrouble as trouble:
        raise SettingsTrouble(f"The settings file {where} is not right: {trouble}") from trouble
    return settings


_MEANT = {
    "country": f"one of {', '.join(COUNTRY_CODES)}",
    "consent": f"one of {', '.join(get_args(ConsentMode))}",
    "alsa": "the name of a sound device, such as hw:1 or plughw:CARD=Device",
    "chip": "the path of a GPIO chip, such as /dev/gpiochip0",
    "yes_key": "one key: 0 to 9, * or #",
    "no_key": "one key: 0 to 9, * or #",
    "self_test": "a time of day, such as 03:30, or empty",
    **dict.fromkeys(("confirm", "pause", "resume", "forget", "keep"), "* and one to five keys (*71), or empty"),
    **dict.fromkeys(
        ("never_numbers", "always_numbers"),
        'digits, with ? for any one and * for the rest (0800*, *4711), or "withheld"',
    ),
}
"""What may stand in a setting of which the library's own message shows a pattern, or nothing at all."""

_PLACE = re.compile(r" - at `\$\.(?P<path>[^`]+)`\Z")


def _in_plain_words(message: str) -> str:
    place = _PLACE.search(message)
    if place is None:
        return message
    setting = re.sub(r"\[[^]]*\]\Z", "", place["path"]).rpartition(".")[2]
    if setting not in _MEANT or message.startswith("Expected `str`, got"):
        return message
    return f"{place['path'].replace('[...]', '')} must be {_MEANT[setting]}"


def parse_period(text: str) -> int:
    """A period such as 90s, 30d or 2y, in seconds. Raises SettingsTrouble."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise SettingsTrouble(f"{text[:40]!r} is not a period: write a whole number and s, m, h, d or y (30d).")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_PERIOD_S:
        raise SettingsTrouble(f"{text!r} is longer than a hundred years, for which no calendar has a date.")
    return seconds


def _check(settings: Settings) -> None:
    _ = settings.vault.keep_s, settings.vault.backup_every_s
    if settings.vault.backup:
        _check_backup(Path(settings.vault.backup), settings.state)
    if len(os.fsencode(settings.vault_socket("recorder"))) > LONGEST_SOCKET_PATH:
        raise SettingsTrouble("run_dir is too long a path for sockets; use one of at most 80 bytes.")
    _check_webui(settings.webui)
    _check_places(settings.recorder)
    _check_outputs(settings.recorder.lines)
    _check_wires(settings.recorder)
    for line in settings.recorder.lines:
        _check_consent(line)
        _check_codes(line)


def _check_webui(webui: WebuiSettings) -> None:
    try:
        ZoneInfo(webui.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsTrouble(f"webui.timezone: '{webui.timezone}' is no time zone (Europe/Berlin is one).") from error
    if not webui.names:
        raise SettingsTrouble("webui.names is empty; give a name or an address under which the page is reached.")
    for name in webui.names:
        if not is_host(name):
            raise SettingsTrouble(f"webui.names: '{name[:40]}' is no host name and no address.")
        if not is_local(name):
            raise SettingsTrouble(
                f"webui.names: no browser would accept '{name[:40]}' of this box, whose certificates are for the house "
                f"alone: take an address of the house, or a name that ends in .{', .'.join(LOCAL_NAMES)}."
            )
    if not is_host(webui.address):
        raise SettingsTrouble(f"webui.address: '{webui.address[:40]}' is not an address.")


LOCAL_NAMES: Final = ("localhost", "local", "lan", "internal", "home.arpa", "fritz.box")
LOCAL_NETS: Final = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
    *("::1/128", "fc00::/7", "fe80::/10"),
)
"""Names and addresses of a house, which mean nothing outside it: for these the box's authority can vouch, and for no
others (RFC 5280, 4.2.1.10)."""


def is_local(host: str) -> bool:
    """Whether this host name or address is one of a house's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(f".{host.lower()}".endswith(f".{name}") for name in LOCAL_NAMES)
    return any(address in ipaddress.ip_network(net) for net in LOCAL_NETS)


def is_host(text: str) -> bool:
    """Whether this may name a machine: a host name in ASCII, or an address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return "%" not in text  # behind it an IPv6 address takes any text as its zone


def _check_outputs(lines: tuple[LineSettings, ...]) -> None:
    channels: dict[str, int] = {}
    places: dict[tuple[str, int], str] = {}
    for line in lines:
        output = line.output
        if output is None:
            continue
        name = f"the output of line '{line.name}'"
        _check_place(output, name)
        if output.channel >= output.channels:
            raise SettingsTrouble(f"{name} is channel {output.channel}, which its device has not; give its channels.")
        if channels.setdefault(output.device, output.channels) != output.channels:
            raise SettingsTrouble(f"{name} gives its device another number of channels than another line's output.")
        place = output.device, output.channel
        if place in places:
            raise SettingsTrouble(
                f"lines '{places[place]}' and '{line.name}' both have channel {output.channel} of '{output.device}' as "
                "output; each line needs a channel of its own, or callers hear what is played to others."
            )
        places[place] = line.name
        if not line.plays_announcement and not output.self_test:
            raise SettingsTrouble(
                f"line '{line.name}' has an output, but nothing to play on it: name an announcement for callers who "
                "are asked, or a time for self_test, or leave the output out."
            )


def _check_wires(recorder: RecorderSettings) -> None:
    wires: dict[tuple[str, int | str], str] = {}
    for name, wire in _named_wires(recorder):
        if wire is None:
            continue
        place = wire.chip, wire.line
        if place in wires:
            raise SettingsTrouble(f"the {wires[place]} and the {name} are both GPIO line {wire.line} of {wire.chip}.")
        wires[place] = name


def _named_wires(recorder: RecorderSettings) -> Iterator[tuple[str, GpioSettings | None]]:
    yield "switch of the case", recorder.tamper
    for line in recorder.lines:
        relay = line.output.relay if line.output else None
        of_line = {"hook": line.hook, "ring": line.ring, "lamp": line.lamp, "button": line.button, "relay": relay}
        for what, wire in of_line.items():
            yield f"{what} of line '{line.name}'", wire


def _check_consent(line: LineSettings) -> None:
    if line.consent == "announced" and not line.announcement:
        raise SettingsTrouble(
            f"line '{line.name}' has consent = \"announced\", but names no announcement to listen for."
        )
    if line.consent == "duty" and not line.ground.strip():
        raise SettingsTrouble(
            f"line '{line.name}' has consent = \"duty\", but no ground; write down which legal duty it is."
        )
    if line.yes_key == line.no_key:
        raise SettingsTrouble(f"line '{line.name}' has the same yes_key and no_key, '{line.yes_key}'.")


def _check_codes(line: LineSettings) -> None:
    codes = [(name, getattr(line.codes, name)) for name in line.codes.__struct_fields__]
    codes = [(name, code) for name, code in codes if code]
    for key in ("yes_key", "no_key"):
        if codes and getattr(line, key) == "*":
            raise SettingsTrouble(
                f"line '{line.name}' has {key} = \"*\", with which its codes begin; take another key, or no codes."
            )
    for name, code in codes:
        for other, longer in codes:
            if name != other and longer.startswith(code):
                raise SettingsTrouble(
                    f"line '{line.name}' has codes.{other} = \"{longer}\", which begins like codes.{name}; "
                    "give each a code of its own."
                )


def _check_places(recorder: RecorderSettings) -> None:
    channels: dict[str, int] = {}
    for device in recorder.devices:
        _check_place(device, "a device in recorder.devices")
        if device.device in channels:
            raise SettingsTrouble(f"device '{device.device}' is listed twice in recorder.devices.")
        channels[device.device] = device.channels
    names: dict[LineName, str] = {}
    places: dict[tuple[str, int], str] = {}
    for line in recorder.lines:
        _check_place(line, f"line '{line.name}'")
        if line.device not in channels:
            raise SettingsTrouble(f"line '{line.name}' names a device that recorder.devices does not list.")
        _check_sides(line)
        if line.line in names:
            raise SettingsTrouble(f"line '{line.name}' is listed twice.")
        names[line.line] = line.name
        for channel in line.channels:
            if channel >= channels[line.device]:
                raise SettingsTrouble(f"line '{line.name}' is on channel {channel}, which its device has not.")
            place = line.device, channel
            if place in places:
                raise SettingsTrouble(
                    f"lines '{places[place]}' and '{line.name}' are both on channel {channel} of '{line.device}', "
                    "which is listed twice; each line has a channel of its own."
                )
            places[place] = line.name


def _check_sides(line: LineSettings) -> None:
    sides = line.near_channel, line.far_channel
    if sides == (None, None):
        return
    if None in sides:
        given, missing = ("far", "near") if line.near_channel is None else ("near", "far")
        raise SettingsTrouble(
            f"line '{line.name}' has a {given}_channel, but no {missing}_channel; two wires are one line, on channel."
        )
    if line.channel is not None:
        raise SettingsTrouble(
            f"line '{line.name}' has channel and near_channel; give channel for two wires, or near_channel and "
            "far_channel for two sides."
        )
    if line.near_channel == line.far_channel:
        raise SettingsTrouble(
            f"line '{line.name}' has the same near_channel and far_channel, {line.near_channel}; "
            "each side has a channel of its own."
        )


def _check_place(place: _Place, what: str) -> None:
    if bool(place.alsa) == bool(place.usb):
        raise SettingsTrouble(f"{what} must have either alsa or usb, and not both.")


def _check_backup(backup: Path, state: Path) -> None:
    if not backup.is_absolute():
        raise SettingsTrouble("vault.backup must be a whole path, from / on.")
    place, state = backup.resolve(), state.resolve()  # what is written with dots or through a link is the same folder
    if place.is_relative_to(state) or state.is_relative_to(place):
        raise SettingsTrouble("vault.backup must lie apart from state_dir, best on another disk or machine.")
