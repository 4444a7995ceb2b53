"""Runs of the disk tests: which lives are lived, where the power goes, and what came of it.

One plan is one recording and some of its cuts, each with the seed that repeats it: `CrashWorld.verdicts` with the
plan's recording, cut and seed. Plans run beside each other, each in one of the processes of a pool.
"""

from __future__ import annotations

import functools
import os
import random
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.simulators.crash_changes import MUTANTS, NEXT_SCHEMA
from tests.simulators.crash_life import Life
from tests.simulators.crash_promises import told
from tests.simulators.crash_world import CrashWorld, Recording
from tests.simulators.disk_tap import Fault


class Scene(Enum):
    """What the power cuts fall into."""

    DAYS = "days with restarts"
    KILLED = "lives that were killed"
    REFUSED = "a disk that once refuses a change"
    UNREADABLE = "a disk that once refuses to read"
    FULL = "a disk that fills up"
    SHORT = "a disk that once takes half a write"
    PROVISIONING = "the first start, every step"
    FORGETTING = "a forgetting, every step"
    MIGRATION = "a migration from the first schema, every step"
    MUTANT = "days with a changed product, until it is caught"


LIVED = (Scene.DAYS, Scene.KILLED, Scene.REFUSED, Scene.UNREADABLE, Scene.FULL, Scene.SHORT)
STEP_BY_STEP = (Scene.PROVISIONING, Scene.FORGETTING, Scene.MIGRATION)

_FAULTS = {
    Scene.REFUSED: Fault.REFUSE,
    Scene.UNREADABLE: Fault.REFUSE_READING,
    Scene.FULL: Fault.FULL,
    Scene.SHORT: Fault.SHORT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`states`: how many cuts at random; those step by step take the `part`-th of every so many steps."""

    scene: Scene
    seed: int
    states: int = 0
    part: int = 0
    parts: int = 1
    mutant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many states were looked at, what was wrong with which, and what the product refused while it lived."""

    plan: Plan
    states: int
    wrong: tuple[str, ...]
    refused: tuple[str, ...]


def carry_out(plan: Plan, folder: str) -> Outcome:
    """Record, cut, judge. Raises LifeFault."""
    world = _world(folder)
    recording = world.record(*_lives(plan))
    wrong: list[str] = []
    cuts = _cuts(plan, recording)
    for number, cut in enumerate(cuts, start=1):
        seed = plan.seed * 100_000 + cut
        found = world.verdicts(recording, cut, seed, change=_checked_with(plan))
        wrong += [f"{plan.scene.value}, seed {plan.seed}, cut {cut}, its seed {seed}: {each}" for each in found]
        if plan.scene is Scene.MUTANT and wrong:
            cuts = cuts[:number]
            break
    refused = tuple(told(recording.records[at])["why"] for at in recording.told("refused"))
    return Outcome(plan=plan, states=len(cuts), wrong=tuple(wrong), refused=refused)


@functools.cache
def _world(folder: str) -> CrashWorld:
    """One to a process, whose end ends it."""
    own = Path(folder) / str(os.getpid())
    own.mkdir()
    return CrashWorld(own).__enter__()


def _checked_with(plan: Plan) -> str:
    # A mutant has damaged the disk; the product that starts on it is the true one.
    return NEXT_SCHEMA if plan.scene is Scene.MIGRATION else ""


def _lives(plan: Plan) -> tuple[Life, ...]:
    chance, seed = random.Random(plan.seed), plan.seed * 10
    match plan.scene:
        case Scene.KILLED:
            killed = [
                Life(seed=seed + n, steps=40, fault=Fault.KILL, at=chance.randrange(1, 400), early=n > 1)
                for n in range(1, 5)
            ]
            return (Life(seed=seed, steps=10), *killed, Life(seed=seed + 9, steps=10))
        case scene if scene in _FAULTS:
            early = chance.random() < 0.3
            broken = Life(seed=seed + 1, steps=40, fault=_FAULTS[scene], at=chance.randrange(1, 300), early=early)
            return (Life(seed=seed, steps=15), broken, Life(seed=seed + 2, steps=5))
        case Scene.PROVISIONING:
            return (Life(seed=seed, steps=0),)
        case Scene.MIGRATION:
            return (Life(seed=seed, steps=25), Life(seed=seed + 1, steps=3, change=NEXT_SCHEMA, old_catalogue=True))
        case _:
            return (Life(seed=seed, steps=40, change=plan.mutant),)


def _cuts(plan: Plan, recording: Recording) -> list[int]:
    match plan.scene:
        case Scene.PROVISIONING:
            steps = recording.steps(0, recording.told("started")[0])
        case Scene.MIGRATION:
            born = recording.told("born")[-1]
            steps = recording.steps(born, next(at for at in recording.told("started") if at > born))
        case Scene.FORGETTING:
            steps = recording.steps(*_the_longest_forgetting(recording))
        case _:
            # Not before the first start is done: that is a scene of its own.
            chance, begin = random.Random(plan.seed), recording.told("started")[0]
            calls = [cut for cut in recording.cuts() if cut > begin]
            return [chance.choice(calls) for _ in range(plan.states)]
    return steps[plan.part :: plan.parts]


def _the_longest_forgetting(recording: Recording) -> tuple[int, int]:
    forgettings = [
        (asked, next(at for at in recording.told("forgotten") if at > asked))
        for asked in recording.told("asked")
        if told(recording.records[asked])["calls"]
    ]
    return max(forgettings, key=lambda each: each[1] - each[0])


def lived_plans(states: int) -> list[Plan]:
    """So many cuts of lives, in recordings of at most 20 cuts, all scenes in turn."""
    recordings = max(len(LIVED), states // 20)
    sizes = [states // recordings + (number < states % recordings) for number in range(recordings)]
    return [Plan(scene=LIVED[n % len(LIVED)], seed=n + 1, states=size) for n, size in enumerate(sizes)]


def step_by_step_plans(rounds: int) -> list[Plan]:
    """Every step of the short scenes, in two halves; each round loses something else of what was not synced."""
    return [
        Plan(scene=scene, seed=7 * (turn + 1), part=part, parts=2)
        for turn in range(rounds)
        for scene in STEP_BY_STEP
        for part in range(2)
    ]


def mutant_plans(states: int) -> list[Plan]:
    return [Plan(scene=Scene.MUTANT, seed=8, states=states, mutant=mutant) for mutant in MUTANTS]
