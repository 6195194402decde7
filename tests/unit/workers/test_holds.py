"""The steps that a process is at."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.order import NUM_OUTPUT_RANGE
from sceneshift.settings import Settings
from sceneshift.store.due import Hold
from tasks.holds import Holds, hang_seconds

ONE, OTHER = (Hold(subject_id="job_1", step="poll-001", fence=fence) for fence in (1, 2))


def test_a_step_is_held_as_long_as_it_runs() -> None:
    """From its beginning to its end, beside others."""
    holds = Holds()
    with holds.keeping(ONE):
        with holds.keeping(OTHER):
            assert set(holds.current()) == {ONE, OTHER}
        assert holds.current() == [ONE]
    assert holds.current() == []


def test_a_step_that_fails_is_not_held_any_more() -> None:
    """Its lease runs out, so that it is tried again."""
    holds = Holds()
    with pytest.raises(ZeroDivisionError), holds.keeping(ONE):
        raise ZeroDivisionError
    assert holds.current() == []


def test_a_step_that_takes_too_long_hangs() -> None:
    """BRK16: nothing more is expected of it, whatever the other steps of the process do, until it ends after all."""
    monotonic = ManualClock(50.0)
    holds = Holds(hang_seconds=3600.0, monotonic=monotonic.now)
    with holds.keeping(ONE):
        monotonic.advance(3600.0)
        assert (holds.current(), holds.hanging()) == ([ONE], [])
        with holds.keeping(OTHER):
            monotonic.advance(0.1)
            assert (holds.current(), holds.hanging()) == ([OTHER], [ONE])
    assert (holds.current(), holds.hanging()) == ([], [])


def test_a_step_hangs_only_when_its_clients_would_have_given_up() -> None:
    """An hour, or longer where a slow download of four images may take longer."""
    assert hang_seconds(Settings()) == 3600.0
    assert hang_seconds(Settings(result_timeout_seconds=900.0)) == 4 * NUM_OUTPUT_RANGE[1] * 900.0
