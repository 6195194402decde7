"""The intent log in the bucket: each submission is written down once, before it is sent."""

from __future__ import annotations

import json

import pytest

from sceneshift.jobs.events import IntentStored
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import SubmitOutcome
from sceneshift.settings import Settings
from storage.objects import StorageRefusedError, StorageUnavailableError
from tasks.intents import (
    IntentNotWrittenError,
    IntentTakenError,
    day_of,
    intent_name,
    intents_of,
    read_intent,
    write_intent,
)
from tests.factories import NOW
from tests.unit.tasks.workshop import Workshop


@pytest.fixture
def logging_work(work: Workshop, settings: Settings) -> Workshop:
    """A deployment whose intents are written to its bucket too."""
    work.use(settings=settings.model_copy(update={"intent_log": "storage"}))
    return work


def submitting(work: Workshop) -> JobRecord:
    job = work.accept()
    change = work.store.jobs.transition(job, IntentStored(nonce="n-1", request_hash="ab" * 32))
    assert change is not None
    return change.after


def test_an_intent_is_in_the_bucket_before_the_request_is_sent(logging_work: Workshop) -> None:
    """Everything that is needed to hold the job, or to store it again, stands under a name of the job's own."""
    work = logging_work
    job = work.accept()
    seen: list[str] = []
    accept = work.provider.on_submit

    def submit() -> SubmitOutcome:
        seen.extend(work.bucket.contents)
        return accept()

    work.provider.on_submit = submit
    work.wake(job.id)
    assert seen == [f"intents/2026/11/23/{job.id}/001.json"]
    intent = read_intent(work.bucket, job.id, 1)
    sent = work.job(job.id)
    assert (intent.job_id, intent.number, intent.epoch, intent.nonce) == (job.id, 1, 1, sent.nonce)
    assert (intent.at, intent.order, intent.request_hash) == (NOW, job.order, sent.request_hash)
    assert intent.lost_job() == job


def test_without_the_setting_the_bucket_gets_nothing(work: Workshop) -> None:
    """The intent log is the job store's alone unless somebody asked for more."""
    job = work.accept()
    work.wake(job.id)
    assert work.job(job.id).state is JobState.RENDERING
    assert work.bucket.contents == {}


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), StorageRefusedError("no")])
def test_nothing_is_sent_while_the_bucket_takes_no_intent(
    logging_work: Workshop, error: StorageUnavailableError | StorageRefusedError
) -> None:
    """The job says what it waits for, and is submitted once when the bucket is back."""
    work = logging_work

    def fail(operation: str, _key: str) -> None:
        if operation == "put":
            raise error

    work.bucket.before = fail
    job = work.accept()
    work.wake(job.id)
    waiting = work.job(job.id)
    assert (waiting.state, waiting.blocked_by) == (JobState.QUEUED, "intent_log")
    assert work.provider.nonces == []
    work.bucket.before = lambda _operation, _key: None
    work.wake(job.id)
    assert work.job(job.id).state is JobState.RENDERING
    assert len(work.provider.nonces) == 1


def test_a_failing_bucket_and_a_taken_intent_are_told_apart(logging_work: Workshop) -> None:
    """The first may work later; the second may be on its way already."""
    job = submitting(logging_work)
    logging_work.bucket.before = lambda _operation, _key: (_ for _ in ()).throw(StorageUnavailableError("away"))
    with pytest.raises(IntentNotWrittenError, match="away"):
        write_intent(logging_work.services, job)
    logging_work.bucket.before = lambda _operation, _key: None
    write_intent(logging_work.services, job)
    with pytest.raises(IntentTakenError, match=f"submission 1 of {job.id}"):
        write_intent(logging_work.services, job)


def test_a_put_that_was_repeated_is_not_taken_for_another_s(logging_work: Workshop) -> None:
    """Its answer was lost, so the client sent it again, and the bucket said that the name is taken."""
    job, put = submitting(logging_work), logging_work.bucket.put

    def twice(*args: object, **options: object) -> bool:
        assert put(*args, **options)  # type: ignore[arg-type]  # passed on as it came
        return put(*args, **options)  # type: ignore[arg-type]

    logging_work.bucket.put = twice  # type: ignore[method-assign]
    write_intent(logging_work.services, job)
    assert logging_work.store.recovery.state() is None


def test_something_else_under_the_name_is_not_overlooked(logging_work: Workshop) -> None:
    """What cannot be read proves nothing: nothing is sent."""
    job = submitting(logging_work)
    write_intent(logging_work.services, job)
    name = intent_name(job.id, 1)
    _, info = logging_work.bucket.objects[name]
    logging_work.bucket.objects[name] = (b"\xff", info)
    with pytest.raises(IntentNotWrittenError):
        write_intent(logging_work.services, job)


def test_the_latest_number_of_each_job_counts(work: Workshop) -> None:
    """Other objects under the day's name are none of our business."""
    job = submitting(work)
    job_id = job.id
    for number in (1, 2, 10):
        write_intent(work.services, job.evolve(submits=number))
    content, info = work.bucket.objects[intent_name(job_id, 1)]
    work.bucket.objects["intents/2026/11/23/notes.txt"] = (content, info)
    assert intents_of(work.bucket, day_of(work.clock.now())) == {job_id: 10}
    assert json.loads(work.bucket.contents[intent_name(job_id, 10)])["number"] == 10
