"""The provider is away, or the account has no credits left: jobs wait, hardly anything is sent, and nobody fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from redis import Redis

from sceneshift.clock import ManualClock
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import open_job_store
from tests.unit.tasks.outages import Fleet, Line, provider_over
from tests.unit.tasks.simulated import SimulatedShop, open_shop
from tests.unit.tasks.workshop import Workshop
from workers.embedded.redis_server import RedisServer

RATE = 100.0
OUTAGE_SECONDS = 1200.0


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[Redis]:
    """An empty database of a real server: the imitation takes minutes for so many jobs."""
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    yield client
    client.close()


@contextmanager
def cut_off(
    work: Workshop, settings: Settings, clock: ManualClock, **behaviour: Any
) -> Iterator[tuple[SimulatedShop, Fleet, Line]]:
    """A simulator whose limit is just above ours, workers, and the line between them."""
    with open_shop(work, submit_rate=RATE * 1.05, median_seconds=100_000.0, **behaviour) as shop:
        limited = settings.model_copy(update={"submit_rate": RATE, "preflight": False, "disk_wait_seconds": None})
        store = open_job_store(limited, patience=TIMEKEEPER, client=work.store.client, clock=clock)
        line = Line(shop.simulator)
        work.store = store
        with provider_over(line, work) as provider:
            work.use(store=store, settings=limited, provider=provider)
            yield shop, Fleet(work, submit_rate=RATE), line


def counts(work: Workshop) -> dict[JobState, int]:
    return {state: count for state, count in work.store.jobs.counts().items() if count}


@pytest.mark.parametrize("fault", ["refused", "503"])
def test_a_long_outage_costs_a_handful_of_submissions_and_no_job(
    work: Workshop, settings: Settings, clock: ManualClock, fault: str
) -> None:
    """Twenty minutes, 500 jobs: ten submissions at the most; ten seconds after the end all were sent, none too fast."""
    with cut_off(work, settings, clock) as (shop, fleet, line):
        line.fault = fault
        jobs = fleet.order(500)
        fleet.run_for(OUTAGE_SECONDS)
        assert line.submits_lost <= 10
        assert 300 <= line.questions_lost <= OUTAGE_SECONDS / 3 + 1
        # A lost answer may have been charged: its job is held, and nothing else is wrong with any.
        held = line.submits_lost if fault == "503" else 0
        assert counts(work).get(JobState.NEEDS_ATTENTION, 0) == held
        assert counts(work)[JobState.QUEUED] == 500 - held
        line.fault = ""
        seconds = fleet.run(
            lambda: (
                counts(work) == {JobState.RENDERING: 500 - held, **({JobState.NEEDS_ATTENTION: held} if held else {})}
            ),
            within_seconds=30.0,
        )
        assert seconds <= 10.0
        assert Counter(entry.accepted for entry in shop.simulator.ledger.submits) == {True: 500 - held}
        assert len({work.job(job.id).nonce for job in jobs}) == 500


def test_when_only_submissions_fail_questions_let_nothing_more_through(
    work: Workshop, settings: Settings, clock: ManualClock
) -> None:
    """Questions are answered all the time: probes at growing pauses are all that is sent, and find the end."""
    with cut_off(work, settings, clock) as (shop, fleet, line):
        line.fault = "submit-503"
        fleet.order(500)
        fleet.run_for(OUTAGE_SECONDS)
        held = line.submits_lost
        assert 3 < held <= 10
        assert line.questions_lost == 0
        assert counts(work) == {JobState.QUEUED: 500 - held, JobState.NEEDS_ATTENTION: held}
        line.fault = ""
        fleet.run(
            lambda: counts(work) == {JobState.RENDERING: 500 - held, JobState.NEEDS_ATTENTION: held},
            within_seconds=620.0,
        )
        assert {entry.accepted for entry in shop.simulator.ledger.submits} == {True}


def test_an_exhausted_account_is_asked_once_a_minute_and_fails_nobody(
    work: Workshop, settings: Settings, clock: ManualClock
) -> None:
    """SUB13: 200 jobs, ten minutes without credits, one refusal a minute; when credits are bought, all are accepted."""
    with cut_off(work, settings, clock, credits=0) as (shop, fleet, _line):
        fleet.order(200)
        fleet.run_for(600.0)
        refused = [entry.time for entry in shop.simulator.ledger.submits]
        assert 9 <= len(refused) <= 11
        assert all(60.0 <= later - earlier <= 61.0 for earlier, later in pairwise(refused))
        assert counts(work) == {JobState.QUEUED: 200}
        state = work.store.breaker.state()
        assert (state.is_open, state.blocked_by) == (True, "provider_credits")
        shop.simulator.control(credits=200)
        # A minute until the next probe, and whoever was refused last waits for a minute, spread by a fifth.
        seconds = fleet.run(lambda: counts(work) == {JobState.RENDERING: 200}, within_seconds=80.0)
        assert seconds <= 75.0
        assert sum(entry.accepted for entry in shop.simulator.ledger.submits) == 200


def test_a_waiting_job_names_the_breaker_and_when_it_is_looked_at(
    work: Workshop, settings: Settings, clock: ManualClock
) -> None:
    """Whoever reaches its submission while the breaker is open says so on its record, with the truth to the second."""
    with cut_off(work, settings, clock) as (_shop, fleet, line):
        line.fault = "refused"
        for job in fleet.order(3):
            work.wake(job.id)
            clock.advance(1.0)
        (job,) = fleet.order(1)
        work.wake(job.id)
        waiting, state = work.job(job.id), work.store.breaker.state()
        assert (waiting.state, waiting.blocked_by) == (JobState.QUEUED, "provider_unavailable")
        assert waiting.blocked_until == pytest.approx(state.until, abs=1.0)
        assert work.due_at(job.id) == pytest.approx(waiting.blocked_until, abs=0.01)
        assert line.submits_lost == 3
