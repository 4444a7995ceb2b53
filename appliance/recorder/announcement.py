from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.recorder.signals import Pcm


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    name: str
    samples: Pcm


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementHeard:
    at_frame: int
    share: float
    whole: bool


class AnnouncementListener:
    def __init__(self, announcement: Announcement) -> None:
        self.running = False

    def hear(self, samples: Pcm) -> list[AnnouncementHeard]:
        return []


def read_announcement(path: Path) -> Announcement: ...
