"""The key slots of a LUKS2 partition, by cryptsetup: which there are, and what opens one.

A slot that opens with the words of a recovery key has a token beside it (LUKS2 On-Disk Format 1.1, 3.4) with the
public key to which it belongs. The words are 256 random bits and a passphrase of the same strength is made from them,
so the slot's key derivation need not be slow: its memory would be the recorder's.

Promise: a passphrase is on no command line. One process at a time changes a header.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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

_Token = dict[str, Any]


class LuksPartition:
    """One partition, on a disk or in a file.

    Args:
        opened_by: cryptsetup's options for what opens it without words.
    """

    def __init__(self, device: Path, opened_by: tuple[str, ...] = _BY_TPM) -> None:
        self._device = device
        self._opened_by = opened_by

    def is_below(self, folder: Path) -> bool:
        """Whether this is what a mounted file system lies on; another disk may have a partition of the same name."""
        mounted = folder.stat().st_dev
        below = Path(f"/sys/dev/block/{os.major(mounted)}:{os.minor(mounted)}/slaves").glob("*/dev")
        own = self._device.stat().st_rdev
        return f"{os.major(own)}:{os.minor(own)}" in {path.read_text().strip() for path in below}

    def put(self, public_key: str, passphrase: str) -> None:
        """Let this passphrase open the partition too. Raises StorageTrouble.

        Args:
            public_key: by which the slot will be known, hexadecimal.
        """
        with self._alone():
            if _slots_of(self._tokens(), _WORDS_TOKEN, public_key) and self.opens_with(passphrase):
                return
            before = self._slots()
            self._run("luksAddKey", *self._opened_by, *_QUICK, self._device, "/dev/stdin", given=passphrase)
            # A cut before this leaves a slot that belongs to nobody: `keep` takes it away.
            for slot in self._slots() - before:
                self._import({"type": _WORDS_TOKEN, "keyslots": [str(slot)], "public_key": public_key})
            if not self.opens_with(passphrase):
                raise StorageTrouble("The disk does not open with the key slot that was written.")

    def keep(self, public_key: str | None) -> bool:
        """Take away all slots but the TPM's and this key's. Returns: whether it has one. Raises StorageTrouble."""
        with self._alone():
            tokens = self._tokens()
            mine = set[int]() if public_key is None else _slots_of(tokens, _WORDS_TOKEN, public_key)
            tpm = _slots_of(tokens, _TPM_TOKEN)
            if not tpm:
                raise StorageTrouble("No TPM opens the disk, so its key slots are left as they are.")
            self._kill(self._slots() - tpm - mine)
            return bool(mine)

    def opens_with(self, passphrase: str) -> bool:
        """Try it, without opening. Raises StorageTrouble."""
        # Without the plug-ins: a TPM that opens it would do so whatever was typed.
        how = ("--test-passphrase", "--disable-external-tokens", "--key-file", "-")
        done = self._try("open", *how, self._device, given=passphrase)
        if done.returncode not in (0, _NO_KEY):
            raise _failed(done)
        return done.returncode == 0

    def seal_to_tpm(self, passphrase: str) -> None:
        """Let the TPM that is there open it, as this computer has started, and no other. Raises StorageTrouble.

        systemd-cryptenroll takes a token of another TPM for this one's if both have seen the same registers. So the
        former tokens go first, and come back if there is no new one; their slots go last.
        """
        with self._alone(), tempfile.NamedTemporaryFile("w") as file:  # in the image this is memory
            file.write(passphrase)
            file.flush()
            former = {number: token for number, token in self._tokens().items() if token["type"] == _TPM_TOKEN}
            for number in former:
                self._run("token", "remove", "--token-id", number, self._device)
            try:
                how = (f"--unlock-key-file={file.name}", "--tpm2-device=auto")
                self._run(*how, self._device, program="systemd-cryptenroll")
                self._run("open", "--test-passphrase", *self._opened_by, self._device)
            except StorageTrouble:
                for token in former.values():
                    self._import(token)
                raise
            tokens = self._tokens()
            self._kill(self._slots() - _slots_of(tokens, _TPM_TOKEN) - _slots_of(tokens, _WORDS_TOKEN))

    def _kill(self, slots: set[int]) -> None:
        for slot in sorted(slots):
            self._run("luksKillSlot", "--batch-mode", self._device, str(slot))
        for number, token in self._tokens().items():
            if token["type"] == _WORDS_TOKEN and not token["keyslots"]:
                self._run("token", "remove", "--token-id", number, self._device)

    def _import(self, token: _Token) -> None:
        self._run("token", "import", "--json-file", "-", self._device, given=msgspec.json.encode(token).decode())

    def _slots(self) -> set[int]:
        return {int(slot) for slot in self._header()["keyslots"]}

    def _tokens(self) -> dict[str, _Token]:
        tokens: dict[str, _Token] = self._header()["tokens"]
        return tokens

    def _header(self) -> dict[str, Any]:
        header: dict[str, Any] = msgspec.json.decode(self._run("luksDump", "--dump-json-metadata", self._device))
        return header

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # cryptsetup guards each of its own steps; several make one of ours. The folder, since a file it locks itself.
        lock = os.open(self._device.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _run(self, *arguments: str | Path, given: str = "", program: str = "cryptsetup") -> str:
        done = self._try(*arguments, given=given, program=program)
        if done.returncode:
            raise _failed(done)
        return done.stdout

    def _try(self, *arguments: str | Path, given: str, program: str = "cryptsetup") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [program, *arguments], input=given, capture_output=True, text=True, check=False, timeout=_ENDS_WITHIN_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageTrouble(f"{program} does not run: {error}") from error


def _slots_of(tokens: dict[str, _Token], kind: str, public_key: str | None = None) -> set[int]:
    """Those of tokens of this kind, and of this key if one is named."""
    own = [each for each in tokens.values() if each["type"] == kind and public_key in (None, each.get("public_key"))]
    return {int(slot) for token in own for slot in token["keyslots"]}


def _failed(done: subprocess.CompletedProcess[str]) -> StorageTrouble:
    said = [line.strip() for line in done.stderr.splitlines() if not line.startswith(_OF_THE_TPM_LIBRARY)]
    why = " ".join(said)[:300] or f"exit code {done.returncode}"
    return StorageTrouble(f"The key slots of the disk cannot be read or written ({done.args[0]} says: {why}).")


_OF_THE_TPM_LIBRARY = ("WARNING:", "ERROR:")
"""Of what it says a person can make nothing."""
