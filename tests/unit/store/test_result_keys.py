"""One result key, one job: a key that the provider gives twice holds the second job (SUB11)."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.events import Resolved, SubmissionAccepted
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.store.jobs import ResultKeyTakenError
from sceneshift.store.opening import Store
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, LATE_KEY, SITUATIONS
from tests.unit.store.inspection import everything, place


def accepted(store: Store, job: JobRecord, key: str = LATE_KEY) -> JobRecord:
    change = store.jobs.transition(job, SubmissionAccepted(result_key=key, request_id=None, first_poll_in_seconds=4.0))
    assert change is not None
    return change.after


def another(store: Store, situation: str = "submitting") -> JobRecord:
    return place(store, SITUATIONS[situation].evolve(id=a_job().id))


@pytest.mark.parametrize("later_seconds", [0.0, 86_400.0])
@pytest.mark.parametrize("situation", ["submitting", "held, answer lost", "submitting, to be discarded"])
def test_the_second_job_of_a_key_is_held(
    store: Store, clock: ManualClock, situation: str, later_seconds: float
) -> None:
    """It says why and names the first, its cost stays open, and no image is taken for its own; also a day later."""
    first = accepted(store, another(store))
    clock.advance(later_seconds)
    held = accepted(store, another(store, situation))
    assert held.error is not None
    assert (held.state, held.error.code) == (JobState.NEEDS_ATTENTION, "duplicate_result_key")
    assert first.id in held.error.message
    assert (held.result_key, held.charge) == ("", Charge.UNKNOWN)
    assert store.jobs.load(first.id) == first


def test_the_same_acceptance_holds_its_job_once(store: Store) -> None:
    """A replay of it changes nothing: one webhook, one entry in the timeline."""
    accepted(store, another(store))
    sent = another(store)
    accepted(store, sent)
    before = everything(store.client)
    event = SubmissionAccepted(result_key=LATE_KEY, request_id=None, first_poll_in_seconds=0.0)
    assert store.jobs.transition(sent, event) is None
    assert everything(store.client) == before


def test_a_key_of_another_job_cannot_be_attached(store: Store) -> None:
    """The person is told whose it is, and nothing is written."""
    first, held = accepted(store, another(store)), another(store, "held, answer lost")
    before = everything(store.client)
    with pytest.raises(ResultKeyTakenError) as refused:
        store.jobs.transition(held, EVENTS["attach"])
    assert refused.value.owner_id == first.id
    assert everything(store.client) == before


def test_an_attached_key_is_that_job_s(store: Store) -> None:
    """What a person has attached is refused to the next one like any other."""
    owner = another(store, "held, answer lost")
    assert store.jobs.transition(owner, EVENTS["attach"])
    with pytest.raises(ResultKeyTakenError):
        store.jobs.transition(another(store, "held, answer lost"), EVENTS["attach"])


def test_a_job_may_get_its_own_key_again(store: Store) -> None:
    """Attaching the key that a job has already given in this or an earlier life is no duplicate."""
    job = accepted(store, another(store))
    poisoned = store.jobs.transition(job, EVENTS["poisoned"])
    assert poisoned is not None
    assert store.jobs.transition(poisoned.after, Resolved(action="attach", by="ann", result_key=LATE_KEY))
