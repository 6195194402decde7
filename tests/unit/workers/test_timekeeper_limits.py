"""The timekeeper at the limits that all workers share: nothing goes out faster than it may be used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sceneshift.clock import ManualClock
from sceneshift.store.permits import Limits, Permits
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import due_at, place
from tests.unit.workers.office import Office, accepted, rendering


def limited(office: Office, **limits: float) -> None:
    """The office's permits have these limits from now on."""
    store = office.store
    permits = Permits(store.client, store.keys, store.clock, Limits(**limits))  # type: ignore[arg-type]  # one is whole
    office.employ(replace(store, permits=permits))


def test_bulk_submissions_go_out_no_faster_than_they_may_be_sent(office: Office, clock: ManualClock) -> None:
    """Two seconds of the rate are handed out; the others are put off, each until its turn can have come."""
    limited(office, submit_rate=4.0)
    jobs = accepted(office, 30)
    office.timekeeper.tick()
    assert office.publisher.task_ids == [f"{job.id}:submit-1" for job in jobs[:8]]
    first, second, *_, last = [due_at(office.store, job.id) or 0.0 for job in jobs[8:]]
    assert second - first == pytest.approx(0.25, abs=0.002)
    assert last - first == pytest.approx(21 * 0.25, abs=0.002)
    assert first > clock.now()


def test_those_that_were_handed_out_before_go_first(office: Office) -> None:
    """A job that waited for its moment is handed out again, although the rate leaves no room for others."""
    limited(office, submit_rate=1.0)
    for number in range(20):
        office.store.permits.reserve_submission(f"job_{number}")
    accepted(office, 5)
    waited = place(
        office.store,
        SITUATIONS["queued"].evolve(
            id=a_job().id, step="submit-2", parent_step="submit-1", blocked_by="submit_rate", blocked_until=NOW
        ),
    )
    office.store.client.zadd(office.store.keys.due, {waited.id: NOW})
    office.timekeeper.tick()
    assert office.publisher.task_ids[0] == f"{waited.id}:submit-2"
    assert len(office.publisher.task_ids) == 2  # and the tenth that bulk jobs always have


def test_questions_go_out_no_faster_than_they_may_be_asked(office: Office, clock: ManualClock) -> None:
    """The rate is kept over all ticks, nothing is dropped, and everything is asked in the end."""
    limited(office, query_rate=20.0)
    jobs = rendering(office, 60)
    asked_at: list[float] = []
    while len(asked_at) < len(jobs):
        before = len(_jobs_in(office))
        office.later(clock, 0.1)
        asked_at += [clock.now() - NOW] * (len(_jobs_in(office)) - before)
        assert clock.now() < NOW + 10.0
    assert sorted(_jobs_in(office)) == sorted(job.id for job in jobs)
    assert asked_at[-1] - asked_at[0] == pytest.approx(2.5, abs=0.2)


def _jobs_in(office: Office) -> list[str]:
    """The jobs of all messages, in order, whether alone or in batches."""
    return [
        job_id
        for message in office.publisher.messages
        for job_id in message.kwargs.get("job_ids") or [message.kwargs["job_id"]]
    ]
