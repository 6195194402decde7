"""A job store that forgot something, at the worst moments: nothing is paid twice, and no charge is lost from sight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from sceneshift import CancelOutcome, Job
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.errors import StoreUnavailableError
from sceneshift.fetch_errors import FetchStatusError
from sceneshift.identifiers import new_job_id
from sceneshift.jobs.change import Change
from sceneshift.jobs.events import Event, IntentStored
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import Accepted, ErrorKind, OutcomeUnknown, ProviderError, Refused, SubmitOutcome
from sceneshift.settings import Settings
from sceneshift.store.jobs import AcceptanceNotOnDiskError, IntentGuard, NotOnDiskError
from sceneshift.store.opening import Store
from tasks.replay import replay
from tasks.spool import SpooledKey
from tests.factories import an_order
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.forgetful import Worker

KEY = "k" * 32
DAY = 86_400.0


@pytest.fixture
def worker(store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker that has seen its job store."""
    monkeypatch.setattr("tasks.services._services", None)
    worker = Worker(store, settings, clock)
    worker.keeper.look()
    return worker


def ordered(worker: Worker) -> JobRecord:
    """A job with an idempotency key."""
    job_id = new_job_id(worker.clock.now())
    return worker.accept(id=job_id, order=an_order(num_output=2, idempotency_key="order-7"), deadline_at=None)


def turned_back(worker: Worker, job: JobRecord) -> None:
    """The job was submitted, and the store has it again as it was accepted, with its key; recovery mode is on."""
    worker.turn_back(job)
    worker.store.client.set(worker.store.keys.idempotency("order-7"), job.id)
    worker.store.recovery.begin("restored the copy of 03:00", by="ann")


def owner(worker: Worker) -> str | None:
    """The job that has the idempotency key."""
    text: str | None = worker.store.client.get(worker.store.keys.idempotency("order-7"))  # type: ignore[assignment]
    return text


def ledger(worker: Worker) -> dict[tuple[Charge, str], int]:
    """The submissions of all days, by charge and state."""
    lines = Counter[tuple[Charge, str]]()
    for day in worker.store.ledger.days():
        for line, amount in worker.store.ledger.day(day).entries.items():
            lines[line] += amount.submissions
    return {line: count for line, count in lines.items() if count}


def test_a_source_that_has_expired_ends_no_job_that_may_have_been_sent(worker: Worker) -> None:
    """In recovery mode the job keeps its key and waits, and nobody looks at its sources; then it is held."""
    job = ordered(worker)
    worker.wake(job.id)
    turned_back(worker, job)
    worker.web.sources[job.order.image] = FetchStatusError("expired", status=403)
    worker.web.peeks.clear()
    worker.wake(job.id)
    assert worker.web.peeks == []
    waiting = worker.job(job.id)
    assert (waiting.state, waiting.blocked_by) == (JobState.QUEUED, "recovery")
    assert owner(worker) == job.id
    worker.keeper.look()
    assert (worker.job(job.id).state, worker.job(job.id).charge) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN)


def test_a_source_is_found_bad_while_recovery_begins(worker: Worker) -> None:
    """The mode comes between the look and the end: the job waits all the same."""
    job = ordered(worker)

    def begin(_url: str) -> None:
        worker.store.recovery.begin("failover", by="another worker")

    worker.web.on_peek = begin
    worker.web.sources[job.order.image] = FetchStatusError("expired", status=403)
    worker.wake(job.id)
    waiting = worker.job(job.id)
    assert (waiting.state, waiting.blocked_by, owner(worker)) == (JobState.QUEUED, "recovery", job.id)


@pytest.mark.parametrize("keep", [False, True])
def test_a_cancelled_job_that_may_have_been_sent_does_not_end_as_free(
    worker: Worker, settings: Settings, *, keep: bool
) -> None:
    """`unknown`: the wish is noted, the job is held once the store is told, and its key orders nothing new."""
    job = ordered(worker)
    worker.wake(job.id)
    turned_back(worker, job)
    handle = Job(id=job.id, created=False, client=Client(settings, store=worker.store, publisher=worker.publisher))
    assert handle.cancel(keep_result=keep) is CancelOutcome.UNKNOWN
    assert handle.cancel(keep_result=keep) is CancelOutcome.UNKNOWN
    assert (worker.job(job.id).state, owner(worker)) == (JobState.QUEUED, job.id)
    worker.wake(job.id)
    assert worker.job(job.id).blocked_by == "recovery"
    worker.keeper.look()
    held = worker.job(job.id)
    assert (held.state, held.charge, held.cancel) == (
        JobState.NEEDS_ATTENTION, Charge.UNKNOWN, "keep" if keep else "discard",
    )  # fmt: skip


@pytest.mark.parametrize("by_a_worker", [True, False])
def test_a_cancelled_job_that_was_not_forgotten_ends_after_the_recovery(
    worker: Worker, settings: Settings, *, by_a_worker: bool
) -> None:
    """By its next step, or by another call: nothing was sent, nothing is sent, and it is free."""
    job = ordered(worker)
    worker.store.recovery.begin("failover", by="ann")
    handle = Job(id=job.id, created=False, client=Client(settings, store=worker.store, publisher=worker.publisher))
    assert handle.cancel() is CancelOutcome.UNKNOWN
    worker.store.recovery.end(by="ann", note="")
    if by_a_worker:
        worker.wake(job.id)
    else:
        assert handle.cancel() is CancelOutcome.FREE
    after = worker.job(job.id)
    assert (after.state, after.charge, worker.provider.nonces) == (JobState.CANCELLED, Charge.NOT_CHARGED, [])
    assert owner(worker) is None


def test_a_held_job_is_not_given_up_as_free_while_the_store_may_have_forgotten(
    worker: Worker, settings: Settings
) -> None:
    """A person's decision waits for the recovery, and the error says so."""
    job = place(worker.store, SITUATIONS["held, nothing sent"])
    worker.store.recovery.begin("failover", by="ann")
    handle = Job(id=job.id, created=False, client=Client(settings, store=worker.store, publisher=worker.publisher))
    with pytest.raises(StoreUnavailableError, match="sceneshift recovery"):
        handle.resolve("fail", by="ann")
    worker.store.recovery.end(by="ann", note="")
    assert handle.resolve("fail", by="ann").state is JobState.FAILED


def forgetting(worker: Worker, job: JobRecord, outcome: SubmitOutcome) -> Callable[[], SubmitOutcome]:
    """A failover during the request loses the intent; then comes this answer."""

    def submit() -> SubmitOutcome:
        worker.turn_back(job)
        return outcome

    return submit


def test_an_answer_that_meets_a_store_that_forgot_its_submission_is_the_answer(worker: Worker) -> None:
    """The store is told of the submission first: the job goes on with its key, and the ledger has one charge."""
    job = worker.accept()
    worker.provider.on_submit = forgetting(worker, job, Accepted(result_key=KEY, request_id="R"))
    worker.wake(job.id)
    after = worker.job(job.id)
    assert (after.state, after.result_key, after.submits) == (JobState.RENDERING, KEY, 1)
    assert ledger(worker) == {(Charge.CHARGED, "rendering"): 1}
    worker.keeper.look()
    assert worker.job(job.id).state is JobState.RENDERING


def test_a_spooled_key_tells_a_store_of_the_submission_that_it_forgot(worker: Worker) -> None:
    """The store went away with the intent; when a copy without it is back, the key on this disk is enough."""
    job = worker.accept()
    real = worker.store.jobs.transition

    def away(*arguments: object, **options: object) -> Change | None:
        if worker.provider.nonces:
            raise StoreUnavailableError("away")
        return real(*arguments, **options)  # type: ignore[arg-type]

    object.__setattr__(worker.store.jobs, "transition", away)
    with pytest.raises(StoreUnavailableError):
        worker.wake(job.id)
    object.__setattr__(worker.store.jobs, "transition", real)
    worker.turn_back(job)
    assert replay(worker.services) == 1
    after = worker.job(job.id)
    assert (after.state, after.charge, len(worker.provider.nonces)) == (JobState.RENDERING, Charge.CHARGED, 1)
    assert ledger(worker) == {(Charge.CHARGED, "rendering"): 1}


def test_a_spooled_key_waits_for_its_job_while_that_may_come_back(worker: Worker) -> None:
    """The store has lost the job: the key stays on disk until the merge has stored the job again."""
    job = ordered(worker)
    worker.provider.on_submit = lambda: Accepted(result_key=KEY, request_id="R")
    worker.wake(job.id)
    key = spooled(worker, job)
    worker.turn_back()
    worker.store.recovery.begin("emptied", by="ann")
    assert replay(worker.services) == 0
    assert worker.services.spool.deferred() == [key]
    worker.keeper.look()
    assert worker.job(job.id).state is JobState.NEEDS_ATTENTION
    assert replay(worker.services) == 1
    assert (worker.job(job.id).state, worker.services.spool.deferred()) == (JobState.RENDERING, [])


def spooled(worker: Worker, job: JobRecord) -> SpooledKey:
    """The job's key, as it lies on the disk of a worker that could not tell the store."""
    sent = worker.job(job.id)
    key = SpooledKey(
        job_id=job.id,
        nonce=sent.nonce,
        result_key=KEY,
        request_id="R",
        sent_at=sent.intent_at or 0.0,
        number=sent.submits,
        epoch=sent.epoch,
    )
    worker.services.spool.keep(key)
    worker.services.spool.defer(key)
    return key


def test_what_earlier_submissions_may_have_cost_is_not_forgotten(worker: Worker) -> None:
    """The first one was lost and resubmitted, the second one is forgotten and then refused: the first still counts."""
    worker.configure(unknown_outcome="resubmit(1, 50)")
    job = worker.accept()
    worker.provider.on_submit = lambda: OutcomeUnknown(reason="timeout")
    worker.wake(job.id)
    worker.clock.advance(30.0)
    refusal = Refused(error=ProviderError(kind=ErrorKind.THROTTLED, message="Throttled", http_status=429))

    def forgotten_and_merged() -> SubmitOutcome:
        worker.turn_back(job)
        worker.store.recovery.begin("failover", by="another worker")
        worker.keeper.look()
        return refusal

    worker.provider.on_submit = forgotten_and_merged
    worker.wake(job.id)
    after = worker.job(job.id)
    assert (after.charge, after.earlier_charge, after.resubmits) == (Charge.UNKNOWN, Charge.UNKNOWN, 1)


def test_a_gap_in_the_intent_log_does_not_let_a_submission_be_sent_twice(worker: Worker) -> None:
    """The first intent was never written and the second one was sent; a store without both is told of the second."""
    worker.use_log()
    job, real = worker.accept(), worker.store.jobs.transition

    def unconfirmed(record: JobRecord, event: Event, *, guard: IntentGuard | None = None) -> Change | None:
        change = real(record, event, guard=guard)
        if isinstance(event, IntentStored) and change is not None:
            raise NotOnDiskError(change)
        return change

    object.__setattr__(worker.store.jobs, "transition", unconfirmed)
    worker.wake(job.id)
    object.__setattr__(worker.store.jobs, "transition", real)
    worker.clock.advance(60.0)
    worker.wake(job.id)
    assert [name.rpartition("/")[2] for name in worker.bucket.contents] == ["002.json"]
    worker.turn_back(job)
    second = worker.newcomer()
    second.use_log()
    second.wake(job.id)
    assert (len(worker.provider.nonces), second.provider.nonces) == (1, [])
    assert second.job(job.id).state is JobState.NEEDS_ATTENTION
    assert second.store.recovery.state() is not None


def test_a_copy_of_three_days_ago_knows_what_was_paid_since(worker: Worker) -> None:
    """Nothing was unfinished in it, and its store is a month old: all days of the bucket are read nevertheless."""
    worker.use_log()
    worker.clock.advance(30 * DAY)
    job = ordered(worker)
    worker.wake(job.id)
    worker.clock.advance(3 * DAY)
    worker.turn_back()
    second = worker.newcomer()
    second.use_log()
    second.store.recovery.begin("restored a copy", by="ann")
    second.keeper.look()
    assert second.store.recovery.state() is None
    assert (second.job(job.id).state, second.job(job.id).charge) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN)
    assert owner(second) == job.id


def test_a_slow_disk_does_not_break_the_merge_off(worker: Worker) -> None:
    """A lost job that was stored again is held in the same breath, though the disk has not confirmed it."""
    worker.use_log()
    job = ordered(worker)
    worker.wake(job.id)
    worker.turn_back()
    real = worker.store.jobs.accept

    def unconfirmed(record: JobRecord, *, publish: bool) -> str:
        real(record, publish=publish)
        raise AcceptanceNotOnDiskError

    object.__setattr__(worker.store.jobs, "accept", unconfirmed)
    worker.store.recovery.begin("emptied", by="ann")
    worker.keeper.look()
    assert worker.job(job.id).state is JobState.NEEDS_ATTENTION
