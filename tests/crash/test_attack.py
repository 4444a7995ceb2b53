"""The whole way of a call's key, under attack, against a thief with every byte ever written and the live TPM.

Random acts of the product (issue, keep, forget one, forget many, expire a day, seal anew, restart) while commands to
the TPM are lost, refused, faked and garbled, processes are killed, and the TPM is clawed at from outside. Afterwards no
forgotten call's key is to be had, and every promise holds. LINEKEEP_ATTACK_OPERATIONS says how many acts; `make attack`
takes 5,000. The same with three other schemes in the ring's place must end badly, so the test can fail.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from tests.simulators.attack_mutants import ATTACK_MUTANTS
from tests.simulators.attack_world import AttackWorld, Outrage

OPERATIONS = int(os.environ.get("LINEKEEP_ATTACK_OPERATIONS", "80"))
SEED = int(os.environ.get("LINEKEEP_ATTACK_SEED", "1"))
_OF_ONE_BOX = 400
"""More acts than that are divided among several boxes: a long trace takes long to read."""

_LIVES_OF_A_MUTANT = 30


def test_no_forgotten_key_is_had_and_no_kept_call_is_lost_under_attack(tmp_path: Path) -> None:
    done = 0
    for seed in itertools.count(SEED):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with AttackWorld(folder, seed=seed) as world:
            live_under_attack(world, min(_OF_ONE_BOX, OPERATIONS - done))
        done += world.tally.operations
        print(f"seed {seed}: {world.tally}")
        if done >= OPERATIONS:
            return


def live_under_attack(world: AttackWorld, operations: int) -> None:
    world.begin()
    outrages = itertools.cycle(Outrage)
    while world.tally.operations < operations or len(world.tally.outrages) < len(Outrage):
        world.live(steps=40)
        assert world.rob(newest=6) == []
        assert world.broken() == []
        if world.tally.lives % 2 == 0:
            world.outrage(next(outrages))
            assert world.rob(newest=6) == []
            assert world.broken() == []
    assert world.rob() == []
    assert world.tally.forgotten > operations // 20
    assert world.tally.kept > 0
    assert world.tally.stale_sessions > 0


@pytest.mark.parametrize("mutant", ATTACK_MUTANTS)
def test_other_schemes_leak_or_lose(tmp_path: Path, mutant: str) -> None:
    with AttackWorld(tmp_path, seed=1, mutant=mutant, kills=0.12) as world:
        world.begin()
        for _ in range(_LIVES_OF_A_MUTANT):
            world.live(steps=40)
            if world.rob(newest=8) or world.broken():
                return
    pytest.fail("nobody would have noticed")
