"""Endpoints that are slow, failing or unknown never hold all threads of a process."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.lanes import LaneKind
from tasks.thread_shares import ThreadShares


def granted(shares: ThreadShares, stack: ExitStack, kind: LaneKind, times: int) -> int:
    return sum(stack.enter_context(shares.taking(kind)) for _ in range(times))


@pytest.mark.parametrize("kind", [LaneKind.FAILING, LaneKind.SLOW])
def test_bad_endpoints_hold_a_quarter_of_the_threads(kind: LaneKind) -> None:
    """However many ask; a quick one is let through all the same, and what ended makes room."""
    shares = ThreadShares(16)
    with ExitStack() as stack:
        assert granted(shares, stack, kind, 20) == 4
        assert granted(shares, stack, LaneKind.SLOW, 20) == 0
        assert granted(shares, stack, LaneKind.QUICK, 20) == 20
    with ExitStack() as stack:
        assert granted(shares, stack, kind, 20) == 4


def test_unknown_endpoints_hold_half_of_the_threads_with_the_bad_ones() -> None:
    """A thousand new black holes leave the other half to those that are known to be quick."""
    shares = ThreadShares(16)
    with ExitStack() as stack:
        assert granted(shares, stack, LaneKind.FAILING, 3) == 3
        assert granted(shares, stack, LaneKind.UNTRIED, 20) == 5
        assert granted(shares, stack, LaneKind.FAILING, 3) == 1


def test_a_small_process_still_delivers() -> None:
    """One thread may go to any endpoint."""
    for kind in LaneKind:
        with ThreadShares(1).taking(kind) as has_thread:
            assert has_thread


def test_lanes_without_a_thread_are_looked_at_one_after_the_other() -> None:
    """After a second; many of them at a bounded rate, and none of them later than after half a minute."""
    clock = ManualClock(100.0)
    shares = ThreadShares(16, monotonic=clock.now)
    assert [shares.pause_seconds() for _ in range(3)] == pytest.approx([1.0, 1.05, 1.1])
    for _ in range(1000):
        assert shares.pause_seconds() <= 30.0
    assert shares.pause_seconds() == pytest.approx(30.0)
    clock.advance(60.0)
    assert shares.pause_seconds() == pytest.approx(1.0)
