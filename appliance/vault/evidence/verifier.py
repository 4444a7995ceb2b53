"""Checks what a Linekeep box has signed. Needs Python 3.11 and the package `cryptography`, and nothing of Linekeep.

    python verify.py FILE.zip [--root FINGERPRINT ...]

Exit codes: 0 all of it is proven, 1 something is not (each finding is a sentence), 2 it could not be looked at.

Promise: imports no other file of the product, so that this one file can be handed to a court with what it checks.
Everything it reads is untrusted; a check that fails raises `NotProven` with a sentence for a person.

What a statement is worth rests on four things, each checked by itself:

1. the statement: JSON in one line, the exact bytes that were signed for;
2. the attestation: TPMS_ATTEST (TCG TPM 2.0 Library, part 2, 10.12.12), in which the TPM says that it was shown the
   SHA-256 of the statement when one of its indices had a certain value, and what its own clock was;
3. the signature over it, by a key that signs nothing but what the TPM itself says;
4. the certificate of that key, issued by the box's root, whose fingerprint stands on the box's label.

An export of evidence is a ZIP; nothing of it is unpacked to the disk. It is longer than other files of its kind
because it is handed out as one.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

FORMAT = "linekeep statement 1"

_GENERATED_BY_TPM = 0xFF544347
_ATTESTS_NV = 0x8014
_INDEX_NAMES = {
    "ring": bytes.fromhex("000ba9c4d53e3e6c0227f6bb8cb970f9eef23f50c90d85afdf1cd3a675d369a3b7ee"),
    "journal": bytes.fromhex("000bd221ba444ae2ebcdbe58c151a069475b11ac0198eedb13de05e9e9865541db8c"),
}
"""The names of the two indices: SHA-256 over their public areas, the same in every TPM."""


class NotProven(Exception):
    """Something is not what a box of Linekeep has signed; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A statement as it was signed. statement: JSON, UTF-8.  attest: TPMS_ATTEST.  signature: ECDSA, DER."""

    statement: bytes
    attest: bytes
    signature: bytes

    def as_json(self) -> dict[str, str]:
        """For a file in which several stand."""
        attest, signature = (base64.b64encode(part).decode() for part in (self.attest, self.signature))
        return {"statement": self.statement.decode(), "attest": attest, "signature": signature}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What the TPM said.

    shown: the 32 bytes that were put to it.  index: which of its indices, "ring" or "journal".  state: the value of
    that index, 32 bytes.  clock_ms, resets, restarts: of the TPM's clock; the two counts are shifted by a secret, so
    only their differences mean something.
    """

    shown: bytes
    index: str
    state: bytes
    clock_ms: int
    resets: int
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A statement that holds: its own fields, and what the TPM said beside it."""

    facts: dict[str, Any]
    attested: Attested


def signed_statement(untrusted_json: object) -> SignedStatement:
    """The reverse of `as_json`. Raises NotProven."""
    try:
        parts = dict(untrusted_json)  # type: ignore[call-overload]
        attest, signature = (base64.b64decode(parts[name], validate=True) for name in ("attest", "signature"))
        return SignedStatement(statement=parts["statement"].encode(), attest=attest, signature=signature)
    except (TypeError, ValueError, KeyError, AttributeError, binascii.Error) as error:
        raise NotProven("This is not a signed statement of Linekeep: parts of it are missing.") from error


class Chain:
    """A box's certificates: the TPM's signing key, and the root that vouches for it.

    Args:
        untrusted_pem: both, the key's first.
        root_fingerprint: SHA-256 of the root in hexadecimal, as on the label; blanks and colons do not matter. None:
            the root is taken as it is, and only `root_fingerprint` tells whose it is.
    Raises:
        NotProven: not such a pair, or another root.
    """

    def __init__(self, untrusted_pem: bytes, root_fingerprint: str | None = None) -> None:
        try:
            device, root = x509.load_pem_x509_certificates(untrusted_pem)
            device.verify_directly_issued_by(root)
            root.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise NotProven("The certificates do not belong together: the root has not issued the key's.") from error
        key = device.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise NotProven("The certificate's key is of another kind than a box's.")
        self._key = key
        self.pem = untrusted_pem
        self.device, self.root = device, root
        self.root_fingerprint = hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
        if root_fingerprint is not None and plain_fingerprint(root_fingerprint) != self.root_fingerprint:
            raise NotProven(
                "These certificates are another box's: the root's fingerprint is "
                f"{shown_fingerprint(self.root_fingerprint)}, and not the one from the label."
            )

    @property
    def device_pem(self) -> bytes:
        return self.device.public_bytes(Encoding.PEM)

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)

    def check(self, signed: SignedStatement) -> Checked:
        """See that this box's TPM has signed this statement. Raises NotProven."""
        try:
            self._key.verify(signed.signature, signed.attest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise NotProven("A statement is not signed by this box: it was changed, or another box's.") from error
        attested = _read_attest(signed.attest)
        if attested.shown != hashlib.sha256(signed.statement).digest():
            raise NotProven("A statement is not the one that was signed: its text was changed.")
        facts = _read_statement(signed.statement)
        if facts.get("box") != self.root_fingerprint:
            raise NotProven("A statement names another box than the certificates do.")
        return Checked(facts=facts, attested=attested)


def plain_fingerprint(untrusted_text: str) -> str:
    """A fingerprint as people type it, as we compare it."""
    return "".join(sign for sign in untrusted_text.lower() if sign in "0123456789abcdef")


def shown_fingerprint(fingerprint: str) -> str:
    """A fingerprint as people read it: groups of four."""
    return " ".join(fingerprint[start : start + 4].upper() for start in range(0, len(fingerprint), 4))


def _read_attest(attest: bytes) -> Attested:
    try:
        magic, kind = struct.unpack_from(">IH", attest)
        _, rest = _sized(attest[6:])  # the signer's name, qualified by its parents'
        shown, rest = _sized(rest)
        clock_ms, resets, restarts = struct.unpack_from(">QII", rest)
        name, rest = _sized(rest[17 + 8 :])  # behind the clock, its `safe` flag, and the firmware's version
        state, end = _sized(rest[2:])  # behind the offset
    except struct.error as error:
        raise NotProven("The TPM's attestation is cut off.") from error
    if (magic, kind, end) != (_GENERATED_BY_TPM, _ATTESTS_NV, b""):
        raise NotProven("The TPM's attestation is of another kind than Linekeep's.")
    for index, known in _INDEX_NAMES.items():
        if name == known:
            return Attested(shown=shown, index=index, state=state, clock_ms=clock_ms, resets=resets, restarts=restarts)
    raise NotProven("The TPM's attestation is of an index that is not Linekeep's.")


def _sized(content: bytes) -> tuple[bytes, bytes]:
    """A part with its length in two bytes before it, and what follows."""
    (length,) = struct.unpack_from(">H", content)
    if len(content) < 2 + length:
        raise struct.error("cut off")
    return content[2 : 2 + length], content[2 + length :]


def _read_statement(statement: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(statement)
    except ValueError as error:
        raise NotProven("A statement is not readable.") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise NotProven("A statement is of a later format. Use the verifier of a newer version.")
    return facts


# --- an export of evidence ------------------------------------------------------------------------------

ACCESS_LOG, DAY = "access-log", "day"
"""Names of statements in an export; each is three files: .json, .attest and .sig."""

_EXPLAINING = ("verify.py", "HOW-TO-VERIFY.txt", "REPORT.de.html", "REPORT.en.html")
_SUFFIXES = (".json", ".attest", ".sig")
_MOST_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_RATE_HZ = 8000
_KEPT = ("kept", "recovered")
_TOTALS = ("captured", "paused", "refused", "lost")
_OTHERS = {
    "not_kept": "nothing was recorded",
    "refused": "there was no consent, so nothing was written",
    "unfinished": "its recording had not been taken over when the day was signed",
}
_NOT_KEPT = {
    "missed": "it rang, and nobody answered",
    "not_answered": "whoever was called did not answer",
    "refused": "it was not agreed to, so nothing was written",
    "timed_out": "nobody agreed in time, so nothing was written",
    "half_heard": "the announcement was not heard to its end, so nothing was written",
    "number_listed": "the settings never record this number",
    "private": "the line was private at that time",
    "fax": "it was a fax",
    "doubt": "audio was lost before it was agreed to, so nothing was written",
    "forgotten": "it was asked for while it ran that it be forgotten",
}
_WHY = {
    "period": "their time was over",
    "asked": "a person asked for it",
    "nothing_recorded": "nothing had been recorded",
    "dropped": "forgotten while they ran",
    "forgotten_before": "deleted before a restore",
}
_CONSENT = {
    "key": "the key that means yes was pressed on the telephone",
    "agent": "a spoken yes, confirmed by the side that records",
    "announcement": "the announcement was heard to its end, and the call went on",
    "duty": "nobody was asked, on the ground that stands above",
}
_MOST_NAMED = 20
_BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)


class Unreadable(Exception):
    """The file is not an export, or cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """said: what is proven, line by line.  findings: what is not.  roots: whose certificates vouch for it.

    receipts: the facts of the deletion receipts that hold.
    """

    said: list[str]
    findings: list[str]
    roots: list[str]
    receipts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A statement as it stands in an export. holds: False if it is not proven; its facts are then a mere claim."""

    facts: dict[str, Any]
    sha256: str
    holds: bool


def check_export(path: Path, roots: Sequence[str] = ()) -> Verdict:
    """Check an export of evidence, all of it.

    Args:
        roots: fingerprints from labels; every certificate must lead to one of them. None: the certificates are
            taken as they are.
    Raises:
        Unreadable: not a ZIP, or the disk does not give it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check = _ExportCheck(archive, [plain_fingerprint(root) for root in roots])
            check.run()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise Unreadable(
            f"{path.name} cannot be read as an export of evidence: it is no ZIP file, or cut off."
        ) from error
    return Verdict(said=check.said, findings=check.findings, roots=[*check.chains], receipts=check.receipts)


class _ExportCheck:
    """One pass over an export. Finds as much as can be found: one finding does not hide the next."""

    def __init__(self, archive: zipfile.ZipFile, roots: Sequence[str]) -> None:
        self._archive = archive
        self._roots = roots
        self._names = archive.namelist()
        self._seen: set[str] = set()
        self._calls: dict[str, _Found] = {}
        self.chains: dict[str, Chain] = {}
        self.said: list[str] = []
        self.findings: list[str] = []
        self.receipts: list[dict[str, Any]] = []

    def run(self) -> None:
        self._read_chains()
        log = None if self._is_receipts_alone() else self._statement(ACCESS_LOG, "access_log", "The access log")
        day = self._statement(DAY, "line_day", "The day's statement") if self._has(DAY) else None
        for folder in sorted({name.split("/")[1] for name in self._names if name.startswith("calls/")}):
            self._check_call(folder)
        receipts = self._check_receipts()
        if log is not None:
            self._guarded("The access log", lambda: self._check_log(log.facts, day))
        if day is not None:
            whole = log is not None and log.facts.get("scope") == "day"
            self._guarded("The day's statement", lambda: self._check_day(day.facts, receipts, whole=whole))
        self._check_names()

    def _is_receipts_alone(self) -> bool:
        """An export of receipts holds no call, so nobody's access is told; each receipt is whole by itself."""
        stated = {name.split("/")[0] for name in self._names if name.endswith(_SUFFIXES)}
        return stated == {"receipts"}

    # certificates and statements

    def _read_chains(self) -> None:
        folders = sorted({name.rpartition("device.pem")[0] for name in self._names if name.endswith("device.pem")})
        if not folders:
            self.findings.append("The box's certificates are missing: device.pem and root.pem.")
        for folder in folders:
            with self._noting(f"Certificates in {folder or 'the export'}"):
                chain = Chain(self._read(folder + "device.pem") + self._read(folder + "root.pem"))
                self.chains[chain.root_fingerprint] = chain
                if self._roots and chain.root_fingerprint not in self._roots:
                    raise NotProven(
                        "These certificates are another box's: the root's fingerprint is "
                        f"{shown_fingerprint(chain.root_fingerprint)}, and not the one from the label."
                    )

    def _statement(self, stem: str, kind: str, what: str) -> _Found | None:
        """A statement of an export; what is wrong with it becomes a finding."""
        parts: list[bytes] = []
        with self._noting(what):
            parts = [self._read(stem + suffix) for suffix in _SUFFIXES]
        if not parts:
            return None
        signed = SignedStatement(statement=parts[0], attest=parts[1], signature=parts[2])
        holds, facts = False, {}
        with self._noting(what):
            facts = _read_statement(signed.statement)
            self._chain_for(facts).check(signed)
            if facts.get("kind") != kind:
                raise NotProven("This is a statement about something else.")
            holds = True
        return _Found(facts=facts, sha256=hashlib.sha256(signed.statement).hexdigest(), holds=holds)

    def _chain_for(self, facts: dict[str, Any]) -> Chain:
        chain = self.chains.get(str(facts.get("box")))
        if chain is None:
            raise NotProven(
                "It names another box than the certificates in this file do: one of them is another box's. "
                f"It names {shown_fingerprint(str(facts.get('box'))[:64])}."
            )
        return chain

    # calls

    def _check_call(self, folder: str) -> None:
        place = f"calls/{folder}/"
        found = self._statement(place + "recording", "recording", f"The statement about {folder}")
        if found is None:
            return
        self._guarded(f"The statement about {folder}", lambda: self._check_recording(place, found))

    def _check_recording(self, place: str, found: _Found) -> None:
        facts, before = found.facts, len(self.findings)
        opening, closing, who = facts["opening"], facts["closing"], _who(facts)
        self._calls[facts["call"]] = found
        self._check_audio(place + "audio.ogg", closing, who)
        with self._noting(who):
            _check_gaps(closing, lost=facts["frames_lost"], paused=facts["frames_paused"])
            if not facts["call"] == opening["call"] == closing["call"] or facts["line"] != opening["line"]:
                raise NotProven("Its statement is put together from two calls'.")
        if found.holds and len(self.findings) == before:
            self.said += _about(facts, who)

    def _check_audio(self, name: str, closing: dict[str, Any], who: str) -> None:
        if name not in self._names:
            self.findings.append(f"{who}: its audio is missing.")
            return
        with self._noting(who):
            if self._sha256(name) != closing["audio_sha256"]:
                raise NotProven("The audio was changed: it is not the audio that was recorded.")

    # the export, the day, receipts

    def _check_log(self, facts: dict[str, Any], day: _Found | None) -> None:
        named, here = list(facts["calls"]), set(self._calls)
        self.findings += [
            f"Call {call} was exported, and is missing from this file." for call in named if call not in here
        ]
        self.findings += [f"Call {call} is in this file, and was not exported with it." for call in here - set(named)]
        if facts["day_sha256"] is None:
            self.said.append("The day was not finished when this was exported: nothing is said about other calls.")
        elif day is None:
            self.findings.append("The day's statement was exported, and is missing from this file.")
        elif day.sha256 != facts["day_sha256"]:
            self.findings.append("The day's statement is not the one that was exported.")
        if "verify.py" in self._names and self._sha256("verify.py") != facts["verifier_sha256"]:
            self.findings.append("The program verify.py was changed. Take it from the box, or from another export.")
        exported = f"Exported {_moment(facts['exported_at_ms'])} by account {facts['exported_by']}."
        self.said.append(f"{exported} The box's journal has {len(facts['entries'])} entries about what is in here.")

    def _check_day(self, facts: dict[str, Any], receipts: set[str], *, whole: bool) -> None:
        calls = facts["calls"]
        numbers = [call["number"] for call in calls]
        for expected, number in enumerate(numbers, start=1):
            if number != expected:
                self.findings.append(f"The calls of the day are not numbered without a hole: {expected} is missing.")
                break
        if facts["lost_ms"] != sum(_captured(calls, "frames_lost")) * 1000 // _RATE_HZ:
            self.findings.append("The day's lost seconds do not add up to what its calls lost.")
        by_call = {call["call"]: call for call in calls}
        for call, found in self._calls.items():
            self._check_in_day(found, by_call.get(call), facts)
        if whole:
            self.findings += _missing(calls, set(self._calls), receipts)
        self.said += _about_day(facts)

    def _check_in_day(self, found: _Found, counted: dict[str, Any] | None, day: dict[str, Any]) -> None:
        who = _who(found.facts)
        if counted is None or (found.facts["line"], found.facts["day"]) != (day["line"], day["day"]):
            self.findings.append(f"{who}: it is not among the calls of the day.")
        elif counted["statement_sha256"] != found.sha256:
            self.findings.append(f"{who}: the day counts another statement about this call than the one in this file.")

    def _check_receipts(self) -> set[str]:
        """The calls whose deletion is proven."""
        gone: set[str] = set()
        for name in sorted(
            {name[:-5] for name in self._names if name.startswith("receipts/") and name.endswith(".json")}
        ):
            found = self._statement(name, "deletion_receipt", f"The receipt {name.removeprefix('receipts/')}")
            if found is not None and found.holds:
                with self._noting(f"The receipt {name.removeprefix('receipts/')}"):
                    self.said += _about_receipt(found.facts)
                    self.receipts.append(found.facts)
                    gone.update(found.facts["calls"])
        return gone

    def _check_names(self) -> None:
        known = self._seen | set(_EXPLAINING)
        for name in sorted(set(self._names) - known):
            self.findings.append(f"The file '{name}' does not belong to this export.")
        for name in sorted({name for name in self._names if self._names.count(name) > 1}):
            self.findings.append(f"The file '{name}' is there twice.")

    # reading

    def _has(self, stem: str) -> bool:
        return any(stem + suffix in self._names for suffix in _SUFFIXES)

    def _read(self, name: str) -> bytes:
        if name not in self._names:
            raise NotProven(f"The file {name} is missing.")
        return b"".join(self._pieces(name))

    def _sha256(self, name: str) -> str:
        computed = hashlib.sha256()
        for piece in self._pieces(name, most_bytes=None):
            computed.update(piece)
        return computed.hexdigest()

    def _pieces(self, name: str, most_bytes: int | None = _MOST_BYTES) -> Iterator[bytes]:
        self._seen.add(name)
        taken = 0
        try:
            with self._archive.open(name) as file:
                while piece := file.read(_PIECE_BYTES):
                    taken += len(piece)
                    if most_bytes is not None and taken > most_bytes:
                        raise NotProven(f"The file {name} is larger than any that a box makes.")
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise NotProven(f"The file {name} is damaged: it was changed, or the ZIP is cut off.") from error

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Whatever is not proven in here becomes a finding about `what`."""
        try:
            yield
        except NotProven as error:
            self.findings.append(f"{what}: {error}")
        except _BROKEN:
            self.findings.append(f"{what}: parts of it are missing, or are not what they must be.")

    def _guarded(self, what: str, check: Callable[[], None]) -> None:
        with self._noting(what):
            check()


def _check_gaps(closing: dict[str, Any], *, lost: int, paused: int) -> None:
    end = 0
    for gap in closing["gaps"]:
        if gap["at_frame"] < end or gap["frames"] < 1 or gap["at_frame"] + gap["frames"] > closing["frames"]:
            raise NotProven("Its list of gaps is not in order: a gap lies outside the call or over another one.")
        end = gap["at_frame"] + gap["frames"]
    for stated, what in ((lost, "lost"), (paused, "paused")):
        listed = sum(gap["frames"] for gap in closing["gaps"] if (gap["why"] == "paused") is (what == "paused"))
        if listed != stated:
            raise NotProven(
                f"Its list of gaps was changed: the gaps listed add up to {_seconds(listed)}, but "
                f"{_seconds(stated)} are stated as {what}."
            )


def _about_receipt(facts: dict[str, Any]) -> list[str]:
    gone, done = facts["calls"], facts["done_at_ms"]
    if len(set(gone)) != facts["count"] or sum(facts["classes"].values()) < facts["count"]:
        raise NotProven("Its number of calls is not the number of those that it names.")
    if facts["ring_before"] == facts["ring_after"]:
        raise NotProven("The keys of the box did not change, so nothing was forgotten by it.")
    return [
        f"Deleted: {len(gone)} call{'' if len(gone) == 1 else 's'} ({_WHY.get(facts['why'], facts['why'])}), asked for "
        f"{_moment(facts['asked_at_ms'])} by {facts['asked_by']}, the keys gone {_moment(done)}.",
        f"  The TPM's ring of keys went from {facts['ring_before'][:16]}… to {facts['ring_after'][:16]}…",
        *(f"  Call {call}" for call in gone[:_MOST_NAMED]),
        *([f"  and {len(gone) - _MOST_NAMED} more, named in the receipt"] if len(gone) > _MOST_NAMED else []),
    ]


def _missing(calls: Iterable[dict[str, Any]], here: set[str], receipts: set[str]) -> list[str]:
    return [
        f"Call {call['number']} of the day is missing from this file: neither its recording is here nor a receipt "
        "for its deletion."
        for call in calls
        if call["outcome"] in _KEPT and call["call"] not in here | receipts
    ]


def _captured(calls: Iterable[dict[str, Any]], name: str) -> list[int]:
    return [call[name] for call in calls if call["outcome"] != "refused"]


def _about(facts: dict[str, Any], who: str) -> list[str]:
    opening, closing = facts["opening"], facts["closing"]
    lines = [
        f"{who}, begun {_moment(opening['started_at_ms'])}, {_seconds(closing['frames'])} long: its audio is the one "
        "that was recorded."
    ]
    lines += [
        f"  At {_seconds(gap['at_frame'])}: {_seconds(gap['frames'])} are missing ({gap['why']})."
        for gap in closing["gaps"]
    ] or ["  Nothing is missing in it."]
    if opening.get("channels") == 2:
        lines.append("  It has two channels: the near side on the left, the far side on the right.")
    if closing["ended"] == "cut_off":
        lines.append("  It was cut off by a power cut or a fault; what came after its end is lost.")
    lines.append(f"  Recorded because: {opening['ground']}")
    # Recordings of format 1, and statements from before there was another, do not say it.
    if consent := opening.get("consent"):
        lines.append(f"  Consent, {_moment(consent['at_ms'])}: {_CONSENT.get(consent['by'], consent['by'])}.")
    lines.append(f"  Sealed on the box and in its backups as the file with SHA-256 {facts['container']['sha256']}.")
    return lines


def _about_day(facts: dict[str, Any]) -> list[str]:
    calls = facts["calls"]
    kept = sum(call["outcome"] in _KEPT for call in calls)
    totals = ", ".join(
        f"{facts[f'{name}_ms'] / 1000:.1f} s {name}" for name in ("captured", "paused", "refused", "lost")
    )
    lines = [f"Line {facts['line']} on {facts['day']} (UTC): {len(calls)} calls began, {kept} were kept; {totals}."]
    lines += [
        f"  Call {call['number']} was not kept: "
        f"{_NOT_KEPT.get(call.get('why')) or _OTHERS.get(call['outcome'], call['outcome'])}."
        for call in calls
        if call["outcome"] not in _KEPT
    ]
    return lines


def _who(facts: dict[str, Any]) -> str:
    return f"Call {facts['number']} of line {facts['line']} on {facts['day']}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _seconds(frames: int) -> str:
    return f"{frames / _RATE_HZ:.2f} s"


def tell(verdict: Verdict, *, asked: bool) -> list[str]:
    """A verdict for people. `asked`: the roots were compared with given ones."""
    lines = [*verdict.said]
    for root in verdict.roots:
        compared = "as you gave it" if asked else "compare it with the label on the box"
        lines.append(f"Root of the box's certificates: {shown_fingerprint(root)} ({compared}).")
    if verdict.findings:
        lines += [f"NOT PROVEN: {finding}" for finding in verdict.findings]
    else:
        lines.append("All that is in this file is proven. The REPORT files only explain it, and are not signed.")
    # What an export says is untrusted; a terminal must not obey it.
    return ["".join(sign if sign.isprintable() else "?" for sign in line) for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="verify.py", description="Checks an export of evidence of a Linekeep box.")
    parser.add_argument("file", type=Path, metavar="FILE.zip")
    parser.add_argument("--root", action="append", default=[], metavar="FINGERPRINT", help="from the box's label")
    parsed = parser.parse_args(arguments)
    return report(parsed.file, parsed.root)


def report(path: Path, roots: Sequence[str]) -> int:
    """Check an export and print the verdict. Returns the exit code."""
    try:
        verdict = check_export(path, roots)
    except Unreadable as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program's own output
        return 2
    print("\n".join(tell(verdict, asked=bool(roots))))  # noqa: T201
    return 1 if verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
