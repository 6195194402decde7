"""Copies that are due at once: those whose result URLs end first go first, and the queue is kept short for them."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import due_at, place
from tests.unit.workers.office import Office

LEASE = 20.0


def storing(office: Office, *rendered_ago_seconds: float) -> list[JobRecord]:
    """Jobs that are due, whose provider finished so long ago."""
    return [
        place(office.store, SITUATIONS["storing"].evolve(id=a_job().id, rendered_at=NOW - ago))
        for ago in rendered_ago_seconds
    ]


def test_the_earliest_to_expire_is_published_first(office: Office, clock: ManualClock) -> None:
    """Whatever the order in which they fell due, the longest rendered is copied before the others."""
    young, old, middle = storing(office, 60.0, 3000.0, 1500.0)
    assert office.later(clock, LEASE) == 3
    assert [message.kwargs["job_id"] for message in office.publisher.messages] == [old.id, middle.id, young.id]


def test_what_finds_no_room_comes_back_in_the_order_of_expiry(office: Office, clock: ManualClock) -> None:
    """A long queue gets nothing more, and those that wait say so and come back one after the other."""
    office.lengths["sceneshift.finalize"] = 1000
    young, old, middle = storing(office, 60.0, 3000.0, 1500.0)
    office.later(clock, LEASE)
    assert office.publisher.messages == []
    times = [due_at(office.store, job.id) or 0.0 for job in (old, middle, young)]
    assert times == sorted(times)
    assert len(set(times)) == 3
    waiting = office.store.jobs.load(old.id)
    assert waiting is not None
    assert waiting.blocked_by == "backlog"
    office.lengths.clear()
    office.later(clock, 600.0)
    assert [message.kwargs["job_id"] for message in office.publisher.messages] == [old.id, middle.id, young.id]


def test_the_room_that_there_is_goes_to_the_earliest(office: Office, clock: ManualClock) -> None:
    """With room for two in the queue, the two that expire first are published."""
    office.lengths["sceneshift.finalize"] = 48
    jobs = storing(office, 60.0, 3000.0, 1500.0)
    office.later(clock, LEASE)
    assert [message.kwargs["job_id"] for message in office.publisher.messages] == [jobs[1].id, jobs[2].id]


@pytest.mark.parametrize("rendered_at", ["", "soon"])
def test_a_job_without_that_time_is_copied_last_and_stops_nobody(
    office: Office, clock: ManualClock, rendered_at: str
) -> None:
    """A record of which this part is missing or damaged orders nothing."""
    strange, plain = storing(office, 10.0, 60.0)
    office.store.client.hset(office.store.keys.job(strange.id), "rendered_at", rendered_at)
    office.later(clock, LEASE)
    assert [message.kwargs["job_id"] for message in office.publisher.messages] == [plain.id, strange.id]
