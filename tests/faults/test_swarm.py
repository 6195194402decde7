"""Random schedules: each seed draws which faults exist and how strong they are, and the checkers judge the outcome."""

from __future__ import annotations

import pytest

from tests.faults.plan import drawn_plan
from tests.faults.searching import look_at
from tests.faults.world import run

SEEDS = 3000
"""So many in each run of all tests; `python3 run.py nightly` tries a hundred thousand."""
TOGETHER = 50
MET_WITHIN = 300


@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_no_random_schedule_breaks_a_promise(first: int) -> None:
    """Nothing is lost, paid beyond the policy's bound or stuck, whatever goes wrong together."""
    findings = look_at(range(first, first + TOGETHER)).findings
    assert not findings, "\n".join(map(str, findings))


@pytest.mark.parametrize("seed", [1, 7, 20, 114])
def test_a_seed_replays_to_the_last_effect(seed: int) -> None:
    """The same seed gives the same run, so that what was found once can be looked at."""
    first, second, third = (run(drawn_plan(seed), seed).trace_hash for _ in range(3))
    assert first == second == third


def test_the_swarm_meets_every_kind_of_fault() -> None:
    """A world where nothing went wrong would prove nothing: in a few hundred seeds everything happens that can."""
    missing, seed = set(KINDS), 0
    while missing and seed < MET_WITHIN:
        missing -= {kind for kind, times in look_at([seed]).faults.items() if times}
        seed += 1
    assert missing == set()


KINDS = (
    "kill", "stopped", "redis request lost", "redis answer lost", "redis out of memory", "redis read-only",
    "redis loading", "redis disk full", "store restart", "store power cut", "store stale copy", "store away",
    "writes lost", "message lost", "message repeated", "message late", "message refused",
    "message lost with its worker", "broker flushed", "submit not sent", "submit request lost", "submit answer lost",
    "query not sent", "query request lost", "query answer lost", "bucket request lost", "bucket answer lost",
    "bucket error", "fetch lost", "fetch error", "webhook lost", "webhook refused", "webhook answer lost",
    "provider away", "bucket away", "receiver away",
)  # fmt: skip
