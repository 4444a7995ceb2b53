"""The export of the journal: one ZIP with all that somebody needs who does not trust the box, or has none.

Takes files as they are and a head that was signed for them; who may have it is left to whoever calls.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from appliance.recordings.disk import storage_errors, sync_folder
from appliance.terms import StorageTrouble
from appliance.vault.evidence import journal_verifier, verifier
from appliance.vault.evidence.journal_verifier import CHAIN_NAME, HEADS_NAME, JOURNAL_NAME

_PIECE_BYTES = 1024 * 1024

_README = """\
The journal of a Linekeep box, with all that is needed to check it.            (Deutsch: weiter unten)

journal.jsonl        one act a line; each line names the SHA-256 of the one before it. Ids only, no names or numbers.
heads.jsonl          statements of how many entries there were and what the last one was, signed by the box's TPM
chain.pem            the certificates: the TPM's signing key, and the box's root. The root's SHA-256 is on the label.
journal_verifier.py  checks all of it; needs Python 3.11 and the package `cryptography`
verifier.py          used by it

    python3 journal_verifier.py THIS.zip --root "FINGERPRINT ON THE LABEL" [--earlier AN-EARLIER.zip]

Take both programs from a source you trust, rather than from this file. Without them, with OpenSSL: in heads.jsonl take
the last two lines, `statement`, `attest` and `signature` (base64), each into a file of its own; then

    openssl x509 -in chain.pem -noout -pubkey > key.pem
    openssl dgst -sha256 -verify key.pem -signature signature attest
    openssl dgst -sha256 statement                  # stands in `attest`; and `entry` in the statement is
    tail -n 1 journal.jsonl | tr -d '\\n' | openssl dgst -sha256

What it does not show: that there is no later export. Ask for a new one, and compare it with this one by --earlier.

--------------------------------------------------------------------------------------------------------------

Das Protokoll einer Linekeep-Box mit allem, was man zum Prüfen braucht.

journal.jsonl        eine Handlung je Zeile; jede nennt den SHA-256 der vorigen. Nur Kennungen, keine Namen.
heads.jsonl          Aussagen, wie viele Einträge es gab und welcher der letzte war, vom TPM der Box unterschrieben
chain.pem            die Zertifikate: Schlüssel des TPM und Wurzel der Box. Deren SHA-256 steht auf dem Etikett.
journal_verifier.py  prüft alles; braucht Python 3.11 und das Paket `cryptography`
verifier.py          wird davon benutzt

    python3 journal_verifier.py DIESE.zip --root "FINGERABDRUCK AUF DEM ETIKETT" [--earlier EINE-FRÜHERE.zip]

Beide Programme besser aus einer Quelle nehmen, der man vertraut, als aus dieser Datei. Ohne sie, mit OpenSSL: wie oben.

Was es nicht zeigt: dass es keinen späteren Export gibt. Einen neuen verlangen und mit --earlier vergleichen.
"""


def explaining(chain: Path) -> dict[str, bytes]:
    """What an export holds beside the journal and its heads, by the names that it has there.

    Args:
        chain: the file of the box's certificates.
    Raises: StorageTrouble.
    """
    programs = [Path(str(program.__file__)) for program in (journal_verifier, verifier)]
    with storage_errors("the journal is exported"):
        files = {CHAIN_NAME: chain.read_bytes()} | {program.name: program.read_bytes() for program in programs}
    return files | {"README.txt": _README.encode()}


def write_export(
    target: Path, *, journal: Path, heads: Path, chain: Path, journal_bytes: int, heads_bytes: int
) -> None:
    """Write the ZIP; whole or not at all, and never over a file that is there.

    Args:
        journal_bytes, heads_bytes: so much of the two files belongs to it.
    Raises: StorageTrouble, DiskFull.
    """
    if target.exists():
        raise StorageTrouble(f"{target} is there already. Nothing was written; name another file.")
    fresh = target.with_name(f"{target.name}.new")
    with storage_errors("the export is written"):
        try:
            with os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w+b") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    _add_beginning(archive, JOURNAL_NAME, journal, journal_bytes)
                    _add_beginning(archive, HEADS_NAME, heads, heads_bytes)
                    for name, content in explaining(chain).items():
                        archive.writestr(name, content)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(target)
        finally:
            fresh.unlink(missing_ok=True)
        sync_folder(target.absolute().parent)


def _add_beginning(archive: zipfile.ZipFile, name: str, path: Path, length: int) -> None:
    with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as member:
        while length > 0:
            piece = source.read(min(length, _PIECE_BYTES))
            if not piece:
                raise StorageTrouble(f"{path.name} is shorter than the vault says. Nothing was exported; try again.")
            member.write(piece)
            length -= len(piece)
