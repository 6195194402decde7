"""Polling that nobody has to set: few questions, and results that are found soon, whatever the provider's pace is.

All figures are for the default settings and 35 jobs in flight, on a virtual clock with the timekeeper's real interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sceneshift.clock import ManualClock
from tests.unit.jobs.polling_simulation import Detection, Learned, lognormal, mean_polls, p95_lag_share, simulate

POLLS_MAX = 15.0
POLLS_GOAL = 12.0
LAG_SHARE_MAX = 0.10

each_median = pytest.mark.parametrize("median_seconds", [5.0, 30.0, 600.0])


def learned(seconds: Sequence[float], *, seed: int, **about: float) -> list[Detection]:
    clock = ManualClock()
    return simulate(seconds, Learned(clock), clock, seed=seed, **about)


def check_goals(found: Sequence[Detection], polls_max: float) -> None:
    assert mean_polls(found) <= polls_max
    assert p95_lag_share(found) <= LAG_SHARE_MAX


@each_median
def test_from_nothing_learned(median_seconds: float) -> None:
    """Of 800 jobs 19 in 20 are found within a tenth of their time, the first included; soon with 12 questions each."""
    found = learned(lognormal([median_seconds] * 800, 0.5, 1), seed=1)
    check_goals(found, POLLS_MAX)
    check_goals(found[200:], POLLS_GOAL)


@each_median
def test_a_provider_that_changes_its_pace_is_learned_anew(median_seconds: float) -> None:
    """Three times as slow, and then as quick as before: 200 jobs after each change both goals hold again.

    The jobs have a deadline that they can meet: overdue ones are asked about slowly.
    """
    medians = [median_seconds] * 300 + [3 * median_seconds] * 450 + [median_seconds] * 450
    found = learned(lognormal(medians, 0.5, 3), seed=3, deadline_seconds=36_000.0)
    for start, end in ((500, 750), (950, 1200)):
        check_goals(found[start:end], POLLS_MAX)
