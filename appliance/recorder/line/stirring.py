"""Does somebody speak on a line on which nothing goes on, or on which it rings, or is dialled?

Pure. What sounds is taken down block by block, and struck again when it turns out to have been a ring, a key, a tone or
a caller ID. Two things begin no call: a noise that sets in, which is loud until the line's floor has followed it but
stays as loud as it is, while a voice falls again within half a second, before and after each of its loud moments; and a
sound or two, which is a click. Whoever speaks in a noise has picked up where that set in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.recorder.ear.signals import Span
from appliance.terms import BLOCK_FRAMES, RATE_HZ

_ENOUGH_STEPS = 20
"""So many loud steps of 20 ms, of the last three seconds, are somebody who speaks: half a second of talk."""
_CRACKLE_STEPS = 6
_ENOUGH_WITHIN_FRAMES = 3 * RATE_HZ
_WORD_STEPS = 3
_LONE_WORD_FRAMES = 8 * RATE_HZ
"""So long before somebody is heard to speak a lone word was theirs, and within three seconds before it a click."""
_PICKED_UP_FRAMES = RATE_HZ
"""So soon after it is lifted there is a dial tone, or a key."""
SWING_DB = 9.0
"""White and pink noise swing by 3 dB to 5 dB from one 20 ms to another, voices in noise 10 dB below them by 10 dB."""
_SOFT_SWING_DB = 6.0
"""Where somebody is known to speak, what is loud, and swings less than a voice and more than noise, was their first."""
_AROUND_BLOCKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A block: which of its 20 ms are louder than the line's noise.

    first_frame, end_frame: from the first of them to the last; the end is 0 if there is none.
    steps: how many.
    level_dbfs, lowest_dbfs: the loudest and the quietest 20 ms, loud or not.
    """

    first_frame: int = 0
    end_frame: int = 0
    steps: int = 0
    level_dbfs: float = -100.0
    lowest_dbfs: float = -100.0


STILL = Sound()


@dataclass(slots=True)
class _Block:
    """steps: how many are loud; none once something has explained them.  swing_db: by how much it rises and falls."""

    sound: Sound
    block_end_frame: int
    steps: int
    swing_db: float = 0.0
    is_explained: bool = False

    @property
    def swings(self) -> bool:
        """As voices do."""
        return self.swing_db > SWING_DB

    @property
    def is_voiced(self) -> bool:
        """Where somebody is known to speak: it was theirs, too, be it soft or the click of a hook."""
        return not self.is_explained and self.swing_db > (_SOFT_SWING_DB if self.steps else SWING_DB)

    @property
    def first_frame(self) -> int:
        return self.sound.first_frame if self.sound.steps else self.block_end_frame - BLOCK_FRAMES // 2


class Stirring:
    """The last seconds of one line."""

    def __init__(self) -> None:
        self._blocks: deque[_Block] = deque()
        self._run_since: int | None = None
        """Since when every block is loud, if it was heard how that began."""
        self._was_still = False

    @property
    def stirs(self) -> bool:
        """Something sounds, or has sounded, that nothing has explained yet."""
        return any(block.steps for block in self._blocks)

    @property
    def may_be_somebody(self) -> bool:
        """More has sounded in the last seconds than a crackle: perhaps a lone word, of somebody who will say more."""
        return sum(block.steps for block in self._blocks) >= _CRACKLE_STEPS

    @property
    def is_somebody(self) -> bool:
        return sum(block.steps for block in self._recent() if block.swings) >= _ENOUGH_STEPS

    @property
    def first_frame(self) -> int:
        """Where somebody, who is there, can first be heard, or the noise of the line in use."""
        return self.first_word_frame if self._run_since is None else min(self.first_word_frame, self._run_since)

    @property
    def first_word_frame(self) -> int:
        """Where somebody, who is there, can first be heard."""
        voiced = [block for block in self._blocks if block.is_voiced]
        word = next((block for block in voiced if block.steps >= _WORD_STEPS), voiced[-1])
        since = word.first_frame - _ENOUGH_WITHIN_FRAMES
        return next(block.first_frame for block in voiced if block.block_end_frame > since)

    def moved_before(self, at_frame: int) -> int:
        """Where somebody has picked up whose first tone or key was heard here: the click, or where the noise set in."""
        moved = [block.first_frame for block in self._blocks if block.is_voiced]
        if self._run_since is not None:
            moved.append(self._run_since)
        return min((frame for frame in moved if at_frame - _PICKED_UP_FRAMES < frame < at_frame), default=at_frame)

    def add(self, sound: Sound, end_frame: int, explained: Iterable[Span]) -> None:
        """Take in the next block, and what is known of the last ones by now."""
        if not sound.steps:
            self._run_since = None
        elif self._was_still:
            self._run_since = sound.first_frame
        self._was_still = not sound.steps
        self._blocks.append(_Block(sound, end_frame, sound.steps))
        while self._blocks[0].block_end_frame < end_frame - _LONE_WORD_FRAMES:
            self._blocks.popleft()
        self._judge_swing()
        for span in explained:
            self.strike(*span)

    def pass_over(self, sound: Sound) -> None:
        """A block in which nobody asks who is there; what was taken down before is cleared when somebody does again."""
        self._run_since, self._was_still = None, not sound.steps

    def strike(self, from_frame: int, to_frame: int) -> None:
        """What sounded between these is explained."""
        for block in self._blocks:
            end_frame = block.sound.end_frame if block.sound.steps else block.block_end_frame
            if end_frame > from_frame and block.first_frame < to_frame:
                block.steps, block.is_explained = 0, True
        if self._run_since is not None and from_frame <= self._run_since < to_frame:
            self._run_since = to_frame

    def clear(self) -> None:
        self._blocks.clear()
        self._run_since = None

    def clear_but_newest(self) -> None:
        """What sounds in the newest block, and was not struck, may be somebody who has just picked up."""
        while len(self._blocks) > 1:
            self._blocks.popleft()
        if self._run_since is not None and not (self._blocks and self._run_since >= self._blocks[-1].sound.first_frame):
            self._run_since = None

    def _recent(self) -> list[_Block]:
        if not self._blocks:
            return []
        since = self._blocks[-1].block_end_frame - _ENOUGH_WITHIN_FRAMES
        return [block for block in self._blocks if block.block_end_frame > since]

    def _judge_swing(self) -> None:
        """Of the newest blocks, each until as many are behind it as before it. What has fallen has fallen: of a voice
        it is known as soon as it falls."""
        newest = list(self._blocks)[-1 - 2 * _AROUND_BLOCKS :]
        after = math.inf
        for place in range(len(newest) - 1, max(len(newest) - 2 - _AROUND_BLOCKS, -1), -1):
            block = newest[place]
            after = min(after, block.sound.lowest_dbfs)
            if not (block.swings or block.is_explained):
                before = min(each.sound.lowest_dbfs for each in newest[max(place - _AROUND_BLOCKS, 0) : place + 1])
                block.swing_db = max(block.swing_db, block.sound.level_dbfs - max(before, after))
