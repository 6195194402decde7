"""`poll`: one question, then a new due time; nothing that a question runs into fails a job before its time."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.messages import step_message
from sceneshift.provider.protocol import (
    ErrorKind,
    Pending,
    ProviderError,
    QueryFailed,
    QueryOutcome,
    RenderFailed,
    Succeeded,
)
from tasks.poll import poll
from tests.factories import an_order
from tests.unit.tasks.ports import RESULT_KEY, result_urls
from tests.unit.tasks.workshop import Workshop

RUNNING = Pending(provider_status="RUNNING")


def error_of(kind: ErrorKind, *, retry_after_seconds: float | None = None) -> ProviderError:
    return ProviderError(kind=kind, message="no", request_id="REQ-9", retry_after_seconds=retry_after_seconds)


def ask(work: Workshop, job: JobRecord, outcome: QueryOutcome) -> JobRecord:
    """The job after the provider gave this answer to its current poll."""
    work.provider.on_query = lambda _key: outcome
    work.wake(job.id)
    return work.job(job.id)


@pytest.fixture
def job(work: Workshop) -> JobRecord:
    """A job that the provider has just accepted."""
    return work.rendering()


def test_an_unfinished_job_moves_its_own_due_time(work: Workshop, job: JobRecord) -> None:
    """Nothing else is left behind: no message, no webhook, no line in the timeline; only the count of polls."""
    lines = work.store.timeline.read(job.id)
    after = ask(work, job, RUNNING)
    assert (after.state, after.step, after.polls) == (JobState.RENDERING, "poll-002", 1)
    assert work.due_in(job.id) == pytest.approx(4.0, rel=0.21)
    assert work.provider.questions == [RESULT_KEY]
    assert (work.publisher.messages, after.sequence, work.store.timeline.read(job.id)) == ([], 0, lines)


def test_the_pauses_between_polls_grow_to_their_limit(work: Workshop, job: JobRecord) -> None:
    """A job that takes long is asked about less often, and never less often than the longest pause says."""
    pauses = []
    for _ in range(12):
        ask(work, job, RUNNING)
        pauses.append(work.due_in(job.id))
    assert pauses[-1] > 2 * pauses[0]
    assert max(pauses) <= 15.0 * 1.2 + 0.001


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
    jobs = [work.rendering(order=an_order(webhook_url=None)) for _ in range(count)]
    for number, job in enumerate(jobs):
        work.store.client.hset(work.store.keys.job(job.id), "result_key", f"key-{number}")
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
