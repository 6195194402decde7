"""The cap on the jobs in flight, kept and used in a small run under fire; `run.py slots` is the large one."""

from __future__ import annotations

from tests.chaos.slots import SlotsPlan, run_slots


def test_the_cap_is_kept_and_the_slots_are_free_in_the_end() -> None:
    """A hundred jobs, ten at once, workers killed: the provider is never at eleven, and slots are refilled promptly.

    How well the slots are used depends on the machine; a slot that nobody refills for seconds shows on any.
    """
    plan = SlotsPlan(
        jobs=100, cap=10, workers=2, median_seconds=2.0, throughput_min=0.0, utilisation_min=0.3, limit_seconds=120
    )
    report = run_slots(plan, print)
    assert report["problems"] == []
    assert report["kills"] > 0, "no worker was killed"
    assert report["most_in_flight"] == plan.cap, "the cap was never reached"
