"""A worker whose job store forgot submissions: nothing is sent twice, and what is remembered is merged back."""

from __future__ import annotations

import logging
from typing import Any

import fakeredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.clock import ManualClock
from sceneshift.identifiers import new_job_id
from sceneshift.jobs.change import Change
from sceneshift.jobs.events import Event, SubmissionAccepted, SubmissionDelayed, SubmissionForgotten
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.merging import hold_without_proof, without_proof
from sceneshift.store.opening import Store, open_job_store
from storage.objects import StorageUnavailableError
from tests.factories import an_order
from tests.unit.tasks.ports import RESULT_KEY
from tests.unit.workers.forgetful import Worker
from workers.recovery_keeper import INTERVAL_SECONDS


@pytest.fixture
def worker(store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr("tasks.services._services", None)
    return Worker(store, settings, clock)


def submitted(worker: Worker, **values: object) -> tuple[JobRecord, JobRecord]:
    """A job as it was accepted, and as it is after its submission."""
    accepted = worker.accept(**values)
    worker.wake(accepted.id)
    return accepted, worker.job(accepted.id)


def test_a_submission_that_the_store_forgot_is_not_sent_again(worker: Worker) -> None:
    """BRK6: the job says that it waits for the recovery, is held when the worker has told the store, and stays so."""
    worker.keeper.look()
    accepted, sent = submitted(worker)
    worker.turn_back(accepted)
    worker.wake(accepted.id)
    waiting = worker.job(accepted.id)
    assert (waiting.state, waiting.blocked_by) == (JobState.QUEUED, "recovery")
    assert waiting.blocked_until is not None
    worker.keeper.look()
    held = worker.job(accepted.id)
    assert (held.state, held.charge, held.nonce) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN, sent.nonce)
    assert worker.store.recovery.state() is not None
    worker.store.recovery.end(by="ann", note="")
    assert worker.keeper.look() is None
    assert worker.job(accepted.id) == held
    assert len(worker.provider.nonces) == 1


def test_nothing_is_submitted_until_a_person_ends_it(worker: Worker) -> None:
    """Other jobs wait too, polling goes on, and afterwards everything is submitted once."""
    worker.keeper.look()
    accepted, _ = submitted(worker)
    _, polled = submitted(worker)
    worker.turn_back(accepted, polled)
    worker.keeper.look()
    fresh = worker.accept()
    for _ in range(3):
        worker.wake(fresh.id)
        worker.keeper.look()
    assert worker.job(fresh.id).blocked_by == "recovery"
    worker.wake(polled.id)
    assert worker.job(polled.id).state is JobState.STORING
    worker.store.recovery.end(by="ann", note="")
    worker.wake(fresh.id)
    assert worker.job(fresh.id).state is JobState.RENDERING
    assert len(worker.provider.nonces) == 3


def test_a_late_answer_still_counts(worker: Worker) -> None:
    """The key of the forgotten submission, found in the log, is attached to the held job, which then goes on."""
    worker.keeper.look()
    accepted, _ = submitted(worker)
    worker.turn_back(accepted)
    worker.keeper.look()
    held = worker.job(accepted.id)
    late = SubmissionAccepted(result_key=RESULT_KEY, request_id=None, first_poll_in_seconds=0.0)
    assert worker.store.jobs.transition(held, late) is not None
    assert worker.job(accepted.id).charge is Charge.CHARGED


def test_a_lost_job_is_stored_again_from_memory(worker: Worker) -> None:
    """The process remembers the order, so that a person can decide about it."""
    worker.keeper.look()
    accepted, sent = submitted(worker, order=an_order(num_output=2, idempotency_key="k"))
    worker.turn_back()
    worker.keeper.look()
    held = worker.job(accepted.id)
    assert (held.state, held.order, held.nonce) == (JobState.NEEDS_ATTENTION, accepted.order, sent.nonce)


def test_each_process_merges_what_it_remembers(worker: Worker, settings: Settings, clock: ManualClock) -> None:
    """Of two workers each knows its own submissions; the second merges although the first began the mode."""
    other = Worker(
        open_job_store(settings, patience=TIMEKEEPER, client=worker.store.client, clock=clock), settings, clock
    )
    jobs = []
    for each in (worker, other):
        each.use()
        each.keeper.look()
        jobs.append(submitted(each)[0])
    worker.turn_back(*jobs)
    worker.keeper.look()
    assert [worker.job(job.id).state for job in jobs] == [JobState.NEEDS_ATTENTION, JobState.QUEUED]
    other.keeper.look()
    assert [worker.job(job.id).state for job in jobs] == [JobState.NEEDS_ATTENTION, JobState.NEEDS_ATTENTION]


def test_an_intent_that_is_remembered_late_is_merged_too(worker: Worker) -> None:
    """A thread stood still between the store's confirmation and its own note of it, while the loss was noticed."""
    worker.keeper.look()
    accepted, sent = submitted(worker)
    worker.store.recovery._intents.clear()
    worker.turn_back(accepted)
    worker.keeper.look()
    assert worker.job(accepted.id).state is JobState.QUEUED
    worker.store.recovery.witnessed(sent)
    worker.keeper.look()
    assert worker.job(accepted.id).state is JobState.NEEDS_ATTENTION


def test_it_merges_once_for_each_loss(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """A mode that stays on for days does not have the same done every two seconds."""
    worker.keeper.look()
    submitted(worker)
    worker.turn_back()
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            worker.keeper.look()
        merges = [record for record in caplog.records if record.message == "recovery.merged"]
        assert len(merges) == 1
        worker.store.recovery.begin("another one", by="ann")
        worker.keeper.look()
    merges = [record for record in caplog.records if record.message == "recovery.merged"]
    assert len(merges) == 2


def test_with_the_bucket_s_log_it_ends_by_itself(worker: Worker) -> None:
    """A worker that remembers nothing, started after all others had died, finds the submissions in the bucket."""
    worker.use_log()
    worker.keeper.look()
    accepted, _ = submitted(worker)
    worker.turn_back(accepted)
    newcomer = worker.newcomer()
    assert newcomer.keeper.look() is None
    newcomer.wake(accepted.id)
    assert newcomer.provider.nonces == []
    assert newcomer.keeper.look() is not None
    assert newcomer.job(accepted.id).state is JobState.NEEDS_ATTENTION
    assert newcomer.keeper.look() is None


def test_what_is_found_while_the_bucket_is_merged_is_merged_too(worker: Worker) -> None:
    """The store lost more meanwhile, the merged jobs among it: the mode stays on for another look at the bucket."""
    worker.use_log()
    worker.keeper.look()
    accepted, _ = submitted(worker)
    worker.turn_back(accepted)
    newcomer, losses = worker.newcomer(), [1]
    newcomer.store.recovery.begin("restored from a copy", by="ann")

    def lose_again(operation: str, _key: str) -> None:
        if operation == "get" and losses[0]:
            losses[0] -= 1
            worker.store.recovery.begin("more is lost")

    worker.bucket.before = lose_again
    newcomer.keeper.look()
    assert newcomer.store.recovery.state() is not None
    newcomer.keeper.look()
    assert newcomer.store.recovery.state() is None
    assert newcomer.job(accepted.id).state is JobState.NEEDS_ATTENTION


def test_a_bucket_that_is_away_keeps_the_mode_on(worker: Worker) -> None:
    """Who cannot look does not know that nothing was submitted; a later turn does."""
    worker.use_log()
    worker.keeper.look()
    accepted, _ = submitted(worker)
    worker.turn_back(accepted)

    def fail(_operation: str, _key: str) -> None:
        raise StorageUnavailableError("away")

    worker.bucket.before = fail
    assert worker.keeper._turn() == INTERVAL_SECONDS
    assert worker.store.recovery.state() is not None
    worker.bucket.before = lambda _operation, _key: None
    assert worker.keeper._turn() == INTERVAL_SECONDS
    assert worker.store.recovery.state() is None


def test_an_intent_that_cannot_be_read_keeps_the_mode_on(worker: Worker) -> None:
    """It may be the very one that was paid for: a person looks."""
    worker.use_log()
    worker.keeper.look()
    accepted, _ = submitted(worker)
    [name] = worker.bucket.objects
    worker.bucket.objects[name] = (b"{}", worker.bucket.objects[name][1])
    worker.turn_back(accepted)
    newcomer = worker.newcomer()
    newcomer.store.recovery.begin("restored from a copy", by="ann")
    assert newcomer.keeper._turn() == INTERVAL_SECONDS
    assert newcomer.keeper._turn() == INTERVAL_SECONDS
    assert newcomer.store.recovery.state() is not None


def test_a_job_that_moves_meanwhile_is_held_nevertheless(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put off between the look at it and the change: once is tried again; always, and the mode stays on."""
    worker.use_log()
    worker.keeper.look()
    accepted, _ = submitted(worker)
    worker.turn_back(accepted)
    transition, moves = worker.store.jobs.transition, [7]

    def moving(job: JobRecord, event: Event, **options: Any) -> Change | None:
        if isinstance(event, SubmissionForgotten) and moves[0]:
            moves[0] -= 1
            delay = SubmissionDelayed(blocked_by="recovery", retry_in_seconds=1.0, new_epoch=False)
            assert transition(job, delay) is not None
        return transition(job, event, **options)

    monkeypatch.setattr(worker.store.jobs, "transition", moving)
    assert worker.keeper._turn() == INTERVAL_SECONDS
    assert worker.store.recovery.state() is not None
    assert worker.job(accepted.id).state is JobState.QUEUED
    assert worker.keeper._turn() == INTERVAL_SECONDS
    assert worker.store.recovery.state() is None
    assert worker.job(accepted.id).state is JobState.NEEDS_ATTENTION


def test_a_store_that_is_away_does_not_end_the_thread(settings: Settings, clock: ManualClock) -> None:
    """It is looked at again after the pause."""
    client = fakeredis.FakeRedis(decode_responses=True, server=(server := fakeredis.FakeServer()))
    worker = Worker(open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock), settings, clock)
    worker.keeper.look()
    server.connected = False
    with pytest.raises(RedisConnectionError):
        worker.keeper.look()
    assert worker.keeper._turn() == INTERVAL_SECONDS


# What a person is told and decides


def test_queued_jobs_without_proof_are_those_of_before(worker: Worker) -> None:
    """What was accepted after the loss was noticed cannot have been submitted before it."""
    before = worker.accept()
    worker.clock.advance(5.0)
    worker.store.recovery.begin("for a test", by="ann")
    state = worker.store.recovery.state()
    assert state is not None
    worker.clock.advance(5.0)
    after = worker.accept(id=new_job_id(worker.clock.now()))
    assert without_proof(worker.store, state.since) == [before.id]
    assert hold_without_proof(worker.store, state.since) == 1
    held = worker.job(before.id)
    assert (held.state, held.charge, held.submits) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN, 1)
    assert worker.job(after.id).state is JobState.QUEUED
    assert hold_without_proof(worker.store, state.since) == 0
