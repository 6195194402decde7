"""Submissions at our own limits: each job waits for its moment or for a slot, says so, and is sent once."""

from __future__ import annotations

from typing import Any

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.gates import PERMIT_SECONDS, SLOT_RETRY_MAX_SECONDS
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Pending, Succeeded
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import Store, open_job_store
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.simulated import SETTLED, open_shop
from tests.unit.tasks.workshop import Workshop


def limit(work: Workshop, settings: Settings, store: Store, clock: ManualClock, **limits: Any) -> None:
    """The workshop's store has these limits from now on."""
    limited = settings.model_copy(update=limits)
    reopened = open_job_store(limited, patience=TIMEKEEPER, client=store.client, clock=clock)
    work.store = reopened
    work.use(store=reopened, settings=limited)


def wake_when_due(work: Workshop, job: JobRecord) -> JobRecord:
    work.clock.advance(max(0.0, work.due_in(job.id)))
    work.wake(job.id)
    return work.job(job.id)


def test_jobs_wait_for_moments_of_their_own(
    work: Workshop, settings: Settings, store: Store, clock: ManualClock
) -> None:
    """The first is sent, the others say that they wait and until when, and each is sent at its moment, once."""
    limit(work, settings, store, clock, submit_rate=2.0)
    jobs = [work.accept() for _ in range(4)]
    for job in jobs:
        work.wake(job.id)
    waiting = [work.job(job.id) for job in jobs[1:]]
    assert [job.blocked_by for job in waiting] == ["submit_rate"] * 3
    assert [job.blocked_until for job in waiting] == pytest.approx([clock.now() + 0.5 * n for n in (1, 2, 3)], abs=0.01)
    assert [work.due_in(job.id) for job in waiting] == pytest.approx([0.5, 1.0, 1.5], abs=0.01)
    done = [wake_when_due(work, job) for job in waiting]
    assert [job.state for job in done] == [JobState.RENDERING] * 3
    assert (len(work.provider.submissions), len(set(work.provider.nonces))) == (4, 4)


def test_a_wait_keeps_the_epoch_and_the_look_at_the_sources(
    work: Workshop, settings: Settings, store: Store, clock: ManualClock
) -> None:
    """A job that waited for its moment is not looked at again, for it would miss it, and keeps its nonce."""
    limit(work, settings, store, clock, submit_rate=1.0)
    work.rendering()
    job = work.accept()
    work.wake(job.id)
    looked = len(work.web.peeks)
    sent = wake_when_due(work, work.job(job.id))
    assert (sent.state, sent.epoch, len(work.web.peeks)) == (JobState.RENDERING, 1, looked)


def test_a_moment_that_was_overslept_is_gone(
    work: Workshop, settings: Settings, store: Store, clock: ManualClock
) -> None:
    """After an outage of all workers, what they had reserved is reserved anew: they do not all send at once."""
    limit(work, settings, store, clock, submit_rate=1.0)
    jobs = [work.accept() for _ in range(5)]
    for job in jobs:
        work.wake(job.id)
    clock.advance(3600.0)
    for job in jobs[1:]:
        work.wake(job.id)
    assert len(work.provider.submissions) == 2
    until = [work.job(job.id).blocked_until for job in jobs[2:]]
    assert until == pytest.approx([clock.now() + n for n in (1.0, 2.0, 3.0)], abs=0.01)


def test_a_moment_just_past_is_still_good(work: Workshop, settings: Settings, store: Store, clock: ManualClock) -> None:
    """A timekeeper's tick or a busy worker does not cost a job its place."""
    limit(work, settings, store, clock, submit_rate=1.0)
    work.rendering()
    job = work.accept()
    work.wake(job.id)
    for number in range(30):
        work.store.permits.reserve_submission(f"job_{number}")
    clock.advance(work.due_in(job.id) + PERMIT_SECONDS - 0.01)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.RENDERING


def test_a_job_waits_for_a_slot_until_the_provider_is_done_with_another(
    work: Workshop, settings: Settings, store: Store, clock: ManualClock
) -> None:
    """It says `in_flight`, looks again within seconds, and goes when a slot is free, not when our code returned."""
    limit(work, settings, store, clock, max_in_flight=2)
    work.provider.on_query = lambda _key: Pending(provider_status="RUNNING")
    first, _ = work.rendering(), work.rendering()
    job = work.accept()
    work.wake(job.id)
    for _ in range(6):
        job = work.job(job.id)
        assert (job.state, job.blocked_by, len(work.provider.submissions)) == (JobState.QUEUED, "in_flight", 2)
        assert 0 < work.due_in(job.id) <= SLOT_RETRY_MAX_SECONDS
        job = wake_when_due(work, job)
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    work.wake(first.id)
    assert work.job(first.id).state is JobState.STORING
    assert wake_when_due(work, work.job(job.id)).state is JobState.RENDERING


def test_a_provider_with_the_same_limits_never_has_to_refuse(
    work: Workshop, settings: Settings, store: Store, clock: ManualClock
) -> None:
    """Thirty jobs at two a second and six at once, against a simulator with these very limits: not one is throttled."""
    ours = {"submit_rate": 2.0, "max_in_flight": 6, "poll_first_seconds": 1.0, "preflight": False}
    with open_shop(work, submit_rate=2.0, max_running=6, median_seconds=4.0) as shop:
        limit(work, settings, store, clock, **ours)
        jobs = [shop.order() for _ in range(30)]
        while open_jobs := [job for job in jobs if work.job(job.id).state not in SETTLED]:
            due = {job.id: work.due_at(job.id) or 0.0 for job in open_jobs}
            soonest = min(due, key=lambda job_id: due[job_id])
            clock.advance(max(0.0, due[soonest] - clock.now()))
            work.wake(soonest)
        entries = shop.simulator.ledger.submits
        assert [entry.accepted for entry in entries] == [True] * 30
        assert {work.job(job.id).state for job in jobs} == {JobState.SUCCEEDED}
