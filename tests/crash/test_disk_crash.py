"""Power cuts under ring, catalogue, journal and recordings, on a disk that keeps what it was told to sync and no more.

The product lives on a tapped disk (tests/simulators/disk_tap); from the trace of its calls, disks are rebuilt as a cut
at any of them may leave them (crash_disk.py), and the product starts on each, with the TPM as it was at that moment.
Then every promise that was given before the cut must hold (crash_promises.py). LINEKEEP_CRASH_RUNS says how many cuts
there are in lives at random; `make crash` takes 2,000. A failure names its plan, cut and seed: they repeat it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.simulators.crash_changes import MUTANTS
from tests.simulators.crash_runs import (
    LIVED,
    STEP_BY_STEP,
    Outcome,
    Plan,
    Scene,
    carry_out,
    lived_plans,
    mutant_plans,
    step_by_step_plans,
)

RUNS = int(os.environ.get("LINEKEEP_CRASH_RUNS", "60"))
_ROUNDS = 1 + RUNS // 1000
_CORES = 2

Work = dict[Plan, Future[Outcome]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """Everything is begun at once, so that no core waits; each test waits for its own part."""
    folder = str(tmp_path_factory.mktemp("crash"))
    plans = [*step_by_step_plans(_ROUNDS), *mutant_plans(states=40), *lived_plans(RUNS)]
    with ProcessPoolExecutor(_CORES, multiprocessing.get_context("spawn")) as pool:
        yield {plan: pool.submit(carry_out, plan, folder) for plan in plans}
        pool.shutdown(cancel_futures=True)


def outcomes(work: Work, scene: Scene) -> list[Outcome]:
    found = [future.result() for plan, future in work.items() if plan.scene is scene]
    states = sum(outcome.states for outcome in found)
    print(f"{scene.value}: {states} states of {len(found)} recordings")
    return found


def wrong(found: list[Outcome]) -> str:
    return "\n".join(each for outcome in found for each in outcome.wrong)


@pytest.mark.parametrize("scene", STEP_BY_STEP, ids=lambda scene: scene.name.lower())
def test_a_cut_at_every_single_step_leaves_a_box_that_comes_up_by_itself(work: Work, scene: Scene) -> None:
    found = outcomes(work, scene)
    assert wrong(found) == ""
    assert sum(outcome.states for outcome in found) > 20


@pytest.mark.parametrize("scene", LIVED, ids=lambda scene: scene.name.lower())
def test_no_promise_is_broken_by_a_power_cut(work: Work, scene: Scene) -> None:
    found = outcomes(work, scene)
    assert wrong(found) == ""
    assert sum(outcome.states for outcome in found) > 0


def test_there_were_as_many_power_cuts_as_asked_for(work: Work) -> None:
    assert sum(outcome.states for scene in LIVED for outcome in outcomes(work, scene)) >= RUNS


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_product_that_trusts_the_disk_is_caught(work: Work, mutant: str) -> None:
    caught = [outcome for outcome in outcomes(work, Scene.MUTANT) if outcome.plan.mutant == mutant]
    assert [outcome.wrong != () for outcome in caught] == [True]


def test_a_disk_that_refuses_is_told_in_sentences(work: Work) -> None:
    told = [sentence for scene in LIVED for outcome in outcomes(work, scene) for sentence in outcome.refused]
    assert any("disk is full" in sentence.lower() for sentence in told)
    assert all(sentence.endswith((".", "?")) for sentence in told)
