"""Workers that are stopped for longer than their leases, as by SIGSTOP, a suspended machine or a paused container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.faults.scenarios import SCENARIOS
from tests.faults.world import Outcome, run

STOP_SHARE = 0.03
SEEDS = 60


def asleep(policy: str) -> Iterator[tuple[int, Outcome]]:
    """Seed and outcome of happy courses in which two workers sleep at any moment, and nothing else is wrong.

    The provider takes a nonce twice, and no answer is lost.
    """
    [happy] = [each for each in SCENARIOS if each.name == "happy path"]
    settings = {**happy.plan.settings, "unknown_outcome": policy}
    plan = replace(happy.plan, workers=2, stop_share=STOP_SHARE, fault_seconds=120.0, settings=settings)
    for seed in range(SEEDS):
        yield seed, run(plan, f"asleep {seed}")
