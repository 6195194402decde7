"""The job store at every moment of a job's life: restarted, cut off its last writes, replaced, full, out of reach."""

from __future__ import annotations

import pytest

from tests.faults.plan import Plan
from tests.faults.store_faults import course, repeated_after_a_loss, struck_everywhere, struck_with_a_worker

pytestmark = pytest.mark.timeout(900)

LONG = pytest.mark.slow
"""Run by `python3 run.py nightly`: what is like another one in each run of all tests."""


def assert_no_promise_is_broken(plan: Plan) -> None:
    """Wherever it happens."""
    for where, outcome in struck_everywhere(plan):
        assert outcome.counts[f"store {plan.store_faults[0].kind}"] == 1, where
        assert outcome.problems == [], where


def test_a_restart_at_any_moment_costs_time_alone() -> None:
    """The server comes back with all that it had."""
    assert_no_promise_is_broken(course("restart", seconds=3.0))


def test_an_outage_that_outlasts_every_patience_costs_time_alone() -> None:
    """Nobody can reach the server for a minute and a half, which is longer than anybody waits for it."""
    assert_no_promise_is_broken(course("away", seconds=90.0))


@pytest.mark.parametrize(
    "kind", [pytest.param("out of memory", marks=LONG), "read-only", "loading", pytest.param("disk full", marks=LONG)]
)
def test_a_store_that_refuses_writes_at_any_moment_loses_nothing(kind: str) -> None:
    """What cannot be stored is not done, or is stored later."""
    assert_no_promise_is_broken(course(kind, seconds=8.0))


@pytest.mark.parametrize("intent_log", ["redis", pytest.param("storage", marks=LONG)])
def test_a_power_cut_at_any_moment_forgets_nothing_that_was_confirmed(intent_log: str) -> None:
    """What the disk had not confirmed is gone: never an order, an intent or a key that somebody relied on."""
    assert_no_promise_is_broken(course("power cut", seconds=1.0, intent_log=intent_log))


@pytest.mark.parametrize("intent_log", ["redis", pytest.param("storage", marks=LONG)])
def test_a_power_cut_that_takes_the_worker_too_forgets_nothing_that_was_confirmed(intent_log: str) -> None:
    """Nobody is left who remembers what the disk had not confirmed, and the provider takes a nonce twice."""
    for where, outcome in struck_with_a_worker(course("power cut", seconds=1.0, intent_log=intent_log)):
        assert outcome.counts["kill"] == outcome.counts["store power cut"] == 1, where
        assert outcome.problems == [], where


@pytest.mark.parametrize("intent_log", ["redis", "storage"])
@pytest.mark.parametrize("seconds", [pytest.param(1.0, marks=LONG), 30.0])
def test_a_copy_that_had_fallen_behind_is_not_paid_for_twice(intent_log: str, seconds: float) -> None:
    """A stale replica is promoted while workers go on: what it forgot is remembered by them, or by the bucket."""
    assert_no_promise_is_broken(course("stale copy", seconds=seconds, intent_log=intent_log))


def test_a_worker_bears_witness_before_it_sends_again_what_the_store_forgot() -> None:
    """The message comes again within the two seconds in which nobody has looked at the store that lost its writes."""
    for where, outcome in repeated_after_a_loss(seeds=3):
        assert outcome.problems == [], where


def test_without_waitaof_a_power_cut_is_noticed() -> None:
    """A server that cannot say what its disk has loses up to a second, and what was lost is merged back or held."""
    assert_no_promise_is_broken(course("power cut", seconds=1.0, has_wait=False))


@pytest.mark.parametrize("intent_log", [pytest.param("redis", marks=LONG), "storage"])
def test_nothing_is_sent_from_the_moment_that_a_person_begins_recovery(intent_log: str) -> None:
    """Whatever a worker is at: an intent that is not written yet is not written any more."""
    assert_no_promise_is_broken(course("recovery", seconds=0.0, intent_log=intent_log))
