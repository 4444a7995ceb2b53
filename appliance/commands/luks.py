"""The key slots of a LUKS2 partition, by cryptsetup: which there are, and what opens one.

A slot that opens with the words of a recovery key has a token beside it (LUKS2 On-Disk Format 1.1, 3.4) with the
public key to which it belongs. The words are 256 random bits and a passphrase of the same strength is made from them,
so the slot's key derivation need not be slow: its memory would be the recorder's.

Promise: a passphrase is on no command line.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from appliance.terms import StorageTrouble

_WORDS_TOKEN, _TPM_TOKEN = "linekeep-words", "systemd-tpm2"
_BY_TPM = ("--token-type", _TPM_TOKEN, "--token-only")
_QUICK = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
_ENDS_WITHIN_S = 60
_NO_KEY = 2
"""cryptsetup's exit code for what opens no slot."""


class LuksPartition:
    """One partition, on a disk or in a file.

    Args:
        opened_by: cryptsetup's options for what opens it without words.
    """

    def __init__(self, device: Path, opened_by: tuple[str, ...] = _BY_TPM) -> None:
        self._device = str(device)
        self._opened_by = opened_by

    def put(self, public_key: str, passphrase: str) -> None:
        """Let this passphrase open the partition too. Raises StorageTrouble.

        Args:
            public_key: by which the slot will be known, hexadecimal.
        """
        if self._slots_of(_WORDS_TOKEN, public_key) and self.opens_with(passphrase):
            return
        before = self._slots()
        self._run("luksAddKey", *self._opened_by, *_QUICK, self._device, "/dev/stdin", given=passphrase)
        (slot,) = self._slots() - before
        # A cut before this leaves a slot that belongs to nobody: `keep` takes it away.
        token = {"type": _WORDS_TOKEN, "keyslots": [str(slot)], "public_key": public_key}
        self._run("token", "import", "--json-file", "-", self._device, given=msgspec.json.encode(token).decode())

    def keep(self, public_key: str | None) -> bool:
        """Take away all slots but the TPM's and this key's. Returns: whether it has one. Raises StorageTrouble."""
        mine = set[int]() if public_key is None else self._slots_of(_WORDS_TOKEN, public_key)
        tpm = self._slots_of(_TPM_TOKEN)
        if not tpm:
            raise StorageTrouble("No TPM opens the disk, so its key slots are left as they are.")
        for slot in sorted(self._slots() - tpm - mine):
            self._run("luksKillSlot", "--batch-mode", self._device, str(slot))
        for number, token in self._tokens():
            if token["type"] == _WORDS_TOKEN and not token["keyslots"]:
                self._run("token", "remove", "--token-id", number, self._device)
        return bool(mine)

    def opens_with(self, passphrase: str) -> bool:
        """Try it, without opening. Raises StorageTrouble."""
        done = self._try("open", "--test-passphrase", "--key-file", "-", self._device, given=passphrase)
        if done.returncode not in (0, _NO_KEY):
            raise _failed(done)
        return done.returncode == 0

    def seal_to_tpm(self, passphrase: str) -> None:
        """Let the TPM that is there open it, as this computer has started, and no other. Raises StorageTrouble."""
        with tempfile.NamedTemporaryFile("w") as file:  # in the image this is memory
            file.write(passphrase)
            file.flush()
            how = (f"--unlock-key-file={file.name}", "--wipe-slot=tpm2", "--tpm2-device=auto")
            self._run(*how, self._device, program="systemd-cryptenroll")
        self._run("open", "--test-passphrase", *self._opened_by, self._device)

    def _slots(self) -> set[int]:
        return {int(slot) for slot in self._header()["keyslots"]}

    def _slots_of(self, kind: str, public_key: str | None = None) -> set[int]:
        tokens = [token for _number, token in self._tokens() if token["type"] == kind]
        return {int(slot) for token in tokens if token.get("public_key") == public_key for slot in token["keyslots"]}

    def _tokens(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self._header()["tokens"].items())

    def _header(self) -> dict[str, Any]:
        header: dict[str, Any] = msgspec.json.decode(self._run("luksDump", "--dump-json-metadata", self._device))
        return header

    def _run(self, *arguments: str, given: str = "", program: str = "cryptsetup") -> str:
        done = self._try(*arguments, given=given, program=program)
        if done.returncode:
            raise _failed(done)
        return done.stdout

    def _try(self, *arguments: str, given: str, program: str = "cryptsetup") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [program, *arguments], input=given, capture_output=True, text=True, check=False, timeout=_ENDS_WITHIN_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageTrouble(f"{program} does not run: {error}") from error


def _failed(done: subprocess.CompletedProcess[str]) -> StorageTrouble:
    said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    return StorageTrouble(f"The key slots of the disk cannot be read or written ({done.args[0]} says: {said[:300]}).")
