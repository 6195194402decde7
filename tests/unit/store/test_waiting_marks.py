"""What timekeepers write on the records of jobs that wait: it is true while they wait, and in nobody's way."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.store.due import DueStep
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_at, everything, place

TASK = "sceneshift.submit"
LEASE = 20.0
OWN_MARK = {"blocked_by": "submit_rate", "blocked_until": NOW}


def a_step(job: JobRecord) -> DueStep:
    return DueStep(subject_id=job.id, step=job.step, sku="", parent_step="", job_id=job.id, waiting=False)


def marks(store: Store, job: JobRecord) -> tuple[str, float | None]:
    stored = store.jobs.load(job.id)
    assert stored is not None
    return stored.blocked_by, stored.blocked_until


@pytest.fixture
def job(store: Store) -> JobRecord:
    """A job that nobody has been at."""
    record = a_job()
    store.jobs.accept(record, publish=False)
    return record


@pytest.fixture
def delayed(store: Store) -> JobRecord:
    """A job that has a moment of its own, which its last step has reserved."""
    return place(store, SITUATIONS["queued"].evolve(step="submit-2", parent_step="submit-1", revision=1, **OWN_MARK))


def test_a_job_that_is_put_off_says_why_and_until_when(store: Store, job: JobRecord) -> None:
    """The word and the time of the next look are on the record, and the revision is the same as before."""
    store.due.postpone([a_step(job)], 12.5, blocked_by="backlog")
    assert marks(store, job) == ("backlog", NOW + 12.5)
    assert due_at(store, job.id) == NOW + 12.5
    assert store.client.hget(store.keys.job(job.id), "revision") is None


def test_a_look_that_is_only_a_look_does_not_end_the_wait(store: Store, job: JobRecord) -> None:
    """A job may be looked at sooner than its wait is expected to end, and says the latter."""
    store.due.postpone([a_step(job)], 2.0, blocked_by="provider_unavailable", longer_seconds=58.0)
    assert marks(store, job) == ("provider_unavailable", NOW + 60.0)
    assert due_at(store, job.id) == NOW + 2.0


def test_each_job_says_its_own_time(store: Store) -> None:
    """Those that come back one after the other say so."""
    jobs = [a_job() for _ in range(3)]
    for each in jobs:
        store.jobs.accept(each, publish=False)
    store.due.postpone([a_step(each) for each in jobs], 10.0, apart_seconds=0.5, blocked_by="lane")
    assert [marks(store, each) for each in jobs] == [("lane", NOW + 10.0 + 0.5 * place) for place in range(3)]


def test_the_latest_reason_counts(store: Store, job: JobRecord) -> None:
    """A job that is put off again for another reason says that one."""
    store.due.postpone([a_step(job)], 12.5, blocked_by="backlog")
    store.due.postpone([a_step(job)], 2.0, blocked_by="broker")
    assert marks(store, job) == ("broker", NOW + 2.0)


@pytest.mark.parametrize("end", ["hand_out", "begin"])
def test_the_mark_ends_with_the_wait(store: Store, end: str) -> None:
    """Whoever hands the step out, or takes a message of it that was there already, leaves no trace of the wait."""
    job = a_job()
    store.jobs.accept(job, publish=True)
    before = everything(store.client)[store.keys.job(job.id)]
    store.due.postpone([a_step(job)], 12.5, blocked_by="backlog")
    if end == "hand_out":
        assert store.due.hand_out([a_step(job)])
        assert everything(store.client)[store.keys.job(job.id)] == before
    else:
        taken = store.due.begin(job.id, job.step, TASK)
        assert not {"blocked_by", "blocked_until", "parked"} & set(taken.fields)
        assert marks(store, job) == ("", None)


@pytest.mark.parametrize("words", [("backlog",), ("backlog", "broker"), ("submit_rate",), ("backlog", "backlog")])
def test_a_step_s_own_mark_comes_back(store: Store, delayed: JobRecord, words: tuple[str, ...]) -> None:
    """The moment that was reserved for a job is still its own, however often it was put off before that."""
    for word in words:
        store.due.postpone([a_step(delayed)], 5.0, blocked_by=word)
        assert marks(store, delayed) == (word, NOW + 5.0)
    store.due.hand_out([a_step(delayed)])
    assert marks(store, delayed) == (delayed.blocked_by, delayed.blocked_until)


def test_putting_off_without_a_reason_leaves_the_marks(store: Store, delayed: JobRecord) -> None:
    """What stands there stays."""
    store.due.postpone([a_step(delayed)], 5.0)
    assert marks(store, delayed) == (delayed.blocked_by, delayed.blocked_until)


def test_a_job_that_a_worker_is_at_is_not_marked(store: Store, clock: ManualClock) -> None:
    """Between claim and postponement a message was taken: the job does not wait."""
    job = a_job()
    store.jobs.accept(job, publish=True)
    clock.advance(LEASE)
    steps = store.due.claim(10)
    assert store.due.begin(job.id, job.step, TASK).is_taken
    store.due.postpone(steps, 5.0, blocked_by="backlog")
    assert marks(store, job) == ("", None)


def test_a_step_that_has_passed_is_not_marked(store: Store, job: JobRecord) -> None:
    """A job that has got on meanwhile, or ended, says nothing of an old wait."""
    assert store.jobs.transition(job, EVENTS["cancel"])
    before = everything(store.client)
    store.due.postpone([a_step(job)], 5.0, blocked_by="backlog")
    assert everything(store.client) == before


def test_a_webhook_that_is_put_off_has_no_marks(store: Store, clock: ManualClock) -> None:
    """Deliveries say what they wait for in other words."""
    sending = place(store, SITUATIONS["submitting"])
    assert store.jobs.transition(sending, EVENTS["lost"])
    clock.advance(LEASE)
    steps = [step for step in store.due.claim(10) if step.is_delivery]
    before = everything(store.client)
    store.due.postpone(steps, 5.0, blocked_by="backlog")
    after = everything(store.client)
    assert len(steps) == 1
    assert after.pop(store.keys.due) != before.pop(store.keys.due)
    assert after == before


@pytest.mark.parametrize("event", ["intent", "delayed", "refused", "poisoned", "cancel"])
@pytest.mark.parametrize("loaded", ["before", "after"])
def test_a_mark_is_in_no_transition_s_way(store: Store, delayed: JobRecord, event: str, loaded: str) -> None:
    """Whether the job was loaded before it was marked or after, what happens to it is stored, and the mark is gone."""
    job = store.jobs.load(delayed.id)
    assert job is not None
    store.due.postpone([a_step(delayed)], 5.0, blocked_by="backlog")
    if loaded == "after":
        job = store.jobs.load(delayed.id)
        assert job is not None
    change = store.jobs.transition(job, EVENTS[event])
    assert change is not None
    stored = store.jobs.load(delayed.id)
    assert stored is not None
    assert (stored.state, stored.step, stored.revision) == (change.after.state, change.after.step, 2)
    assert stored.blocked_by == {"delayed": "provider_throttled", "poisoned": "operator"}.get(event, "")
    assert (stored.blocked_until is not None) is (event == "delayed")


def test_what_a_transition_has_marked_since_stays(store: Store, delayed: JobRecord, clock: ManualClock) -> None:
    """A worker that was thought dead put the job off itself: handing that step out gives nothing back from before."""
    job = store.jobs.load(delayed.id)
    assert job is not None
    store.due.postpone([a_step(delayed)], 5.0, blocked_by="provider_throttled")
    change = store.jobs.transition(job, EVENTS["delayed"])
    assert change is not None
    clock.advance(30.0)
    store.due.hand_out([a_step(change.after)])
    assert marks(store, delayed) == ("provider_throttled", NOW + 30.0)
    assert store.client.hget(store.keys.job(delayed.id), "parked") is None
