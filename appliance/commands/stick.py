"""`linekeep stick`: what a USB stick brings to a box without a screen, and what it takes away.

It may bring settings (linekeep.toml) and the announcement that they name (announcement.wav). It takes away SETUP.TXT:
where the page is, by which fingerprint it is known, the claim code, the sound cards as the settings may call them, and
what is wrong if something is; LABEL.PDF to print, with the first of that; and ISSUER.CRT, the certificate that browsers
are to trust. Whoever has the box before them is who the code is for; after the first account there is none.

And it may bring the words of the recovery key (stick_words.py): in recover.txt, to open a box whose TPM is another one,
or whose PIN is lost; in drill.txt, to try them.

Promises: settings and announcement are taken over only if every daemon can follow them and they leave alone what is
the box's own (folders, users, TPM, and what the ring of keys is bound to); the settings before stay beside them. What
was checked is what is written, also if several sticks come at once. A stick that is made to break mtools (fat_stick.py)
has what this unit has: the settings and the vault's console, and of the disk nothing else. What opens the disk is
another unit, and only words go there. Whether the announcement is a sound is not looked at here: libsndfile reads no
stranger's file as root. An announcement that is none keeps the recorder from starting, and its log says so.
Leaves to others: to start this (a udev rule), and to start the daemons again (a unit that watches the settings).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.boundary.root_helper import RECOVER_SOCKET, RestartBox, ask_helper
from appliance.boundary.vault import VaultAway, VaultClient
from appliance.boundary.verbs import Caller, Label
from appliance.commands.arguments import CANNOT, Commands
from appliance.commands.claim_code import addresses_of, label_lines
from appliance.commands.fat_stick import Stick, UnfitStick, for_windows
from appliance.commands.label_sheet import label_sheet
from appliance.commands.stick_words import RECOVER_NAME, RESTART_TEXT, SETUP_NAME, use_words
from appliance.recordings.disk import storage_errors, sync_folder
from appliance.settings import BOX_SETTINGS, SETTINGS_NAME, Settings, parse_settings, read_settings
from appliance.terms import KeyTrouble, LinekeepError, SettingsTrouble, StorageTrouble

LABEL_NAME = "LABEL.PDF"
ISSUER_NAME = "ISSUER.CRT"
ANNOUNCEMENT_NAME = "announcement.wav"

AS_IT_CAME = Path("/usr/share/linekeep") / SETTINGS_NAME
"""The settings of a new box, in its image."""

_LONGEST_ANNOUNCEMENT_BYTES = 16 * 1024 * 1024
_WORDS_HELP = (
    "Whoever has the words of the recovery key on paper writes them into a file "
    f"{RECOVER_NAME} on this stick, a sheet a line, and plugs it in again: then the box opens with this TPM."
)
_VAULT_ANSWERS_WITHIN_S = 300.0
_RESTARTS_WITHIN_S = 60.0
_LEASES = Path("/run/systemd/netif/leases")
_LEASE_COMES_WITHIN_S = 30
"""A switch may look for loops that long before it lets anything through (IEEE 802.1D, twice the forward delay)."""


def add(commands: Commands) -> None:
    stick = commands.add_parser("stick", help="take settings from a USB stick and leave SETUP.TXT on it; for the image")
    stick.add_argument("device", type=Path, metavar="DEVICE", help="the stick's partition, FAT")
    stick.add_argument("--settings", type=Path, default=BOX_SETTINGS, metavar="FILE")
    stick.add_argument("--as-it-came", type=Path, default=AS_IT_CAME, metavar="FILE")
    stick.set_defaults(command=_stick)


def _stick(parsed: argparse.Namespace) -> int:
    stick, taken, told = Stick(parsed.device), list[str](), list[str]()
    opened, troubles, restart = use_words(stick)
    if restart:
        stick.write(SETUP_NAME, RESTART_TEXT.encode())
        ask_helper(RECOVER_SOCKET, RestartBox(), timeout_s=_RESTARTS_WITHIN_S)
        return 0
    try:
        # Where nothing can be written, for what reason says the label.
        taken = take_over(stick, parsed.settings) if os.access(parsed.settings.parent, os.W_OK) else []
    except UnfitStick:
        raise
    except LinekeepError as trouble:  # unfit settings, or a box that cannot keep any: SETUP.TXT is for both
        troubles.append(f"{trouble} The settings of the box are as they were.")
    as_it_came = parsed.as_it_came.read_bytes()
    if not troubles and parsed.settings.read_bytes() == as_it_came:
        # For the owner to fill in. Later ones, in which numbers of people may stand, do not leave the box.
        stick.write(SETTINGS_NAME, as_it_came)
    try:
        settings = read_settings(parsed.settings)
        label = _ask_label(settings, parsed.settings.parent)
        told = label_lines(settings, label)
        stick.write(LABEL_NAME, label_sheet(addresses_of(settings), label))
        stick.write(ISSUER_NAME, label.page_issuer.encode())
        told.append(f"{ISSUER_NAME} on this stick is the issuer's certificate, for browsers that are not to warn.")
        told.append("Import it only where the browser shows the fingerprint above.")
    except LinekeepError as trouble:
        troubles.append(str(trouble))
    text = setup_text(
        taken=taken, told=[*opened, *told], addresses=own_addresses(), cards=own_cards(), troubles=troubles
    )
    stick.write(SETUP_NAME, text.encode())
    return CANNOT if troubles else 0


def take_over(stick: Stick, settings_file: Path) -> list[str]:
    """Put the stick's announcement and settings in the place of the box's, if together they are fit.

    Returns: the names of those that are the box's now and were not. Raises SettingsTrouble, StorageTrouble with the
    sentence for who brought them; both are as they were then.
    """
    from appliance.recorder.start_checks import check_lines  # noqa: PLC0415 - no daemon loads another's parts

    sound_file = settings_file.with_name(ANNOUNCEMENT_NAME)
    own, own_sound = settings_file.read_bytes(), sound_file.read_bytes() if sound_file.exists() else None
    untrusted_sound = stick.read(ANNOUNCEMENT_NAME, most_bytes=_LONGEST_ANNOUNCEMENT_BYTES)
    untrusted = stick.read(SETTINGS_NAME)
    brings_sound = untrusted_sound is not None and untrusted_sound != own_sound
    brings_settings = untrusted is not None and untrusted != own
    if not brings_sound and not brings_settings:
        return []
    untrusted = own if untrusted is None else untrusted
    brought = parse_settings(untrusted, "on the stick")
    _check_own(brought, read_settings(settings_file))
    if brings_sound:
        _replace(sound_file, untrusted_sound, like=settings_file)
    try:
        check_lines(brought.recorder)
        if brings_settings:
            _replace(settings_file.with_name("before.toml"), own, like=settings_file)
        # Last, and where they are the same too: that they are written is by what all starts again.
        _replace(settings_file, untrusted, like=settings_file)
    except LinekeepError:
        if brings_sound:
            _replace(sound_file, own_sound, like=settings_file)
        raise
    return [ANNOUNCEMENT_NAME] * brings_sound + [SETTINGS_NAME] * brings_settings


_NOW_THE_BOX_S: Final = {
    ANNOUNCEMENT_NAME: f"The announcement in {ANNOUNCEMENT_NAME} on this stick is the box's now.",
    SETTINGS_NAME: f"The settings in {SETTINGS_NAME} on this stick are the box's now.",
}


def setup_text(
    *,
    taken: Sequence[str],
    told: Sequence[str],
    addresses: Sequence[str],
    cards: Sequence[str],
    troubles: Sequence[str],
) -> str:
    """SETUP.TXT. `taken`: the names of the files that are the box's now."""
    lines = ["This is Linekeep.", "", *told]
    lines += [f"In the network it is {' and '.join(addresses)}." if addresses else "It has no address in the network."]
    lines += ["", "Sound cards, as the settings may call them:", *(f"  {card}" for card in cards)] if cards else []
    lines += ["", *(_NOW_THE_BOX_S[name] for name in taken)] if taken else []
    if troubles:
        lines += ["", "To be looked after:", *(f"- {trouble}" for trouble in troubles)]
    return for_windows(lines)


def _check_own(brought: Settings, own: Settings) -> None:
    for name, mine, theirs in (
        ("state_dir", own.state_dir, brought.state_dir),
        ("run_dir", own.run_dir, brought.run_dir),
        ("vault.tpm", own.vault.tpm, brought.vault.tpm),
        ("vault.pcrs", own.vault.pcrs, brought.vault.pcrs),
        ("vault.update_key", own.vault.update_key, brought.vault.update_key),
        ("vault.recorder_user", own.vault.recorder_user, brought.vault.recorder_user),
        ("vault.webui_user", own.vault.webui_user, brought.vault.webui_user),
    ):
        if mine != theirs:
            raise SettingsTrouble(f'On a box {name} is "{mine}", and the settings file on the stick has "{theirs}".')


def _replace(path: Path, content: bytes | None, *, like: Path) -> None:
    """Written whole, or not at all; for those who may read `like`. None: it is taken away."""
    rights = like.stat()
    fresh = path.with_name(f"{path.name}.new")
    with storage_errors("the settings are written"):
        fresh.unlink(missing_ok=True)
        if content is None:
            path.unlink(missing_ok=True)
            return
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            os.fchown(file.fileno(), rights.st_uid, rights.st_gid)
            os.fchmod(file.fileno(), rights.st_mode & 0o777)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        sync_folder(path.parent)


def _ask_label(settings: Settings, settings_folder: Path) -> Label:
    """Raises LinekeepError: the vault does not answer, or says what is wrong; or it is plain that it cannot."""
    if not Path(settings.vault.tpm).exists():
        raise KeyTrouble(
            "This box shows no TPM, so it makes no keys and records nothing. Switch it on in the firmware's settings "
            "(it may be called fTPM or PTT), or see that the module sits in its place."
        )
    if settings_folder.stat().st_dev == Path("/").stat().st_dev:  # it comes from the data partition
        raise KeyTrouble(
            "The data partition does not open, so nothing is recorded and nothing can be heard. It opens with the TPM "
            "that it was made with, and only as this computer started then. Nothing on it was changed or deleted. "
            f"{_WORDS_HELP}"
        )
    if not os.access(settings_folder, os.W_OK):  # root may always, but where nobody can
        raise StorageTrouble(
            "The disk of this box can be read but not written, so nothing is recorded. What is on it is safe. Some "
            "disks and cards have a switch against writing, and worn-out ones do this too: then replace it, and "
            "restore the backup."
        )
    give_up = time.monotonic() + _VAULT_ANSWERS_WITHIN_S
    while True:
        try:
            return VaultClient(settings.vault_socket(Caller.CONSOLE)).label()
        except VaultAway as away:
            if time.monotonic() > give_up:
                raise StorageTrouble(
                    "The vault of this box does not answer, so it records nothing. What is recorded is safe. If the "
                    f"TPM is another one: {_WORDS_HELP}"
                ) from away
            time.sleep(1)  # it starts, or is started again with new settings


def own_addresses(leases: Path = _LEASES) -> list[str]:
    """The IPv4 addresses that the network gave this box.

    As systemd-networkd notes them for itself: who may not open a network socket cannot ask the kernel. Should it write
    them in another way one day, SETUP.TXT has the box's name and no address. Where it runs, a first one is waited for.
    """
    give_up = time.monotonic() + _LEASE_COMES_WITHIN_S
    while not (found := _leased(leases)) and leases.parent.exists() and time.monotonic() < give_up:
        time.sleep(1)
    return found


def _leased(leases: Path) -> list[str]:
    notes = [note.read_text("utf-8", "replace") for note in sorted(leases.glob("*"))]
    lines = [line for note in notes for line in note.splitlines() if line.startswith("ADDRESS=")]
    return [line.partition("=")[2] for line in lines]


def own_cards(sysfs: Path = Path("/sys")) -> list[str]:
    """Each card as a line of the settings, and what it calls itself: nobody can log in and list them."""
    from appliance.recorder.device.sound_cards import sound_cards  # noqa: PLC0415 - loaded only by who is asked for them

    return [
        (f'usb = "{card.port}"' if card.port else f'alsa = "{card.alsa}"')
        + f"    # {''.join(filter(str.isprintable, card.product or card.card_id))}"
        for card in sound_cards(sysfs)
    ]
