"""Each gate of the timekeeper: the job says what it waits for and until when, and that is when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sceneshift.cli.explained import Next, what_next
from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.permits import Limits, Permits
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.breakers import ScriptedBreaker
from tests.unit.workers.office import Office, accepted, rendering

TICK = 0.1
LEASE = 20.0


def limited(office: Office, limits: Limits) -> None:
    """The office's permits have these limits from now on."""
    store = office.store
    office.employ(replace(store, permits=Permits(store.client, store.keys, store.clock, limits)))


def explained(office: Office, job: JobRecord) -> Next:
    """What `sceneshift jobs explain` says of the job now."""
    store = office.store
    stored = store.jobs.load(job.id)
    assert stored is not None
    return what_next(stored, store.due.due_at(job.id), store.clock.now(), lambda _queue: None)


def published(office: Office) -> list[str]:
    """The jobs of all messages that the broker took, alone or in batches."""
    if not office.publisher.working:
        return []
    return [
        job_id
        for message in office.publisher.messages
        for job_id in message.kwargs.get("job_ids") or [message.kwargs["job_id"]]
    ]


Gate = Callable[[Office, ManualClock], tuple[JobRecord, Callable[[], None]]]
"""Stops a job; returns it, and what opens the gate."""


def nothing() -> None:
    """The gate opens by itself, with time."""


def a_long_queue(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """A bulk job behind a thousand messages, of which the fleet begins ten a second."""
    office.timekeeper.tick()
    office.begun("sceneshift.submit", 100)
    office.later(clock, 10.0)
    (job,) = accepted(office, 1)
    office.lengths["sceneshift.submit"] = 1000
    office.timekeeper.tick()
    return job, office.lengths.clear


def an_old_message(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """An urgent job whose message has been in a long queue for a lease."""
    job = a_job()
    office.store.jobs.accept(job, publish=True)
    office.lengths["sceneshift.submit"] = 51
    office.later(clock, LEASE)
    return job, office.lengths.clear


def a_broker_that_does_not_answer(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """A job of which nobody can say how long its queue is."""
    (job,) = accepted(office, 1)
    office.broker_away = True
    for _ in range(30):
        office.later(clock, TICK)
    return job, lambda: setattr(office, "broker_away", False)


def a_broker_that_takes_nothing(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """A poll whose publication has failed."""
    (job,) = rendering(office, 1)
    office.publisher.working = False
    office.later(clock, 2.0)
    office.publisher.messages.clear()
    return job, lambda: setattr(office.publisher, "working", True)


def no_room_at_the_rate(office: Office, _clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """The last of thirty bulk jobs at four a second."""
    limited(office, Limits(submit_rate=4.0))
    jobs = accepted(office, 30)
    office.timekeeper.tick()
    return jobs[-1], nothing


def no_slot(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """A bulk job while the provider is at as many as it may be."""
    limited(office, Limits(max_in_flight=1))
    (at_work,) = rendering(office, 1)
    (job,) = accepted(office, 1)
    office.later(clock, TICK)

    def free() -> None:
        assert office.store.jobs.transition(at_work, EVENTS["rendering failed"])

    return job, free


def no_question_at_the_rate(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """The last of sixty jobs that are to be asked about, at twenty a second."""
    limited(office, Limits(query_rate=20.0))
    jobs = rendering(office, 60)
    office.later(clock, 1.5)
    waiting = [job for job in jobs if job.id not in published(office)]
    return max(waiting, key=lambda job: explained(office, job).at or 0.0), nothing


def an_open_breaker(office: Office, clock: ManualClock) -> tuple[JobRecord, Callable[[], None]]:
    """The fifth of five jobs while the provider is away for another 45 seconds."""
    breaker = ScriptedBreaker(office)
    breaker.opens(until=NOW + 45.0)
    jobs = accepted(office, 5)
    office.timekeeper.tick()

    def closes_in_time() -> None:
        while clock.now() < NOW + 45.0 - TICK:
            office.later(clock, TICK)
        assert published(office) == []
        breaker.closes()

    return jobs[-1], closes_in_time


GATES: dict[str, tuple[Gate, str]] = {
    "a long queue": (a_long_queue, "backlog"),
    "an old message": (an_old_message, "backlog"),
    "a broker that does not answer": (a_broker_that_does_not_answer, "broker"),
    "a broker that takes nothing": (a_broker_that_takes_nothing, "broker"),
    "no room at the rate": (no_room_at_the_rate, "lane"),
    "no slot": (no_slot, "in_flight"),
    "no question at the rate": (no_question_at_the_rate, "query_rate"),
    "an open breaker": (an_open_breaker, "provider_unavailable"),
}


@pytest.mark.parametrize("name", GATES)
def test_a_job_that_is_put_off_says_when_it_goes_on(office: Office, clock: ManualClock, name: str) -> None:
    """`explain` names the gate and a time within a second of the next hand-out, after which nothing is said of it."""
    gate, word = GATES[name]
    job, opens = gate(office, clock)
    said = explained(office, job)
    assert said.blocked_by == word
    assert said.at is not None
    assert said.until == said.at
    opens()
    while job.id not in published(office):
        office.later(clock, TICK)
        assert clock.now() < said.at + 5.0
    assert clock.now() == pytest.approx(said.at, abs=1.0)
    stored = office.store.jobs.load(job.id)
    assert stored is not None
    assert (stored.blocked_by, stored.blocked_until) == ("", None)
    assert "parked" not in stored.unknown_fields


def test_bulk_jobs_are_slow_and_not_stopped_while_urgent_ones_want_everything(
    office: Office, clock: ManualClock
) -> None:
    """Of ten submissions a second, urgent jobs reserve all, and bulk jobs still get the tenth that is theirs."""
    limited(office, Limits(submit_rate=10.0))
    for number in range(40):
        office.store.permits.reserve_submission(f"job_{number}")
    jobs = accepted(office, 20)
    for number in range(100):
        office.store.permits.reserve_submission(f"job_{number}_a")
        office.store.permits.reserve_submission(f"job_{number}_b")
        office.later(clock, TICK)
    assert 8 <= len(published(office)) <= 12
    waiting = [job for job in jobs if job.id not in published(office)]
    assert all(explained(office, job).blocked_by == "lane" for job in waiting)


def test_a_job_that_is_at_the_provider_is_not_marked(office: Office, clock: ManualClock) -> None:
    """While nothing is in a job's way, its record says so."""
    job = place(office.store, SITUATIONS["rendering"])
    office.later(clock, 2.0)
    stored = office.store.jobs.load(job.id)
    assert stored is not None
    assert (stored.state, stored.blocked_by) == (JobState.RENDERING, "")


def test_an_interactive_job_in_the_queue_says_so_without_a_mark(office: Office, clock: ManualClock) -> None:
    """From its acceptance on, its message waits for a worker, and by when that will have been looked after."""
    job = a_job(order=an_order(lane="interactive"))
    office.store.jobs.accept(job, publish=True)
    office.later(clock, 5.0)
    said = explained(office, job)
    assert (said.blocked_by, said.step, said.at) == ("backlog", "submit-1", NOW + LEASE)
    assert "sceneshift.submit" in said.text
