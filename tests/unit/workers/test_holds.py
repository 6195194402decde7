"""The steps that a process is at."""

from __future__ import annotations

import pytest

from sceneshift.store.due import Hold
from tasks.holds import Holds

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
