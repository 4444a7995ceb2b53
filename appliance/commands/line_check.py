"""`linekeep line check`: a meter for whoever connects a line, and advice at the end."""

from __future__ import annotations

import argparse

import msgspec

from appliance.commands import line_setup
from appliance.commands.arguments import Commands, add_config, seconds
from appliance.commands.check import FOUND
from appliance.settings import COUNTRY_CODES, DeviceSettings, RecorderSettings, read_settings
from appliance.terms import SettingsTrouble

_SECONDS = 30


def add(commands: Commands) -> None:
    line = commands.add_parser("line", help="for whoever connects a line")
    actions = line.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="listen, show a meter, and say what to change; 1 if there is something")
    where = check.add_mutually_exclusive_group()
    add_config(where)
    where.add_argument("--alsa", metavar="NAME", help="a sound device")
    where.add_argument("--usb", metavar="PORT", help="a sound card by its USB port or serial number")
    where.add_argument("--list", action="store_true", help="only print the sound cards with their USB ports")
    check.add_argument("--channels", type=int, choices=range(1, 17), default=1, metavar="N", help="of that device")
    check.add_argument(
        "--seconds", type=seconds, default=_SECONDS, metavar="S", help=f"else {_SECONDS}; Ctrl-C ends it"
    )
    check.add_argument("--country", choices=COUNTRY_CODES, help="whose exchange; else as the settings say")
    check.add_argument("--json", action="store_true", help="one JSON object a line")
    check.set_defaults(command=_check)
    line_setup.add(actions)


def _check(parsed: argparse.Namespace) -> int:
    from appliance.commands.line_meters import check_lines, list_cards, screen_for  # noqa: PLC0415 - no daemon must load it

    if parsed.list:
        list_cards()
        return 0
    settings = _settings(parsed)
    if not settings.devices:
        raise SettingsTrouble("recorder.devices lists no sound device, so there is no line to check.")
    good = check_lines(settings, screen_for(as_json=parsed.json), parsed.seconds)
    return 0 if good else FOUND


def _settings(parsed: argparse.Namespace) -> RecorderSettings:
    is_named = parsed.alsa is not None or parsed.usb is not None
    settings = RecorderSettings(devices=(_device(parsed),)) if is_named else read_settings(parsed.config).recorder
    return msgspec.structs.replace(settings, country=parsed.country) if parsed.country else settings


def _device(parsed: argparse.Namespace) -> DeviceSettings:
    return DeviceSettings(alsa=parsed.alsa or "", usb=parsed.usb or "", channels=parsed.channels)
