"""How a task's life is planned, and how it shows through queries."""

from __future__ import annotations

import statistics

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.simulator import SimulatorConfig
from sceneshift.simulator.lifecycle import TaskStatus, Timeline, plan_timeline
from tests.unit.simulator.support import Desk, item, open_desk, seeded


def durations(*, steps: int = 50, num_output: int = 1, median_seconds: float = 8.0) -> list[float]:
    random, config = seeded(1), SimulatorConfig(median_seconds=median_seconds)
    plans = (plan_timeline(random, config, steps=steps, num_output=num_output, now=0.0) for _ in range(800))
    return [plan.ends_at for plan in plans]


def test_status_follows_the_clock() -> None:
    """A task waits, runs from its start on, and has ended at its end."""
    timeline = Timeline(starts_at=10.0, ends_at=20.0, fails=False)
    statuses = [timeline.status(now) for now in (9.9, 10.0, 19.9, 20.0, 1e9)]
    assert statuses == [
        TaskStatus.WAITING,
        TaskStatus.RUNNING,
        TaskStatus.RUNNING,
        TaskStatus.SUCCESS,
        TaskStatus.SUCCESS,
    ]


def test_median_is_the_configured_one() -> None:
    """Half of all tasks of the reference size take at most the median, and some take much longer."""
    taken = durations(median_seconds=8.0)
    assert statistics.median(taken) == pytest.approx(8.0, rel=0.1)
    assert max(taken) > 14.0


def test_more_work_takes_mildly_longer() -> None:
    """Fewer steps are quicker and more images slower, by less than proportion."""
    reference = statistics.median(durations())
    assert 0.5 * reference < statistics.median(durations(steps=15)) < 0.9 * reference
    assert 1.2 * reference < statistics.median(durations(num_output=4)) < 3 * reference


def test_life_shows_in_queries(desk: Desk) -> None:
    """Asked again and again, a task is WAITING, then RUNNING, then SUCCESS, and never goes back."""
    key = desk.accepted()
    seen = []
    for _ in range(400):
        seen += desk.statuses(key)
        desk.now += 0.25
    changes = [status for index, status in enumerate(seen) if index == 0 or status != seen[index - 1]]
    assert changes == ["WAITING", "RUNNING", "SUCCESS"]


def test_same_seed_gives_the_same_lives() -> None:
    """Two simulators with one seed end the same submissions alike; another seed ends them otherwise."""

    def lives(seed: int) -> list[str]:
        with open_desk(seed=seed, failure_rate=0.4) as desk:
            keys = [desk.accepted(item(num_output=1)) for _ in range(12)]
            desk.now += 7.0
            return [status for key in keys for status in desk.statuses(key)]

    assert lives(3) == lives(3)
    assert lives(3) != lives(4)


def test_failure_rate_is_a_share_of_the_accepted() -> None:
    """About that share of tasks is planned to fail."""
    random, config = seeded(2), SimulatorConfig(failure_rate=0.25)
    plans = [plan_timeline(random, config, steps=20, num_output=1, now=0.0) for _ in range(1000)]
    assert 200 < sum(plan.fails for plan in plans) < 300


@pytest.mark.parametrize(
    "wrong",
    [
        {"median_seconds": -1.0},
        {"median_seconds": float("nan")},
        {"failure_rate": 1.1},
        {"result_lifetime_seconds": float("inf")},
        {"mask_keeps": "grey"},
        {"appcode": ""},
        {"appcode": " padded"},
    ],
)
def test_senseless_configuration_is_refused(wrong: dict[str, float]) -> None:
    """A value that cannot be meant is refused by name when the configuration is made."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        SimulatorConfig(**wrong)  # type: ignore[arg-type] # wrong on purpose
