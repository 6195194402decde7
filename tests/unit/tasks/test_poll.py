"""`poll`: one question, then a new due time; nothing that a question runs into fails a job before its time."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from sceneshift.jobs.events import CancelRequested
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.messages import step_message
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    Pending,
    ProviderError,
    QueryFailed,
    QueryOutcome,
    RenderFailed,
    Succeeded,
)
from sceneshift.store.connection import NOTES, connect
from sceneshift.store.latencies import Latencies
from sceneshift.store.permits import Limits, Permits
from tasks.poll import poll
from tests.factories import an_order
from tests.unit.tasks.ports import RESULT_KEY, result_urls
from tests.unit.tasks.workshop import Workshop
from workers.embedded.processes import free_port

RUNNING = Pending(provider_status="RUNNING")


def error_of(kind: ErrorKind, *, retry_after_seconds: float | None = None) -> ProviderError:
    return ProviderError(kind=kind, message="no", request_id="REQ-9", retry_after_seconds=retry_after_seconds)


def ask(work: Workshop, job: JobRecord, outcome: QueryOutcome) -> JobRecord:
    """The job after the provider gave this answer to its current poll."""
    work.provider.on_query = lambda _key: outcome
    work.wake(job.id)
    return work.job(job.id)


def accepted_job(work: Workshop, **values: Any) -> JobRecord:
    """A job that the provider has just accepted under a key that no other job has."""
    key = f"key-{len(work.provider.submissions)}"
    work.provider.on_submit = lambda: Accepted(result_key=key, request_id=None)
    return work.rendering(**values)


@pytest.fixture
def job(work: Workshop) -> JobRecord:
    """A job that the provider has just accepted."""
    return work.rendering()


def test_an_unfinished_job_moves_its_own_due_time(work: Workshop, job: JobRecord) -> None:
    """Nothing else is left behind: no message, no webhook, no line in the timeline; only the count of polls."""
    lines = work.store.timeline.read(job.id)
    after = ask(work, job, RUNNING)
    assert (after.state, after.step, after.polls) == (JobState.RENDERING, "poll-002", 1)
    assert work.due_in(job.id) == pytest.approx(0.1, rel=0.06)
    assert work.provider.questions == [RESULT_KEY]
    assert (work.publisher.messages, after.sequence, work.store.timeline.read(job.id)) == ([], 0, lines)


def test_the_pauses_between_polls_grow_to_their_limit(work: Workshop, job: JobRecord) -> None:
    """A job that takes long is asked about less often, and never less often than the longest pause says."""
    work.use(policy=replace(work.services.policy, poll_max_seconds=15.0))
    pauses = []
    for _ in range(20):
        work.clock.advance(work.due_in(job.id))
        ask(work, job, RUNNING)
        pauses.append(work.due_in(job.id))
    assert pauses[0] < 1.0
    assert sorted(pauses[:10]) == pauses[:10]
    assert max(pauses) == pytest.approx(15.0, rel=0.051)


def finish_after(work: Workshop, seconds: float, **values: Any) -> JobRecord:
    """A job that the provider accepted, and was done with after so long; it was asked about when that was due."""
    job = accepted_job(work, **values)
    submitted_at = job.submitted_at or 0.0
    while job.state is JobState.RENDERING:
        work.clock.advance(max(0.0, work.due_in(job.id)))
        done = work.clock.now() - submitted_at >= seconds
        job = ask(work, job, Succeeded(urls=result_urls(2)) if done else RUNNING)
    return job


def test_what_jobs_took_says_when_the_next_are_asked_about(work: Workshop) -> None:
    """After ten jobs of two minutes the first question waits for a minute and more; other orders know nothing of it."""
    for _ in range(10):
        finish_after(work, 120.0)
    work.clock.advance(5.0)
    latency = work.store.latencies.expected(50, 2)
    assert latency is not None
    assert latency.median_seconds == pytest.approx(120.0, rel=0.15)
    assert latency.soonest_seconds > 40.0
    for outputs, first_seconds, pause_seconds in ((2, latency.soonest_seconds, 9.78), (1, 2.0, 25.0)):
        job = accepted_job(work, order=an_order(num_output=outputs))
        assert work.due_in(job.id) == pytest.approx(first_seconds, rel=0.051)
        work.clock.advance(100.0)
        ask(work, job, RUNNING)
        assert work.due_in(job.id) == pytest.approx(pause_seconds, rel=0.051)


@pytest.mark.parametrize(
    "outcome",
    [
        RUNNING,
        Succeeded(urls=()),
        RenderFailed(error=error_of(ErrorKind.CONTENT_REJECTED)),
        QueryFailed(error=error_of(ErrorKind.TRANSIENT)),
    ],
)
def test_only_a_result_teaches_what_jobs_take(work: Workshop, job: JobRecord, outcome: QueryOutcome) -> None:
    """A failure may be quick, and an empty result says nothing."""
    work.clock.advance(30.0)
    ask(work, job, outcome)
    assert work.store.latencies.expected(50, 2) is None


def test_a_result_for_a_job_that_was_given_up_teaches_nothing(work: Workshop, job: JobRecord) -> None:
    """The question was on its way when its owner cancelled the job: its answer belongs to the past."""
    work.clock.advance(30.0)

    def cancel_and_answer(_key: str) -> QueryOutcome:
        assert work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=False)) is not None
        return Succeeded(urls=result_urls(2))

    work.provider.on_query = cancel_and_answer
    work.wake(job.id)
    assert work.job(job.id).state is JobState.CANCELLED
    assert work.store.latencies.expected(50, 2) is None


def test_a_lesson_that_cannot_be_stored_delays_nothing(
    work: Workshop, job: JobRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """The job store hung for a moment: the job goes on, and the log says what was not learned."""
    with closing(connect(f"redis://127.0.0.1:{free_port()}/0", NOTES)) as away:
        work.use(store=replace(work.store, latencies=Latencies(away, work.store.keys, work.clock)))
        work.clock.advance(30.0)
        assert ask(work, job, Succeeded(urls=result_urls(2))).state is JobState.STORING
    messages = [record.message for record in caplog.records if record.message.startswith("latency.")]
    assert messages == ["latency.not_read", "latency.not_learned"]


def test_the_gates_hear_of_every_answer(work: Workshop, job: JobRecord) -> None:
    """A provider that throttles questions lowers the rate of all workers."""
    store = work.store
    limited = Permits(store.client, store.keys, store.clock, Limits(query_rate=8.0))
    work.use(store=replace(store, permits=limited))
    ask(work, job, QueryFailed(error=error_of(ErrorKind.THROTTLED)))
    assert store.client.exists(store.keys.pace("query"))


def test_a_finished_job_goes_on_at_once(work: Workshop, job: JobRecord) -> None:
    """Its addresses are stored, and the message that copies them is on its way as a child of this poll."""
    after = ask(work, job, Succeeded(urls=result_urls(2)))
    assert (after.state, after.step, after.urls) == (JobState.STORING, "finalize-1", result_urls(2))
    (message,) = work.publisher.messages
    assert (message.task_id, message.parent_id) == (f"{job.id}:finalize-1", f"{job.id}:poll-001")
    assert work.due_in(job.id) == pytest.approx(work.store.due.lease_seconds)


def test_a_job_that_the_provider_gave_up_fails_as_paid(work: Workshop, job: JobRecord) -> None:
    """The provider's own verdict ends it, with the verdict's code, the charge, and a webhook."""
    after = ask(work, job, RenderFailed(error=error_of(ErrorKind.CONTENT_REJECTED)))
    assert after.error is not None
    assert (after.state, after.error.code, after.charge) == (JobState.FAILED, "content_rejected", Charge.CHARGED)
    assert (work.delivery(job.id).type, work.due_at(job.id)) == ("job.failed", None)


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.TRANSIENT,
        ErrorKind.THROTTLED,
        ErrorKind.CREDITS_EXHAUSTED,
        ErrorKind.UNAUTHORIZED,
        ErrorKind.MISCONFIGURED,
        ErrorKind.INVALID_INPUT,
        ErrorKind.NONCE_USED,
        ErrorKind.NO_RECORD,
    ],
)
def test_a_question_that_fails_does_not_fail_the_job(work: Workshop, job: JobRecord, kind: ErrorKind) -> None:
    """However often it happens in the first minutes, the job is asked about again."""
    for _ in range(5):
        after = ask(work, job, QueryFailed(error=error_of(kind)))
        assert after.state is JobState.RENDERING
        assert 0 < work.due_in(job.id) < 20.0
    assert work.publisher.messages == []


def test_a_provider_that_asks_for_patience_gets_it(work: Workshop, job: JobRecord) -> None:
    """The next question comes no earlier than it said."""
    ask(work, job, QueryFailed(error=error_of(ErrorKind.THROTTLED, retry_after_seconds=90.0)))
    assert work.due_in(job.id) == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("outcome", "code", "age_seconds"),
    [
        (Succeeded(urls=()), "empty_result", 1.0),
        (QueryFailed(error=error_of(ErrorKind.NO_RECORD)), "result_lost", 301.0),
        (QueryFailed(error=error_of(ErrorKind.EXECUTION_FAILED)), "execution_failed", 1.0),
    ],
)
def test_a_lost_or_empty_result_is_believed_when_it_is_repeated(
    work: Workshop, job: JobRecord, outcome: QueryOutcome, code: str, age_seconds: float
) -> None:
    """A few may be an accident, so they are asked about for half an hour; an ordinary answer starts the count anew."""
    work.clock.advance(age_seconds)
    waited = 0.0
    for answer in (*[outcome] * 5, RUNNING, *[outcome] * 5):
        assert ask(work, job, answer).state is JobState.RENDERING
        waited = 0.0 if answer is RUNNING else waited + work.due_in(job.id)
    assert waited > 1800.0
    after = ask(work, job, outcome)
    assert after.error is not None
    assert (after.state, after.error.code, after.charge) == (JobState.FAILED, code, Charge.CHARGED)


def test_an_overdue_job_says_so_once_and_goes_on(work: Workshop, job: JobRecord) -> None:
    """Past its deadline there is one webhook, and the slow questions go on, for it is paid."""
    work.clock.advance(1801.0)
    for _ in range(3):
        after = ask(work, job, RUNNING)
        assert (after.state, after.overdue) == (JobState.RENDERING, True)
        assert work.due_in(job.id) == pytest.approx(600.0, rel=0.21)
    assert [message.task for message in work.publisher.messages] == ["sceneshift.notify"]
    assert [delivery.type for delivery in work.store.deliveries.of_job(after)] == ["job.overdue"]
    assert ask(work, job, Succeeded(urls=result_urls(2))).state is JobState.STORING


@pytest.mark.parametrize("outcome", [RUNNING, QueryFailed(error=error_of(ErrorKind.TRANSIENT))])
def test_a_job_is_given_up_when_the_provider_keeps_it_no_longer(
    work: Workshop, job: JobRecord, outcome: QueryOutcome
) -> None:
    """Not a moment before its retention ends; then it has failed, as charged."""
    work.clock.advance(86_399.0)
    assert ask(work, job, outcome).state is JobState.RENDERING
    work.clock.advance(2.0)
    after = ask(work, job, outcome)
    assert after.error is not None
    assert (after.state, after.error.code) == (JobState.FAILED, "abandoned_by_provider")
    assert work.due_at(job.id) is None


def test_a_result_that_comes_after_the_retention_is_still_taken(work: Workshop, job: JobRecord) -> None:
    """As long as the provider says SUCCESS, what is paid for is collected."""
    work.clock.advance(90_000.0)
    assert ask(work, job, Succeeded(urls=result_urls(2))).state is JobState.STORING


def test_a_stale_or_duplicate_poll_asks_nothing(work: Workshop, job: JobRecord) -> None:
    """A message is good for one question; when its step has passed, for none."""
    message = step_message(subject_id=job.id, step="poll-001", sku="", parent_step="submit-1", job_id=job.id)
    reports: list[dict[str, object]] = []

    def answer_and_deliver_again(_key: str) -> QueryOutcome:
        reports.append(work.run(message))
        return RUNNING

    work.provider.on_query = answer_and_deliver_again
    work.wake(job.id)
    reports.append(work.run(message))
    assert reports == [{"skipped": "held"}, {"skipped": "stale"}]
    assert len(work.provider.questions) == 1


def batch(work: Workshop, count: int) -> dict[str, Any]:
    """The arguments of one message about so many jobs that are due, each with a result key of its own."""
    for _ in range(count):
        accepted_job(work, order=an_order(webhook_url=None))
    work.clock.advance(5.0)
    ready = work.store.due.hand_out(work.store.due.claim(count))
    return {"job_ids": [step.subject_id for step in ready], "steps": [step.step for step in ready]}


def test_one_message_asks_about_fifty_jobs(work: Workshop) -> None:
    """Each is asked about once, several at a time, and the report counts what came of them."""
    arguments = batch(work, 50)
    answers: dict[str, QueryOutcome] = {f"key-{number}": Succeeded(urls=result_urls(1)) for number in range(7)}
    answers["key-7"] = RenderFailed(error=error_of(ErrorKind.EXECUTION_FAILED))
    threads = set()

    def answer(key: str) -> QueryOutcome:
        threads.add(threading.current_thread().name)
        return answers.get(key, RUNNING)

    work.provider.on_query = answer
    assert poll(**arguments) == {"storing": 7, "failed": 1, "rendering": 42}
    assert Counter(work.provider.questions) == Counter(f"key-{number}" for number in range(50))
    assert 1 < len(threads) <= 16
    counts = work.store.jobs.counts()
    assert (counts[JobState.STORING], counts[JobState.FAILED], counts[JobState.RENDERING]) == (7, 1, 42)


def test_a_batch_leaves_out_what_has_passed(work: Workshop) -> None:
    """Stale and unknown jobs are counted as skipped, and the others are asked about."""
    arguments = batch(work, 3)
    arguments["steps"][0] = "poll-000"
    arguments["job_ids"][1] = "job_0"
    work.provider.on_query = lambda _key: RUNNING
    assert poll(**arguments) == {"skipped": 2, "rendering": 1}


def test_one_job_that_cannot_be_asked_about_does_not_stop_the_others(work: Workshop) -> None:
    """Whatever goes wrong with one of a batch, each of the others is asked about and moves on."""
    arguments = batch(work, 50)

    def answer(key: str) -> QueryOutcome:
        if key == "key-0":
            raise RuntimeError("something that nobody foresaw")
        return RUNNING

    work.provider.on_query = answer
    report = poll(**arguments)
    assert report["rendering"] == 49
    assert len(set(work.provider.questions)) == 50


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_batch_has_as_many_questions_at_once_as_the_settings_allow(work: Workshop, concurrency: int) -> None:
    """No more threads ask than `poll_concurrency` says, and they do so at the same time."""
    work.use(settings=work.services.settings.model_copy(update={"poll_concurrency": concurrency}))
    arguments = batch(work, 4 * concurrency)
    together = threading.Barrier(concurrency)
    threads = set()

    def answer(_key: str) -> QueryOutcome:
        threads.add(threading.current_thread().name)
        together.wait(20.0)
        return RUNNING

    work.provider.on_query = answer
    assert poll(**arguments) == {"rendering": 4 * concurrency}
    assert len(threads) == concurrency
