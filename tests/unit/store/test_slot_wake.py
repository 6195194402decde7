"""A slot that becomes free wakes whoever has waited longest for one, and nobody else."""

from __future__ import annotations

import math

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.gates import slot_delay
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.jobs import IntentGuard, SlotsFullError
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_at, place


@pytest.fixture
def full(store: Store, settings: Settings) -> Store:
    """A store with one slot, which is taken by the job of the situation `rendering`."""
    limited = settings.model_copy(update={"max_in_flight": 1})
    full = open_job_store(limited, patience=TIMEKEEPER, client=store.client, clock=store.clock)
    place(full, SITUATIONS["rendering"])
    return full


def waiting(store: Store) -> JobRecord:
    """A job that was told that there is no slot, and is looked at later."""
    job = a_job()
    store.jobs.accept(job, publish=True)
    assert store.due.begin(job.id, job.step, None).is_taken
    assert store.permits.reserve_submission(job.id).moment is None
    change = store.jobs.transition(job, EVENTS["delayed"])
    assert change is not None
    return change.after


def free_the_slot(store: Store) -> None:
    assert store.jobs.transition(SITUATIONS["rendering"], EVENTS["rendering failed"])


def test_who_has_waited_longest_is_looked_at_at_once(full: Store, clock: ManualClock) -> None:
    """One slot, one job: the others keep their time."""
    first = waiting(full)
    clock.advance(1.0)
    second = waiting(full)
    later = due_at(full, second.id)
    free_the_slot(full)
    assert (due_at(full, first.id), due_at(full, second.id)) == (clock.now(), later)


def test_a_slot_that_is_freed_while_a_job_hears_that_there_is_none_is_not_lost(full: Store, clock: ManualClock) -> None:
    """Between the word and its record the slot becomes free: the job is looked at at once, not at its own time."""
    job = a_job()
    full.jobs.accept(job, publish=True)
    assert full.due.begin(job.id, job.step, None).is_taken
    assert full.permits.reserve_submission(job.id).moment is None
    free_the_slot(full)
    assert full.jobs.transition(job, slot_delay(job))
    assert due_at(full, job.id) == clock.now()


@pytest.mark.parametrize("event", ["lost", "lost, fail", "lost, resubmit"])
def test_a_lost_submission_keeps_its_slot_for_as_long_as_it_may_be_rendered(
    store: Store, settings: Settings, clock: ManualClock, event: str
) -> None:
    """Whatever becomes of its job: the provider may be at it, and gets no other one beside it until that is over."""
    limited = settings.model_copy(update={"max_in_flight": 1})
    full = open_job_store(limited, patience=TIMEKEEPER, client=store.client, clock=store.clock)
    place(full, SITUATIONS["submitting"])
    assert full.jobs.transition(SITUATIONS["submitting"], EVENTS[event])
    for seconds, in_flight in ((59.0, 1), (2.0, 0)):
        clock.advance(seconds)
        other = place(full, SITUATIONS["queued"].evolve(id=a_job().id))
        assert full.permits.in_flight() == in_flight
        assert (full.permits.reserve_submission(other.id).moment is None) is bool(in_flight)
        assert full.permits.room_for_bulk(5, within_seconds=1.0) == 0 if in_flight else True
        if in_flight:
            with pytest.raises(SlotsFullError):
                full.jobs.transition(other, EVENTS["intent"], guard=IntentGuard())
        else:
            assert full.jobs.transition(other, EVENTS["intent"], guard=IntentGuard())


def test_a_lost_submission_that_is_found_takes_one_slot(store: Store) -> None:
    """Its late answer has the job rendered: it is counted there."""
    place(store, SITUATIONS["submitting"])
    change = store.jobs.transition(SITUATIONS["submitting"], EVENTS["lost"])
    assert change is not None
    assert store.permits.in_flight() == 1
    assert store.jobs.transition(change.after, EVENTS["accepted"])
    assert store.permits.in_flight() == 1


def test_a_job_that_is_to_be_asked_about_again_takes_one_slot(store: Store) -> None:
    """It stays `submitting`, and is counted as that."""
    place(store, SITUATIONS["submitting"])
    assert store.jobs.transition(SITUATIONS["submitting"], EVENTS["lost, probe"])
    assert store.permits.in_flight() == 1


def test_nobody_is_woken_who_is_awake(full: Store, clock: ManualClock) -> None:
    """A worker is at the step of a job that had waited: it must not be handed out to a second one."""
    job = waiting(full)
    clock.advance(30.0)
    assert job.id in {step.subject_id for step in full.due.hand_out(full.due.claim(10))}
    assert full.due.begin(job.id, job.step, None).is_taken
    lease = due_at(full, job.id)
    free_the_slot(full)
    assert due_at(full, job.id) == lease


def test_who_waits_for_a_person_takes_nobody_s_turn(full: Store, clock: ManualClock) -> None:
    """A job that was held while it waited for a slot stays with its person, and the next one is woken."""
    held, other = waiting(full), waiting(full)
    assert full.jobs.transition(held, EVENTS["poisoned"])
    free_the_slot(full)
    assert (due_at(full, held.id), due_at(full, other.id)) == (math.inf, clock.now())
