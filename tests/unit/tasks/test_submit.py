"""`submit`: the intent first, one request at the most, and no answer taken for more than it says."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sceneshift.clock import ManualClock
from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.events import CancelRequested, Resolved
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.messages import StepMessage, step_message
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    Refused,
    SubmitOutcome,
)
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import open_job_store
from storage.s3 import _make_client
from tests.factories import an_order
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import RESULT_KEY
from tests.unit.tasks.workshop import Workshop
from workers.embedded.redis_server import RedisServer


def refused(kind: ErrorKind, *, retry_after_seconds: float | None = None) -> Refused:
    return Refused(
        error=ProviderError(kind=kind, message="no", request_id="REQ-9", retry_after_seconds=retry_after_seconds)
    )


def first_message(job: JobRecord) -> StepMessage:
    return step_message(subject_id=job.id, step="submit-1", sku="PERF-050", parent_step="", job_id=job.id)


def test_the_intent_is_stored_before_the_request_is_sent(work: Workshop) -> None:
    """When the provider is called, the record says so already, with the nonce and the hash of this very request."""
    job = work.accept()
    seen: list[JobRecord] = []

    def look() -> SubmitOutcome:
        seen.append(work.job(job.id))
        return Accepted(result_key=RESULT_KEY)

    work.provider.on_submit = look
    work.wake(job.id)
    (body, nonce), (record,) = work.provider.submissions[0], seen
    assert record.state is JobState.SUBMITTING
    assert record.nonce == nonce == submission_nonce(job.id, 1)
    assert record.request_hash == hashlib.sha256(body).hexdigest()[:16]
    assert (record.charge, record.submits, record.result_key) == (Charge.UNKNOWN, 1, "")


def test_the_request_is_what_was_ordered(work: Workshop) -> None:
    """Every field of the order reaches the provider as it was given."""
    order = an_order(num_output=3, seed=7, steps=20, strength=0.3, guidance_scale=9.0, negative_prompt="text")
    work.wake(work.accept(order=order).id)
    sent = json.loads(work.provider.submissions[0][0])
    assert sent == {name: getattr(order, name) for name in sent}
    assert len(sent) == 9


@pytest.mark.parametrize(
    ("outcome", "state", "charge", "reason"),
    [
        (Accepted(result_key=RESULT_KEY), JobState.RENDERING, Charge.CHARGED, None),
        (NotSent(reason="connect"), JobState.QUEUED, Charge.NOT_CHARGED, "provider_unreachable"),
        (refused(ErrorKind.THROTTLED), JobState.QUEUED, Charge.NOT_CHARGED, "provider_throttled"),
        (refused(ErrorKind.CREDITS_EXHAUSTED), JobState.QUEUED, Charge.NOT_CHARGED, "provider_credits"),
        (refused(ErrorKind.UNAUTHORIZED), JobState.QUEUED, Charge.NOT_CHARGED, "provider_authorization"),
        (refused(ErrorKind.MISCONFIGURED), JobState.QUEUED, Charge.NOT_CHARGED, "provider_configuration"),
        (refused(ErrorKind.TRANSIENT), JobState.QUEUED, Charge.NOT_CHARGED, "provider_unavailable"),
        (refused(ErrorKind.INVALID_INPUT), JobState.FAILED, Charge.NOT_CHARGED, "invalid_input"),
        (refused(ErrorKind.CONTENT_REJECTED), JobState.FAILED, Charge.NOT_CHARGED, "content_rejected"),
        (refused(ErrorKind.NONCE_USED), JobState.NEEDS_ATTENTION, Charge.UNKNOWN, "outcome_unknown"),
        (OutcomeUnknown(reason="read timeout"), JobState.NEEDS_ATTENTION, Charge.UNKNOWN, "outcome_unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Accepted | NotSent | Refused | OutcomeUnknown) else "",
)
def test_each_answer_leads_where_its_cost_says(
    work: Workshop, outcome: SubmitOutcome, state: JobState, charge: Charge, reason: str | None
) -> None:
    """Paid goes on, provably unpaid waits or fails, and what nobody can know is held; the provider was asked once."""
    job = work.accept()
    work.provider.on_submit = lambda: outcome
    report = work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.charge, report["state"]) == (state, charge, str(state))
    assert (after.error.code if after.error else after.blocked_by or None) == reason
    assert len(work.provider.submissions) == 1


def test_an_accepted_job_is_polled_by_its_due_time_alone(work: Workshop) -> None:
    """The first question is due when a result is likely, and no message is on its way before that."""
    job = work.rendering()
    assert (job.result_key, job.request_id, job.step) == (RESULT_KEY, "REQ-1", "poll-001")
    assert work.due_in(job.id) == pytest.approx(2.0, rel=0.051)
    assert work.publisher.messages == []


def test_a_request_that_was_not_sent_keeps_its_nonce(work: Workshop) -> None:
    """The same epoch is tried again later, so that the provider could recognise it after all."""
    job = work.accept()
    work.provider.on_submit = lambda: NotSent(reason="dns")
    work.wake(job.id)
    assert work.job(job.id).blocked_until == pytest.approx(work.due_at(job.id))
    assert work.due_in(job.id) == pytest.approx(2.0, rel=0.21)
    work.wake(job.id)
    assert work.due_in(job.id) == pytest.approx(4.0, rel=0.21)
    assert work.provider.nonces == [submission_nonce(job.id, 1)] * 2
    assert work.job(job.id).epoch == 1


def test_a_throttled_request_gets_a_new_nonce(work: Workshop) -> None:
    """The gateway has seen the old one; and the wait is at least as long as it asked for."""
    job = work.accept()
    work.provider.on_submit = lambda: refused(ErrorKind.THROTTLED, retry_after_seconds=45.0)
    work.wake(job.id)
    assert work.due_in(job.id) == pytest.approx(45.0)
    work.wake(job.id)
    assert work.provider.nonces == [submission_nonce(job.id, epoch) for epoch in (1, 2)]


def test_a_worker_that_dies_while_it_sends_leaves_a_question_for_a_person(work: Workshop) -> None:
    """The step that is brought back sends nothing again: it says that the job may have been charged."""
    job = work.accept()

    def die() -> SubmitOutcome:
        raise KilledError

    work.provider.on_submit = die
    with pytest.raises(KilledError):
        work.wake(job.id)
    assert work.job(job.id).state is JobState.SUBMITTING
    assert [report["code"] for report in work.bring_back()] == ["outcome_unknown"]
    held = work.job(job.id)
    assert (held.state, held.charge, work.due_at(job.id)) == (JobState.NEEDS_ATTENTION, Charge.UNKNOWN, math.inf)
    assert [message.task for message in work.publisher.messages] == ["sceneshift.notify"]
    assert work.delivery(job.id).type == "job.needs_attention"
    assert len(work.provider.submissions) == 1


def test_an_answer_that_comes_after_its_worker_was_given_up_is_taken(work: Workshop) -> None:
    """The job was handed to a person meanwhile; the key that was paid for is stored and the job goes on."""
    job = work.accept()

    def answer_late() -> SubmitOutcome:
        work.bring_back()
        assert work.job(job.id).state is JobState.NEEDS_ATTENTION
        return Accepted(result_key=RESULT_KEY)

    work.provider.on_submit = answer_late
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.result_key, after.charge) == (JobState.RENDERING, RESULT_KEY, Charge.CHARGED)
    assert (after.error, after.blocked_by) == (None, "")
    assert work.due_in(job.id) < 10.0


def test_a_late_refusal_brings_a_held_job_back(work: Workshop) -> None:
    """The worker lives after all and knows that nothing was charged: the job waits for its turn again, by itself."""
    job = work.accept()

    def refuse_late() -> SubmitOutcome:
        work.bring_back()
        assert work.job(job.id).state is JobState.NEEDS_ATTENTION
        return refused(ErrorKind.THROTTLED)

    work.provider.on_submit = refuse_late
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.charge, after.error) == (JobState.QUEUED, Charge.NOT_CHARGED, None)
    assert (after.blocked_by, after.epoch) == ("provider_throttled", 2)
    assert 0 < work.due_in(job.id) < 10.0
    work.provider.on_submit = lambda: Accepted(result_key=RESULT_KEY)
    work.wake(job.id)
    assert work.provider.nonces == [submission_nonce(job.id, epoch) for epoch in (1, 2)]


def test_a_late_answer_that_says_nothing_leaves_a_held_job_held(work: Workshop) -> None:
    """Two workers that know nothing know no more than one: there is one webhook, and the job stays with a person."""
    job = work.accept()

    def time_out_late() -> SubmitOutcome:
        work.bring_back()
        return OutcomeUnknown(reason="read timeout")

    work.provider.on_submit = time_out_late
    assert work.wake(job.id) == {"skipped": "stale"}
    assert (work.job(job.id).state, work.job(job.id).sequence) == (JobState.NEEDS_ATTENTION, 1)


def test_an_acceptance_that_nobody_waits_for_is_shouted(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """A person had the job sent again before the answer came: the job keeps its course, and the key is in the log."""
    job = work.accept()

    def answer_too_late() -> SubmitOutcome:
        work.bring_back()
        work.store.jobs.transition(work.job(job.id), Resolved(action="resubmit", by="a person"))
        return Accepted(result_key=RESULT_KEY)

    work.provider.on_submit = answer_too_late
    with caplog.at_level(logging.ERROR):
        work.wake(job.id)
    assert (work.job(job.id).state, work.job(job.id).result_key) == (JobState.QUEUED, "")
    (record,) = [record for record in caplog.records if record.msg == "submission.unclaimed"]
    assert record.__dict__["result_key"] == RESULT_KEY


@pytest.mark.parametrize(("keep", "state"), [(False, JobState.CANCELLED), (True, JobState.RENDERING)])
def test_a_job_that_is_cancelled_while_it_is_sent(work: Workshop, *, keep: bool, state: JobState) -> None:
    """Once accepted it is paid for: it ends as charged, or goes on for its result, as its owner asked."""
    job = work.accept()

    def cancel() -> SubmitOutcome:
        work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=keep))
        return Accepted(result_key=RESULT_KEY)

    work.provider.on_submit = cancel
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.charge, after.result_key) == (state, Charge.CHARGED, RESULT_KEY)


def test_a_job_that_is_cancelled_before_the_intent_is_not_sent(work: Workshop) -> None:
    """The cancellation wins while nothing has been sent, and is free."""
    job = work.accept()

    def cancel() -> None:
        work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=False))

    work.provider.on_body = cancel
    assert work.wake(job.id) == {"skipped": "stale"}
    assert (work.job(job.id).state, work.job(job.id).charge) == (JobState.CANCELLED, Charge.NOT_CHARGED)
    assert work.provider.submissions == []


def test_one_of_eight_messages_sends_the_request(
    redis_server: RedisServer, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight workers that get a copy of the same message at the same moment call the provider once between them."""
    monkeypatch.setattr("tasks.services._services", None)
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    work = Workshop(open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock), settings, clock)
    for _ in range(10):
        job, barrier = work.accept(), threading.Barrier(8)
        message = first_message(job)

        def deliver(barrier: threading.Barrier = barrier, message: StepMessage = message) -> str:
            barrier.wait(timeout=30)
            report = work.run(message)
            return str(report.get("skipped") or report["state"])

        with ThreadPoolExecutor(8) as pool:
            reports = Counter(future.result() for future in [pool.submit(deliver) for _ in range(8)])
        assert reports["rendering"] == 1
        assert set(reports) <= {"rendering", "held", "stale"}
    client.close()
    assert len(work.provider.submissions) == len(set(work.provider.nonces)) == 10


def test_a_message_that_arrives_again_hours_later_does_nothing(work: Workshop) -> None:
    """Its step has passed, whatever the job does now; and a job that nobody knows is no error."""
    job = work.rendering()
    work.clock.advance(7200.0)
    assert work.run(first_message(job)) == {"skipped": "stale"}
    strange = step_message(subject_id="job_0", step="submit-1", sku="", parent_step="", job_id="job_0")
    assert work.run(strange) == {"skipped": "missing"}
    assert len(work.provider.submissions) == 1


def test_a_job_that_kills_three_workers_is_left_to_a_person(work: Workshop) -> None:
    """The fourth worker does not try: nothing was sent, nothing was charged, and the webhook says `poison`."""
    job = work.accept()

    def die() -> None:
        raise KilledError

    work.provider.on_body = die
    with pytest.raises(KilledError):
        work.wake(job.id)
    for _ in range(2):
        with pytest.raises(KilledError):
            work.bring_back()
        assert work.job(job.id).state is JobState.QUEUED
    assert work.bring_back() == [{"skipped": "poison"}]
    held = work.job(job.id)
    assert held.error is not None
    assert (held.state, held.error.code, held.charge) == (JobState.NEEDS_ATTENTION, "poison", Charge.NOT_CHARGED)
    assert work.delivery(job.id).type == "job.needs_attention"
    assert work.provider.submissions == []


def test_an_s3_source_without_an_s3_store_fails_and_costs_nothing(work: Workshop) -> None:
    """There is nothing to sign it with, and no later try can mend that."""
    job = work.accept(order=an_order(image="s3://products/perfume.jpg"))
    work.wake(job.id)
    after = work.job(job.id)
    assert after.error is not None
    assert (after.state, after.error.code, after.charge) == (JobState.FAILED, "configuration", Charge.NOT_CHARGED)
    assert (work.provider.submissions, work.delivery(job.id).type) == ([], "job.failed")


@pytest.fixture
def s3_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings that name a bucket, on a machine without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = "s3://shots?endpoint_url=http://127.0.0.1:1&region=eu-central-1"
    # A client keeps the credentials that it was made with.
    _make_client.cache_clear()
    yield settings.model_copy(update={"storage_url": url})
    _make_client.cache_clear()


def test_a_store_that_cannot_sign_now_delays_the_job(
    work: Workshop, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job says what it waits for; once there are credentials it goes on, same nonce, with a presigned source."""
    work.use(settings=s3_settings)
    job = work.accept(order=an_order(image="s3://products/perfume.jpg"))
    work.wake(job.id)
    waiting = work.job(job.id)
    assert (waiting.state, waiting.blocked_by, waiting.epoch) == (JobState.QUEUED, "storage_refused", 1)
    assert 0 < work.due_in(job.id) < 3.0
    assert (work.web.peeks, waiting.strikes) == ([], 0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    _make_client.cache_clear()
    work.wake(job.id)
    assert work.job(job.id).state is JobState.RENDERING
    (body, nonce) = work.provider.submissions[0]
    assert json.loads(body)["image"].startswith("http://127.0.0.1:1/products/perfume.jpg?X-Amz-")
    assert nonce == submission_nonce(job.id, 1)
    assert work.web.peeks == [json.loads(body)["image"], json.loads(body)["mask"]]


def test_a_job_that_cannot_be_signed_for_long_is_tried_less_and_less_often(
    work: Workshop, s3_settings: Settings
) -> None:
    """Missing credentials are no reason to look every two seconds for a day."""
    work.use(settings=s3_settings)
    job = work.accept(order=an_order(image="s3://products/perfume.jpg"))
    for _ in range(8):
        work.wake(job.id)
    assert work.due_in(job.id) > 60.0
