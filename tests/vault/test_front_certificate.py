"""The page's certificate as openssl judges it, and when it is made anew."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.clock import EARLIEST_MS
from appliance.terms import SettingsTrouble
from appliance.vault.front_certificate import LEAF_LIVES, RENEW_BEFORE, ensure_front_certificate, new_authority_key

NAMES = ("linekeep.local", "localhost", "127.0.0.1", "::1", "192.168.7.9")
NOW_MS = EARLIEST_MS + 90 * 86_400_000
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def key() -> bytes:
    return new_authority_key()


@pytest.fixture
def folder(tmp_path: Path, key: bytes) -> Path:
    ensure_front_certificate(tmp_path / "tls", key, NAMES, NOW_MS)
    return tmp_path / "tls"


def verdict_of_openssl(folder: Path, *expected: str, at_ms: int = NOW_MS) -> str:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", str(at_ms // 1000)]
    command += ["-CAfile", str(folder / "ca.pem"), *expected, str(folder / "front.pem")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "OK" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(
    "expected", [("-verify_hostname", name) for name in NAMES[:2]] + [("-verify_ip", name) for name in NAMES[2:]]
)
def test_openssl_accepts_it_strictly_for_each_of_its_names(folder: Path, expected: tuple[str, str]) -> None:
    assert verdict_of_openssl(folder, *expected) == "OK"


def test_openssl_refuses_it_for_another_name(folder: Path) -> None:
    assert "hostname mismatch" in verdict_of_openssl(folder, "-verify_hostname", "bank.example")


@pytest.mark.parametrize("foreign", ["bank.example", "8.8.8.8", "notlocal", "local.example"])
def test_the_authority_cannot_vouch_for_a_name_outside_the_house(tmp_path: Path, key: bytes, foreign: str) -> None:
    ensure_front_certificate(tmp_path, key, (foreign,), NOW_MS)
    assert "permitted subtree violation" in verdict_of_openssl(tmp_path)


def test_a_good_one_stays_byte_for_byte(folder: Path, key: bytes) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ensure_front_certificate(folder, key, NAMES, NOW_MS + DAY_MS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {"ca.pem", "front.pem", "front.key"}


def test_near_its_end_it_is_renewed_under_the_same_authority(folder: Path, key: bytes) -> None:
    ca, leaf = (folder / "ca.pem").read_bytes(), (folder / "front.pem").read_bytes()
    later_ms = NOW_MS + int((LEAF_LIVES - RENEW_BEFORE) / timedelta(milliseconds=1))
    ensure_front_certificate(folder, key, NAMES, later_ms)
    assert (folder / "ca.pem").read_bytes() == ca
    assert (folder / "front.pem").read_bytes() != leaf
    assert verdict_of_openssl(folder, at_ms=later_ms) == "OK"


@pytest.mark.parametrize("names", [NAMES[:-1], (*NAMES, "box.lan")])
def test_for_other_names_it_is_made_anew(folder: Path, key: bytes, names: tuple[str, ...]) -> None:
    leaf = (folder / "front.pem").read_bytes()
    ensure_front_certificate(folder, key, names, NOW_MS)
    assert (folder / "front.pem").read_bytes() != leaf
    assert verdict_of_openssl(folder) == "OK"


@pytest.mark.parametrize("name", ["ca.pem", "front.pem", "front.key"])
@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_missing_or_damaged_file_is_made_good(folder: Path, key: bytes, name: str, content: bytes | None) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    ensure_front_certificate(folder, key, NAMES, NOW_MS)
    assert verdict_of_openssl(folder, "-verify_ip", "127.0.0.1") == "OK"


def test_another_authority_key_makes_all_anew(folder: Path) -> None:
    ensure_front_certificate(folder, new_authority_key(), NAMES, NOW_MS)
    assert verdict_of_openssl(folder) == "OK"


def test_one_made_while_the_clock_was_ahead_is_made_anew_once_it_is_right(tmp_path: Path, key: bytes) -> None:
    ensure_front_certificate(tmp_path, key, NAMES, NOW_MS + 3650 * DAY_MS)
    ensure_front_certificate(tmp_path, key, NAMES, NOW_MS)
    assert verdict_of_openssl(tmp_path) == "OK"


def test_a_clock_in_1970_makes_one_that_begins_when_this_software_did(tmp_path: Path, key: bytes) -> None:
    ensure_front_certificate(tmp_path, key, NAMES, 0)
    assert verdict_of_openssl(tmp_path, at_ms=EARLIEST_MS) == "OK"
    assert datetime.fromtimestamp(EARLIEST_MS / 1000, tz=UTC).year == 2026


@pytest.mark.parametrize("clock_ms", [0, NOW_MS + 50 * 365 * DAY_MS], ids=["1970", "half a century ahead"])
def test_a_wrong_clock_leaves_the_authority_that_browsers_trust(folder: Path, key: bytes, clock_ms: int) -> None:
    ca = (folder / "ca.pem").read_bytes()
    ensure_front_certificate(folder, key, NAMES, clock_ms)
    assert (folder / "ca.pem").read_bytes() == ca
    ensure_front_certificate(folder, key, NAMES, NOW_MS)
    assert verdict_of_openssl(folder) == "OK"


def test_the_key_is_for_owner_and_group_only(folder: Path) -> None:
    assert (folder / "front.key").stat().st_mode & 0o007 == 0


def test_a_name_that_no_certificate_can_hold_is_one_sentence(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(SettingsTrouble, match=r"webui\.names"):
        ensure_front_certificate(tmp_path, key, ("telefön.local",), NOW_MS)


def test_the_certificate_that_was_shown_is_the_one_after_a_power_cut(
    tmp_path: Path, key: bytes, synced: list[Path]
) -> None:
    ensure_front_certificate(tmp_path / "tls", key, NAMES, NOW_MS)
    assert synced[0] == tmp_path
    assert synced[-1] == tmp_path / "tls"
