"""The handle that a caller holds: looking, waiting, following and cancelling, none of which moves the job along."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from sceneshift import (
    CancelOutcome,
    Charge,
    InvalidRequestError,
    Job,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
    JobResult,
    JobState,
    JobTimeoutError,
    StoreUnavailableError,
)
from sceneshift import handle as handle_module
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.handle import Timings
from sceneshift.jobs.events import ResolveAction
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings
from sceneshift.store import timeline
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job, an_order, an_output
from tests.unit.jobs.situations import EVENTS, FAULT, LATE_KEY, MISSING, NONCE, RESULT_KEY, SITUATIONS
from tests.unit.store.inspection import everything, place
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port

PATIENCE_SECONDS = 20.0


@pytest.fixture
def publisher() -> RecordingPublisher:
    """A broker that takes everything."""
    return RecordingPublisher()


@pytest.fixture
def client(store: Store, settings: Settings, publisher: RecordingPublisher) -> Client:
    """A caller's client on a private store."""
    return Client(settings, store=store, publisher=publisher)


def handle(client: Client, record: JobRecord) -> Job:
    """A handle of the job, which is placed in the store as it is."""
    place(client.store, record)
    return Job(id=record.id, created=False, client=client)


@contextmanager
def in_thread(call: Callable[[queue.Queue[Any]], None]) -> Iterator[queue.Queue[Any]]:
    """The call runs beside the test and tells what it finds; it has ended when the context has."""
    told: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=call, args=(told,))
    thread.start()
    yield told
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_a_snapshot_is_the_record_at_one_moment(client: Client) -> None:
    """Everything that a caller may see, with None where the record is empty."""
    record = SITUATIONS["storing, one stored"]
    seen = handle(client, record).snapshot()
    assert (seen.id, seen.state, seen.sku, seen.requested) == (record.id, JobState.STORING, "PERF-050", 2)
    assert (seen.charge, seen.submits, seen.polls, seen.result_key) == (Charge.CHARGED, 1, 3, record.result_key)
    assert (seen.outputs, seen.missing, seen.error, seen.blocked_by) == ((an_output(0),), (), None, None)
    assert seen.nonce == NONCE
    assert seen.timings == Timings(queued_seconds=-60.0, render_seconds=55.0)


def test_timings_are_the_parts_of_the_whole(client: Client) -> None:
    """Queueing, rendering and storing add up to the total of a finished job."""
    record = a_job(
        state=JobState.SUCCEEDED, step="done-5", submitted_at=NOW + 1.0, rendered_at=NOW + 11.5, finished_at=NOW + 13.0
    )
    assert handle(client, record).snapshot().timings == Timings(
        queued_seconds=1.0, render_seconds=10.5, store_seconds=1.5, total_seconds=13.0
    )


@pytest.mark.parametrize("state", JobState)
def test_a_job_is_done_when_it_is_final(client: Client, state: JobState) -> None:
    """And in no other state."""
    assert handle(client, a_job(state=state)).done() is state.is_final


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.PARTIAL])
def test_a_result_has_the_images_and_what_is_missing(client: Client, state: JobState) -> None:
    """A partial job is a result too: it says which images could not be had."""
    record = SITUATIONS[str(state)].evolve(outputs=(an_output(0),), missing=(MISSING,))
    job = handle(client, record)
    result = job.result(timeout=0)
    assert isinstance(result, JobResult)
    assert (result.job_id, result.state, result.requested, result.outputs, result.missing) == (
        record.id, state, 2, (an_output(0),), (MISSING,),
    )  # fmt: skip
    assert job.exception(timeout=0) is None


def test_a_failed_job_raises_its_reason(client: Client) -> None:
    """Code, charge and the provider's request id are on the error, and `exception` returns the same one."""
    job = handle(client, SITUATIONS["failed"].evolve(error=FAULT))
    with pytest.raises(JobFailedError) as raised:
        job.result()
    error = raised.value
    assert (error.reason, error.charged, error.request_id, error.job_id) == (
        "content_rejected", "charged", "REQ-2", job.id,
    )  # fmt: skip
    returned = job.exception()
    assert isinstance(returned, JobFailedError)
    assert vars(returned) == vars(error)


def test_a_cancelled_job_raises_that_it_was_cancelled(client: Client) -> None:
    """With what it cost."""
    with pytest.raises(JobCancelledError) as raised:
        handle(client, SITUATIONS["cancelled"]).result()
    assert (raised.value.reason, raised.value.charged) == ("cancelled", "charged")


@pytest.mark.parametrize("wait", [Job.result, Job.exception, lambda job, timeout: list(job.events(timeout=timeout))])
def test_a_waiter_s_patience_is_not_the_job_s(client: Client, wait: Callable[..., Any]) -> None:
    """When the time is over the waiter hears so, and the job and its due time are as they were."""
    job = handle(client, SITUATIONS["rendering"])
    before = everything(client.store.client)
    with pytest.raises(JobTimeoutError, match="was not cancelled") as raised:
        wait(job, timeout=0.02)
    assert (raised.value.job_id, raised.value.timeout_seconds) == (job.id, 0.02)
    assert everything(client.store.client) == before


@pytest.mark.parametrize("call", [Job.snapshot, Job.done, Job.result, Job.cancel, lambda job: list(job.events())])
def test_a_job_whose_retention_has_ended_is_not_found(client: Client, call: Callable[[Job], Any]) -> None:
    """Every call says so, instead of waiting for what will not come."""
    with pytest.raises(JobNotFoundError):
        call(Job(id=a_job().id, created=False, client=client))


def test_a_job_that_has_sent_nothing_has_no_nonce(client: Client) -> None:
    """The provider's support is asked about a nonce only when there is one."""
    assert handle(client, SITUATIONS["queued"]).snapshot().nonce is None


@pytest.mark.parametrize(
    "call",
    [
        Job.snapshot,
        Job.done,
        Job.result,
        Job.exception,
        Job.cancel,
        Job.timeline,
        lambda job: list(job.events()),
        lambda job: job.resolve("fail", by="ann"),
    ],
)
def test_a_store_that_is_away_is_told_in_our_words(call: Callable[[Job], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """No call of a handle lets an exception of the Redis client through, also when its patience is over."""
    monkeypatch.setattr(handle_module, "STORE_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(handle_module, "STORE_RETRY_SECONDS", 0.01)
    client = Client(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"), publisher=RecordingPublisher())
    with pytest.raises(StoreUnavailableError):
        call(Job(id=a_job().id, created=False, client=client))


def test_a_store_that_goes_away_while_waiting_is_told_in_our_words(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait itself may fail too, long after the job was first read."""
    job = handle(client, SITUATIONS["rendering"])
    gone = Client(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"), publisher=RecordingPublisher())
    monkeypatch.setattr(client.store.timeline, "watching", gone.store.timeline.watching)
    with pytest.raises(StoreUnavailableError):
        job.result(timeout=0.2)


def test_every_absence_of_the_store_is_waited_for_anew(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long wait lives through many restarts: the patience of a minute counts from the last good answer."""
    monkeypatch.setattr(handle_module, "STORE_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(timeline, "READ_AGAIN_SECONDS", 0.001)
    monotonic = ManualClock(1000.0)
    monkeypatch.setattr(handle_module, "time", SimpleNamespace(monotonic=monotonic.now))
    job = handle(client, SITUATIONS["succeeded"].evolve(outputs=(an_output(0),)))
    final = client.load(job.id)
    answers: list[JobRecord | None] = [None, None, SITUATIONS["rendering"], None, None, SITUATIONS["storing"], final]

    def load(_job_id: str) -> JobRecord:
        monotonic.advance(40.0)
        answer = answers.pop(0)
        if answer is None:
            raise StoreUnavailableError("away")
        return answer

    monkeypatch.setattr(client, "load", load)
    assert job.result().outputs == (an_output(0),)
    answers[:] = [None, None, None, final]
    with pytest.raises(StoreUnavailableError):
        job.result()


def test_a_waiter_is_woken_by_the_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """`result` returns when the job ends, by the notice of it and not by looking again."""
    monkeypatch.setattr(timeline, "READ_AGAIN_SECONDS", 1_000.0)
    record = SITUATIONS["storing"]
    job = handle(client, record)
    watching = client.store.timeline.watching
    opened = threading.Event()

    @contextmanager
    def told(job_id: str) -> Iterator[Any]:
        with watching(job_id) as watch:
            opened.set()
            yield watch

    monkeypatch.setattr(client.store.timeline, "watching", told)
    with in_thread(lambda out: out.put(job.result(timeout=PATIENCE_SECONDS))) as out:
        assert opened.wait(PATIENCE_SECONDS)
        assert client.store.jobs.transition(record, EVENTS["all stored"])
        assert out.get(timeout=PATIENCE_SECONDS).outputs == (an_output(0), an_output(1))


def test_events_come_as_they_are_written_and_end_with_the_job(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry once, in order, the moment that it is there; the final one is the last."""
    monkeypatch.setattr(timeline, "READ_AGAIN_SECONDS", 1_000.0)
    record = SITUATIONS["rendering"]
    job = handle(client, record)

    def follow(out: queue.Queue[Any]) -> None:
        for event in job.events(timeout=PATIENCE_SECONDS):
            out.put((event.event, event.state))
        out.put("end")

    with in_thread(follow) as out:
        assert out.get(timeout=PATIENCE_SECONDS)[1] is JobState.QUEUED
        change = client.store.jobs.transition(record, EVENTS["results"])
        assert change is not None
        assert out.get(timeout=PATIENCE_SECONDS) == ("rendered", JobState.STORING)
        assert client.store.jobs.transition(change.after, EVENTS["all stored"])
        assert out.get(timeout=PATIENCE_SECONDS) == ("succeeded", JobState.SUCCEEDED)
        assert out.get(timeout=PATIENCE_SECONDS) == "end"


def test_events_of_a_finished_job_are_told_from_the_beginning(client: Client) -> None:
    """With their times and details, also long after."""
    record = SITUATIONS["queued"]
    job = handle(client, record)
    assert client.store.jobs.transition(record, EVENTS["refused"])
    first, last = job.events()
    assert (first.state, first.at) == (JobState.QUEUED, NOW)
    assert (last.event, last.state, last.at, last.details) == (
        "failed", JobState.FAILED, NOW, {"charge": "not_charged", "code": "content_rejected"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("situation", "keep_result", "outcome"),
    [
        ("queued", False, CancelOutcome.FREE),
        ("queued", True, CancelOutcome.FREE),
        ("queued again by a person", False, CancelOutcome.UNKNOWN),
        ("submitting", False, CancelOutcome.UNKNOWN),
        ("held, answer lost", True, CancelOutcome.UNKNOWN),
        ("held, poison", False, CancelOutcome.CHARGED_DISCARDED),
        ("held, poison", True, CancelOutcome.CHARGED_KEPT),
        ("rendering", False, CancelOutcome.CHARGED_DISCARDED),
        ("rendering", True, CancelOutcome.CHARGED_KEPT),
        ("storing", False, CancelOutcome.CHARGED_DISCARDED),
        ("storing", True, CancelOutcome.CHARGED_KEPT),
        ("rendering, to be kept", False, CancelOutcome.CHARGED_KEPT),
        ("cancelled", False, CancelOutcome.CHARGED_DISCARDED),
        ("failed", False, CancelOutcome.CHARGED_DISCARDED),
    ],
)
def test_cancelling_says_what_it_cost(
    client: Client, situation: str, *, keep_result: bool, outcome: CancelOutcome
) -> None:
    """The answer is that of the job as it then is, also when it was too late."""
    assert handle(client, SITUATIONS[situation]).cancel(keep_result=keep_result) is outcome


def test_a_timeline_is_read_from_a_position_on(client: Client) -> None:
    """All of it, or what came after so many entries, with times, states and details, and without waiting."""
    record = SITUATIONS["rendering"]
    job = handle(client, record)
    assert client.store.jobs.transition(record, EVENTS["results"])
    first, last = job.timeline()
    assert first.state is JobState.QUEUED
    assert (last.event, last.state, last.at, last.details) == ("rendered", JobState.STORING, NOW, {"images": 2})
    assert job.timeline(start=1) == [last]
    assert job.timeline(start=2) == []


@pytest.mark.parametrize(
    ("action", "key", "state", "task"),
    [
        ("attach", LATE_KEY, JobState.RENDERING, "sceneshift.poll"),
        ("resubmit", "", JobState.QUEUED, "sceneshift.submit"),
        ("fail", "", JobState.FAILED, "sceneshift.notify"),
    ],
)
def test_a_person_s_decision_moves_a_held_job(
    client: Client, publisher: RecordingPublisher, *, action: ResolveAction, key: str, state: JobState, task: str
) -> None:
    """The answer is the job as it then is, its next step is on its way, and the timeline says who decided."""
    job = handle(client, SITUATIONS["held, answer lost"])
    assert job.resolve(action, by="ann", result_key=key).state is state
    assert [message.task for message in publisher.messages] == [task]
    assert client.load(job.id).state is state
    if action != "fail":
        assert job.timeline()[-1].details["by"] == "ann"


@pytest.mark.parametrize("situation", ["queued", "submitting", "rendering", "storing", "succeeded", "cancelled"])
@pytest.mark.parametrize("action", ["attach", "resubmit", "fail"])
def test_there_is_nothing_to_decide_about_a_job_that_is_not_held(
    client: Client, publisher: RecordingPublisher, situation: str, action: ResolveAction
) -> None:
    """The call is refused with the job's state, and nothing is written or published."""
    job = handle(client, SITUATIONS[situation])
    before = everything(client.store.client)
    with pytest.raises(InvalidRequestError, match=f"is {client.load(job.id).state}: there is nothing") as raised:
        job.resolve(action, by="ann", result_key=LATE_KEY)
    assert raised.value.param == "action"
    assert everything(client.store.client) == before
    assert publisher.messages == []


def test_attaching_without_a_key_is_refused(client: Client) -> None:
    """A job that has no result key needs one; a job that has one goes on with its own."""
    with pytest.raises(InvalidRequestError):
        handle(client, SITUATIONS["held, answer lost"].evolve(id=a_job().id)).resolve("attach", by="ann")
    attached = handle(client, SITUATIONS["held, poison"]).resolve("attach", by="ann")
    assert (attached.state, attached.result_key) == (JobState.RENDERING, RESULT_KEY)


def test_discarding_a_held_job_that_has_stored_an_image_discards_it(client: Client) -> None:
    """The owner hears that the result is dropped, and a cancelled job that nobody wanted to keep shows no image."""
    job = handle(client, SITUATIONS["held, poison"].evolve(outputs=(an_output(0),)))
    assert job.cancel() is CancelOutcome.CHARGED_DISCARDED


def test_cancelling_a_finished_job_leaves_its_images(client: Client) -> None:
    """It was too late: everything is kept, and nothing is written."""
    job = handle(client, SITUATIONS["succeeded"].evolve(outputs=(an_output(0),)))
    before = everything(client.store.client)
    assert job.cancel() is CancelOutcome.CHARGED_KEPT
    assert everything(client.store.client) == before


def test_a_cancelled_job_s_webhook_is_on_its_way(client: Client, publisher: RecordingPublisher) -> None:
    """The end is told like any other, at once; without an address nobody is told."""
    job = handle(client, SITUATIONS["rendering"])
    job.cancel()
    (message,) = publisher.messages
    assert message.task == "sceneshift.notify"
    assert message.kwargs["job_id"] == job.id
    handle(client, a_job(order=an_order(webhook_url=None))).cancel()
    assert len(publisher.messages) == 1


def test_a_handle_shows_no_secrets_and_compares_by_the_job(client: Client) -> None:
    """Its `repr` is the id and little more, and its client is not part of it."""
    job = handle(client, SITUATIONS["queued"].evolve(id=a_job().id))
    assert repr(job) == f"Job(id='{job.id}', idempotency_key=None, created=False)"
    assert job == Job(id=job.id, created=False, client=Client(Settings()))
