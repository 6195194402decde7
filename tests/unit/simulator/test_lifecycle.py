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


@pytest.mark.parametrize(("steps", "num_output"), [(50, 1), (15, 1), (25, 2), (50, 4)])
def test_median_depends_on_steps_and_images(steps: int, num_output: int) -> None:
    """Every size of order has its own median, which scales with the configured one."""
    work = (0.6 + 0.4 * steps / 50) * (0.8 + 0.2 * num_output)
    for median_seconds in (1.0, 20.0):
        taken = durations(steps=steps, num_output=num_output, median_seconds=median_seconds)
        assert statistics.median(taken) == pytest.approx(median_seconds * work, rel=0.1)


def test_durations_repeat_with_the_seed_and_differ_among_tasks() -> None:
    """The same seed plans the same lives in the same order; within a run no two are alike."""
    assert durations() == durations()
    assert len(set(durations())) == 800


def test_every_task_waits_before_it_runs() -> None:
    """Between a tenth and 35 hundredths of its life a task waits, also when it is late."""
    random, config = seeded(3), SimulatorConfig()
    for _ in range(200):
        plan = plan_timeline(random, config, steps=30, num_output=2, now=100.0)
        assert 0.1 <= (plan.starts_at - 100.0) / (plan.ends_at - 100.0) <= 0.35


def test_no_time_at_all_is_a_median_too() -> None:
    """With a median of 0 a task has ended as soon as it is accepted."""
    with open_desk(median_seconds=0.0) as desk:
        assert desk.statuses(desk.accepted()) == ["SUCCESS"]


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
