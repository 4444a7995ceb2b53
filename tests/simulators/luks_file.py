"""A LUKS2 partition in a file, by the real cryptsetup; what stands for its TPM is a key file, and a token as systemd's.

cryptsetup's own way to a TPM needs one in /dev, so what is not shown here is that the TPM opens it: tests/image does.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec

from appliance.commands.luks import LuksPartition

_QUICK = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
_BYTES = 32 * 1024 * 1024
_TPM_TOKEN = {"type": "systemd-tpm2", "keyslots": ["0"], "tpm2-blob": "", "tpm2-pcrs": [7], "tpm2-policy-hash": "00"}


class LuksFile:
    """Slot 0 is the TPM's."""

    def __init__(self, folder: Path, *, has_tpm: bool = True) -> None:
        self.path, self.tpm_key = folder / "partition.img", folder / "tpm.key"
        with self.path.open("wb") as file:
            file.truncate(_BYTES)
        self.tpm_key.write_text("what the TPM unseals")
        self._run("luksFormat", "--batch-mode", "--type", "luks2", *_QUICK, self.path, self.tpm_key)
        if has_tpm:
            token = msgspec.json.encode(_TPM_TOKEN)
            self._run("token", "import", "--json-file", "-", self.path, given=token)

    @property
    def opened_by(self) -> tuple[str, str]:
        return "--key-file", str(self.tpm_key)

    def partition(self) -> LuksPartition:
        return LuksPartition(self.path, self.opened_by)

    def add_slot(self, passphrase: str) -> None:
        """One that belongs to nobody, as a cut leaves it before its token is written."""
        self._run("luksAddKey", *self.opened_by, *_QUICK, self.path, "/dev/stdin", given=passphrase.encode())

    def kill_slot(self, slot: int) -> None:
        self._run("luksKillSlot", "--batch-mode", self.path, slot)

    def slots(self) -> set[int]:
        return {int(slot) for slot in self._header()["keyslots"]}

    def keys(self) -> dict[str, set[int]]:
        """The slots of each public key, as the tokens say."""
        tokens = self._header()["tokens"].values()
        return {token["public_key"]: set(map(int, token["keyslots"])) for token in tokens if "public_key" in token}

    def tpm_tokens(self) -> list[dict[str, Any]]:
        return [token for token in self._header()["tokens"].values() if token["type"] == "systemd-tpm2"]

    def tpm_slots(self) -> set[int]:
        return {int(slot) for token in self.tpm_tokens() for slot in token["keyslots"]}

    def header_bytes(self) -> bytes:
        """Both copies of the metadata and all key slots."""
        with self.path.open("rb") as file:
            return file.read(16 * 1024 * 1024)

    def opens_with(self, passphrase: str) -> bool:
        return self._opens("-", passphrase)

    def opens_with_tpm(self) -> bool:
        return self._opens(self.tpm_key)

    def _opens(self, key_file: str | Path, given: str = "") -> bool:
        command: list[str | Path] = ["cryptsetup", "open", "--test-passphrase", "--key-file", key_file, self.path]
        return subprocess.run(command, input=given.encode(), capture_output=True, check=False).returncode == 0

    def _header(self) -> dict[str, Any]:
        header: dict[str, Any] = msgspec.json.decode(self._run("luksDump", "--dump-json-metadata", self.path))
        return header

    def _run(self, *arguments: str | Path | int, given: bytes = b"") -> bytes:
        command = ["cryptsetup", *map(str, arguments)]
        return subprocess.run(command, input=given, check=True, capture_output=True).stdout
