"""A ZIP file as it is sent, piece by piece: nothing of it comes to rest on a disk or whole in memory.

What fails midway leaves a ZIP without its directory at the end, which no program takes for a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

ZIP = "application/zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in a ZIP. length: in bytes, as announced.  is_dense: compressing it would gain nothing."""

    name: str
    pieces: Iterable[bytes]
    length: int
    is_dense: bool = False


def member(name: str, content: bytes) -> Member:
    return Member(name=name, pieces=(content,), length=len(content))


def zip_pieces(members: Iterable[Member], made_at: datetime) -> Iterator[bytes]:
    """The bytes of a ZIP of these files, ZIP64 where it must be; each file is asked for when its turn comes."""
    outlet = _Outlet()
    with ZipFile(outlet, "w") as archive:  # type: ignore[call-overload]
        for each in members:
            entry = ZipInfo(each.name, date_time=made_at.timetuple()[:6])
            entry.compress_type = ZIP_STORED if each.is_dense else ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.file_size = each.length  # decides about ZIP64, since the size is not known before the end
            with archive.open(entry, "w") as file:
                for piece in each.pieces:
                    file.write(piece)
                    yield outlet.take()
            yield outlet.take()
    yield outlet.take()


class _Outlet:
    """Where a ZIP is written to: something that cannot go back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing waits here."""

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken
