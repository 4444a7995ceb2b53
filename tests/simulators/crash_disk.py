"""What a power cut may leave of a folder: rebuilt from a trace, a cut and a seed.

A trace is what `disk_tap` noted, with the notes of others in between: the state files of the TPM, copied after each
command that changed them, and what the program told of itself. One record, appended in one write:

    KIND inode offset outcome length length\\n first second        kinds: see `Kind`

The model is a journaling file system on flash that keeps the promises of POSIX and no others:

- fsync and fdatasync of a file make its content and length durable, not its name; fsync of a folder makes the names
  in it durable. What was not synced may be there or not, each piece for itself, in any order.
- A file's content goes to the disk in pages of 4096 bytes, each at some moment since the last sync, as it was then; a
  page that is being written when the power goes may be torn between sectors of 512. Its length is one that it had
  since the last sync. The write during which the power goes has done any number of its bytes.
- A truncation is one entry of the file system's journal (ext4 keeps a list of files that are being cut, and ends at the
  next mount what was begun): what lay behind it is there as before, or is not. Nobody finds zeros in a file of the old
  length; SQLite, which cuts its log with one, relies on that. What is written after it is not seen without it.
- Names change one at a time: created, linked, removed, renamed whole. A rename between two folders may show the new
  name and the old one, never none; syncing the new one's folder is enough for the new, syncing the old one's for both.
- After a sync that was refused, what it was to make durable may never reach the disk, though it is read back well as
  long as it is in memory, and though a later sync succeeds; unless it is written once more. Whoever drops the memory's
  copy and reads again is told what the disk has; here, that it has all.
- A disk that lies about its syncs breaks all this; docs/threat-model.md says what that can destroy.

How much of what was not synced gets lost, the seed says: nothing, all, the latest, or any of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path, PurePosixPath

PAGE_BYTES = 4096
SECTOR_BYTES = 512


class Kind(Enum):
    """What a record is about."""

    CREATED = "C"
    WRITTEN = "W"
    TRUNCATED = "T"
    RENAMED = "R"
    LINKED = "L"
    UNLINKED = "U"
    FOLDER_REMOVED = "X"
    FOLDER_MADE = "M"
    SYNCED = "S"
    FOLDER_SYNCED = "D"
    READ_FROM_DISK = "V"
    """What the memory held of a file was dropped."""
    CHIP = "P"
    """The TPM's state files have changed; the offset is the number of their copy."""
    TOLD = "A"
    """What the program told: JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    kind: Kind
    inode: int
    offset: int
    outcome: int
    first: bytes
    second: bytes


def encode(kind: Kind, *, offset: int = 0, first: bytes = b"") -> bytes:
    """A record as others than the tap append it."""
    return f"{kind.value} 0 {offset} 0 {len(first)} 0\n".encode() + first


def read_trace(path: Path) -> list[Record]:
    return list(_records(path.read_bytes()))


def _records(trace: bytes) -> Iterator[Record]:
    at = 0
    while at < len(trace):
        end = trace.index(b"\n", at)
        kind, inode, offset, outcome, first, second = trace[at:end].decode().split()
        middle, at = end + 1 + int(first), end + 1 + int(first) + int(second)
        yield Record(
            kind=Kind(kind),
            inode=int(inode),
            offset=int(offset),
            outcome=int(outcome),
            first=trace[end + 1 : middle],
            second=trace[middle:at],
        )


class Loss(Enum):
    """What becomes of what was not synced when the power goes."""

    NOTHING = auto()
    ALL = auto()
    LATEST = auto()
    """Of names the latest, as on a disk whose journal was written up to a moment; of contents any."""
    ANY = auto()


@dataclass(slots=True)
class _File:
    """A file's content: `settled` up to its last sync, `pending` what came after."""

    settled: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes (offset, bytes) and truncations (length, None)."""
    lost: dict[int, bytes] = field(default_factory=dict)
    """Pages that a refused sync left behind: what the disk may still hold in their place."""

    def sync(self, *, refused: bool) -> None:
        touched = {page for offset, content in self.pending if content for page in _pages(offset, len(content))}
        for page in touched:
            if refused:
                self.lost.setdefault(page, bytes(self.settled[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]))
            else:
                self.lost.pop(page, None)
        for change in self.pending:
            _apply(self.settled, change)
        self.pending.clear()

    def after_cut(self, loss: Loss, chance: random.Random) -> bytes:
        versions = [bytes(self.settled)]
        content = bytearray(self.settled)
        for change in self.pending:
            _apply(content, change)
            versions.append(bytes(content))
        match loss:
            case Loss.NOTHING:
                kept = content
            case Loss.ALL:
                kept = bytearray(versions[0])
            case _:
                cuts = {n: at for n, (at, written) in enumerate(self.pending, start=1) if written is None}
                kept = _mixed(versions, cuts, chance)
        for page, old in self.lost.items():
            start = page * PAGE_BYTES
            end = min(start + PAGE_BYTES, len(kept))
            is_rewritten = kept[start:end] != versions[0][start:end]
            if start < end and not is_rewritten and (loss is Loss.ALL or chance.random() < 0.5):
                kept[start:end] = old.ljust(PAGE_BYTES, b"\0")[: end - start]
        return bytes(kept)


class _Folder:
    """A folder, where a file might be."""


_Entry = _File | _Folder
_FOLDER = _Folder()


@dataclass(frozen=True, slots=True, kw_only=True)
class _NameChange:
    """Names that change together (None: it goes), and the folders of which each makes it durable by its sync."""

    folders: tuple[str, ...]
    names: dict[str, _Entry | None]


class CrashDisk:
    """The folder at one moment of a trace: fed record by record, then cut."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._now: dict[str, _Entry] = {}
        self._durable: dict[str, _Entry] = {}
        self._pending: list[_NameChange] = []
        self.chip = 0
        """The number of the copy of the TPM's state."""

    def feed(self, record: Record) -> None:
        """A call that was done."""
        match record.kind:
            case Kind.WRITTEN:
                self._files[record.inode].pending.append((record.offset, record.first))
            case Kind.TRUNCATED:
                self._files[record.inode].pending.append((record.offset, None))
            case Kind.SYNCED:
                self._files[record.inode].sync(refused=record.outcome != 0)
            case Kind.FOLDER_SYNCED:
                if record.outcome == 0:
                    self._sync_folder(_named(record.first))
            case Kind.READ_FROM_DISK:
                self._files[record.inode].lost.clear()
            case Kind.CHIP:
                self.chip = record.offset
            case Kind.TOLD:
                pass
            case _:
                self._feed_name(record)

    def feed_half(self, record: Record, chance: random.Random) -> None:
        """The call during which the power goes: any number of a write's bytes is done, anything else whole or not."""
        if record.kind is Kind.WRITTEN:
            done = chance.randrange(len(record.first) + 1)
            if chance.random() < 0.5:
                done -= done % SECTOR_BYTES
            self._files[record.inode].pending.append((record.offset, record.first[:done]))
        elif record.kind is not Kind.CHIP and chance.random() < 0.5:
            self.feed(record)

    def after_cut(self, loss: Loss, chance: random.Random) -> dict[str, bytes | None]:
        """What the next start finds: every name with its content; None: a folder."""
        names = dict(self._durable)
        latest = chance.randrange(len(self._pending) + 1)
        for number, change in enumerate(self._pending):
            if _stays(loss, number < latest, chance):
                _put(names, change)
        found = {name: None if isinstance(e, _Folder) else e.after_cut(loss, chance) for name, e in names.items()}
        return {name: content for name, content in found.items() if _has_its_folders(name, found)}

    def now(self) -> dict[str, bytes | None]:
        """What a program sees, nothing having been cut."""
        return {name: self._seen(entry) for name, entry in self._now.items()}

    def content_now(self, name: str) -> bytes | None:
        """What a program sees of one file; None if it is not there."""
        entry = self._now.get(name)
        return None if entry is None else self._seen(entry)

    @staticmethod
    def _seen(entry: _Entry) -> bytes | None:
        return None if isinstance(entry, _Folder) else entry.after_cut(Loss.NOTHING, random.Random())

    def _feed_name(self, record: Record) -> None:
        place, other = _named(record.first), _named(record.second)
        match record.kind:
            case Kind.CREATED:
                made = self._files[record.inode] = _File()
                self._change(place, {place: made})
            case Kind.FOLDER_MADE:
                self._change(place, {place: _FOLDER})
            case Kind.LINKED:
                self._change(other, {other: self._now[place]})
            case Kind.RENAMED if _folder(place) == _folder(other):
                self._change(place, {place: None, other: self._now[place]})
            case Kind.RENAMED:
                # Syncing the old one's folder makes the new name durable too: it is one entry of the disk's journal.
                self._change(other, {other: self._now[place]}, place)
                self._change(place, {place: None})
            case _:
                self._change(place, {place: None})

    def _change(self, place: str, names: dict[str, _Entry | None], *more_places: str) -> None:
        change = _NameChange(folders=tuple(_folder(each) for each in (place, *more_places)), names=names)
        _put(self._now, change)
        self._pending.append(change)

    def _sync_folder(self, folder: str) -> None:
        for change in self._pending:
            if folder in change.folders:
                _put(self._durable, change)
        self._pending = [change for change in self._pending if folder not in change.folders]


def lay_out(found: dict[str, bytes | None], folder: Path) -> None:
    """Put what a cut left into a real folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in sorted(found.items()):
        if content is None:
            (folder / name).mkdir(mode=0o751)
        else:
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)


def rebuilt(records: Sequence[Record], cut: int, seed: int) -> tuple[dict[str, bytes | None], int]:
    """What is found, and the number of the TPM's state, when the power goes during record `cut`."""
    chance = random.Random(seed)
    disk = CrashDisk()
    for record in records[:cut]:
        disk.feed(record)
    if cut < len(records):
        disk.feed_half(records[cut], chance)
    return disk.after_cut(chance.choice(list(Loss)), chance), disk.chip


def _stays(loss: Loss, is_before_latest: bool, chance: random.Random) -> bool:
    match loss:
        case Loss.LATEST:
            return is_before_latest
        case Loss.ANY:
            return chance.random() < 0.5
        case _:
            return loss is Loss.NOTHING


def _put(names: dict[str, _Entry], change: _NameChange) -> None:
    for name, entry in change.names.items():
        if entry is None:
            names.pop(name, None)
        else:
            names[name] = entry


def _has_its_folders(name: str, found: dict[str, bytes | None]) -> bool:
    return all(str(folder) in found for folder in PurePosixPath(name).parents if str(folder) != ".")


def _named(place: bytes) -> str:
    """A name below the root as the tap wrote it; the root itself is "."."""
    return place.decode().rstrip("/") or "."


def _folder(place: str) -> str:
    return str(PurePosixPath(place).parent)


def _pages(offset: int, length: int) -> range:
    return range(offset // PAGE_BYTES, (offset + length - 1) // PAGE_BYTES + 1)


def _apply(content: bytearray, change: tuple[int, bytes | None]) -> None:
    offset, written = change
    if written is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if written is not None:
        content[offset : offset + len(written)] = written


def _mixed(versions: list[bytes], cuts: dict[int, int], chance: random.Random) -> bytearray:
    """One of the lengths, and of each page one of the versions, or two when it was torn.

    Args:
        cuts: which versions came of a truncation, and the length that it left.
    """
    shown = chance.randrange(len(versions))
    before = [at for at in cuts if at <= shown]
    after = [at for at in cuts if at > shown]
    # Older pages than the last truncation may be there still, but nothing that one since then has cut off.
    candidates = [
        version[: min((cuts[at] for at in before if at > number), default=len(version))]
        for number, version in enumerate(versions[: min(after, default=len(versions))])
    ]
    length = len(versions[shown])
    mixed = bytearray()
    while len(mixed) < length:
        at = len(mixed)
        first, second = (v[at : at + PAGE_BYTES].ljust(PAGE_BYTES, b"\0") for v in chance.choices(candidates, k=2))
        torn = chance.randrange(0, PAGE_BYTES, SECTOR_BYTES) if chance.random() < 0.3 else 0
        mixed += second[:torn] + first[torn:]
    return mixed[:length]
