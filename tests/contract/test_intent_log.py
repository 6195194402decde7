"""Every object store keeps the intent log's promises: each submission once, and a job store that forgot is told."""

from __future__ import annotations

from dataclasses import replace

import fakeredis
import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.events import Resolved
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import Store, open_job_store
from storage.objects import ObjectStore
from tasks.intents import day_of, intents_of
from tasks.recovering import BUCKET
from tests.factories import an_order
from tests.unit.store.inspection import place
from tests.unit.tasks.ports import RESULT_KEY
from tests.unit.tasks.workshop import Workshop
from workers.recovery_keeper import RecoveryKeeper


@pytest.fixture
def logging_settings(settings: Settings) -> Settings:
    """Intents go to the bucket too."""
    return settings.model_copy(update={"intent_log": "storage"})


@pytest.fixture
def store(logging_settings: Settings, clock: ManualClock) -> Store:
    """A job store of one's own."""
    return a_store(logging_settings, clock)


def a_store(settings: Settings, clock: ManualClock) -> Store:
    client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
    return open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)


@pytest.fixture
def work(
    store: Store,
    logging_settings: Settings,
    clock: ManualClock,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Workshop:
    """A deployment whose bucket is the store under test."""
    monkeypatch.setattr("tasks.services._services", None)
    return a_workshop(store, logging_settings, clock, object_store)


def a_workshop(store: Store, settings: Settings, clock: ManualClock, bucket: ObjectStore) -> Workshop:
    work = Workshop(store, settings, clock)
    work.use(objects=bucket)
    return work


def look(work: Workshop) -> None:
    """The worker's recovery keeper has looked once, as it does every two seconds."""
    RecoveryKeeper(work.services).look()


def restored_without(work: Workshop, *jobs: JobRecord) -> None:
    """The job store was emptied, and has these jobs again as they were accepted: all later writes are lost."""
    work.store.client.flushall()
    for job in jobs:
        place(work.store, job)


def test_of_two_job_stores_one_sends(
    work: Workshop, logging_settings: Settings, clock: ManualClock, object_store: ObjectStore
) -> None:
    """BRK8: the same job in two stores, one bucket: one submission, and the other job is held, in recovery mode."""
    second = a_workshop(a_store(logging_settings, clock), logging_settings, clock, object_store)
    job = work.accept()
    second.store.jobs.accept(job, publish=True)
    for each in (work, second):
        each.use()
        each.wake(job.id)
    assert (len(work.provider.nonces), len(second.provider.nonces)) == (1, 0)
    assert work.job(job.id).state is JobState.RENDERING
    held = second.job(job.id)
    assert held.state is JobState.NEEDS_ATTENTION
    assert held.error is not None
    assert held.error.code == "outcome_unknown"
    assert work.store.recovery.state() is None
    state = second.store.recovery.state()
    assert state is not None
    assert job.id in state.reason
    assert intents_of(object_store, day_of(clock.now())) == {job.id: 1}


def test_a_store_that_forgot_a_submission_is_told(work: Workshop) -> None:
    """Its job is held, the mode ends by itself, and other jobs are submitted: nothing is paid twice."""
    look(work)
    job = work.rendering()
    restored_without(work, job.evolve(**as_accepted()))
    fresh = work.accept()
    look(work)
    held = work.job(job.id)
    assert (held.state, held.charge, held.submits) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN, 1)
    assert held.nonce == job.nonce
    assert held.error is not None
    assert (held.error.code, "forgot submission 1" in held.error.message) == ("outcome_unknown", True)
    assert work.store.recovery.state() is None
    last = work.store.recovery.last()
    assert last is not None
    assert sum(each["held"] for each in last["merged"].values()) == 1
    assert last["merged"][BUCKET]["intents"] == 1
    work.wake(fresh.id)
    assert work.job(fresh.id).state is JobState.RENDERING
    assert len(work.provider.nonces) == 2


def as_accepted() -> dict[str, object]:
    """What a record was before its first submission."""
    return {
        "state": JobState.QUEUED, "step": "submit-1", "parent_step": "", "revision": 0, "nonce": "", "request_hash": "",
        "submits": 0, "charge": Charge.NOT_CHARGED, "result_key": "", "request_id": "", "submitted_at": None,
        "intent_at": None, "fence": 0, "begun": 0,
    }  # fmt: skip


def test_a_job_that_was_lost_altogether_is_stored_again(work: Workshop, clock: ManualClock) -> None:
    """With its order and its key, held, although no process is left that remembers it."""
    order = an_order(num_output=2, idempotency_key="order-7", metadata={"a": "b"})
    job = work.rendering(order=order)
    restored_without(work)
    work.store.recovery.begin("restored from an empty copy", by="ann")
    clock.advance(3 * 86_400.0)
    look(work)
    held = work.job(job.id)
    assert (held.state, held.charge, held.order, held.nonce) == (
        JobState.NEEDS_ATTENTION, Charge.UNKNOWN, order, job.nonce,
    )  # fmt: skip
    assert (held.created_at, held.deadline_at) == (job.created_at, job.deadline_at)
    assert work.store.client.get(work.store.keys.idempotency("order-7")) == job.id
    assert work.store.recovery.state() is None
    work.store.jobs.transition(held, Resolved(action="attach", by="ann", result_key=RESULT_KEY))
    work.wake(job.id)
    assert work.job(job.id).state is JobState.STORING


def test_a_finished_job_that_was_lost_stays_lost(work: Workshop) -> None:
    """Its results are in the bucket: it needs nobody's attention, and must not be ordered again by us."""
    job = work.storing()
    work.wake(job.id)
    assert work.job(job.id).state is JobState.SUCCEEDED
    restored_without(work)
    work.store.recovery.begin("emptied", by="ann")
    look(work)
    assert work.store.jobs.load(job.id) is None
    assert work.store.recovery.state() is None


def test_a_job_that_was_ordered_again_is_held_too(work: Workshop) -> None:
    """The shop used its key again after the store had lost the job: neither is paid a second time unasked."""
    look(work)
    order = an_order(num_output=2, idempotency_key="order-7")
    lost = work.rendering(order=order)
    restored_without(work)
    again = work.accept(order=order)
    look(work)
    for job_id in (lost.id, again.id):
        assert work.job(job_id).state is JobState.NEEDS_ATTENTION
        assert work.job(job_id).charge is Charge.UNKNOWN
    assert work.job(lost.id).order == replace(order, idempotency_key=None)
    assert len(work.provider.nonces) == 1


def test_an_expired_job_is_not_brought_back(work: Workshop, clock: ManualClock) -> None:
    """What the store does not know because its time is over was not lost."""
    job = work.rendering()
    held = work.accept()
    work.store.client.delete(work.store.keys.job(job.id))
    clock.advance(work.services.settings.job_retention_seconds + 1.0)
    work.store.recovery.begin("for a test", by="ann")
    look(work)
    assert work.store.jobs.load(job.id) is None
    assert work.job(held.id).state is JobState.QUEUED
    assert work.store.recovery.state() is None


def test_merging_again_changes_nothing(work: Workshop) -> None:
    """Several workers do it, and each time that something is found."""
    look(work)
    job = work.rendering()
    restored_without(work, job.evolve(**as_accepted()))
    look(work)
    held = work.job(job.id)
    for _ in range(2):
        work.store.recovery.begin("again", by="ann")
        look(work)
    assert work.job(job.id) == held
    assert work.store.recovery.state() is None
