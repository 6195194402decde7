"""A person's decisions as calls of a handle: retrying, refunding and resolving, each with who and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sceneshift import CancelOutcome, Charge, InvalidRequestError, Job, JobState
from sceneshift.client import Client
from sceneshift.jobs.change import Change
from sceneshift.jobs.events import Event
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings
from sceneshift.store.jobs import NotOnDiskError
from sceneshift.store.opening import Store
from tests.factories import NOW
from tests.unit.jobs.situations import EVENTS, LATE_KEY, RESULT_KEY, SITUATIONS
from tests.unit.store.inspection import everything, place
from tests.unit.workers.recording_publisher import RecordingPublisher

LOST = SITUATIONS["failed"].evolve(result_key="", charge=Charge.UNKNOWN)
REFUSED = SITUATIONS["failed"].evolve(result_key="", charge=Charge.NOT_CHARGED)


@pytest.fixture
def publisher() -> RecordingPublisher:
    """A broker that takes everything."""
    return RecordingPublisher()


@pytest.fixture
def client(store: Store, settings: Settings, publisher: RecordingPublisher) -> Client:
    """A caller's client on a private store."""
    return Client(settings, store=store, publisher=publisher)


def handle(client: Client, record: JobRecord) -> Job:
    place(client.store, record)
    return Job(id=record.id, created=False, client=client)


def test_a_failed_job_with_its_key_is_retried_for_free(client: Client, publisher: RecordingPublisher) -> None:
    """It asks the provider under the key that it has; its next step is on its way, and who and why is kept."""
    job = handle(client, SITUATIONS["failed"])
    after = job.retry(by="ann", why="the bucket is back")
    assert (after.state, after.result_key, after.charge, after.finished_at) == (
        JobState.RENDERING, RESULT_KEY, Charge.CHARGED, None,
    )  # fmt: skip
    assert [message.task for message in publisher.messages] == ["sceneshift.poll"]
    details = job.timeline()[-1].details
    assert (details["by"], details["why"]) == ("ann", "the bucket is back")


@pytest.mark.parametrize(
    ("record", "from_submit", "words"),
    [
        (REFUSED, False, "for up to 2 images: that takes spend=True"),
        (LOST, False, "for up to 2 images, which may pay a second time: that takes spend=True"),
        (SITUATIONS["failed"], True, "for up to 2 images, which pays a second time: that takes spend=True"),
    ],
    ids=["refused", "lost", "paid"],
)
def test_a_submission_is_never_retried_without_a_word_about_the_money(
    client: Client, publisher: RecordingPublisher, record: JobRecord, words: str, *, from_submit: bool
) -> None:
    """The error says what it may cost and what is missing; with that, it is submitted again."""
    job = handle(client, record)
    before = everything(client.store.client)
    with pytest.raises(InvalidRequestError, match=words) as raised:
        job.retry(by="ann", from_submit=from_submit)
    assert raised.value.param == "spend"
    assert everything(client.store.client) == before
    assert publisher.messages == []
    assert job.retry(by="ann", from_submit=from_submit, spend=True).state is JobState.QUEUED
    assert [message.task for message in publisher.messages] == ["sceneshift.submit"]


def test_a_word_about_the_money_spends_none_where_that_is_not_needed(client: Client) -> None:
    """`spend` allows a submission; a job that has its key still asks for its result."""
    assert handle(client, SITUATIONS["failed"]).retry(by="ann", spend=True).state is JobState.RENDERING


@pytest.mark.parametrize("situation", ["queued", "rendering", "held, answer lost", "succeeded", "cancelled"])
def test_only_a_failed_job_is_retried(client: Client, situation: str) -> None:
    """The error names the state, and nothing is written."""
    job = handle(client, SITUATIONS[situation])
    before = everything(client.store.client)
    with pytest.raises(InvalidRequestError, match=r"only a failed job|sceneshift jobs resolve") as raised:
        job.retry(by="ann", spend=True)
    assert raised.value.param == "job_id"
    assert everything(client.store.client) == before


def test_what_was_ordered_again_is_not_retried(client: Client) -> None:
    """Its idempotency key belongs to another job by now: that one renders the product, and it is paid for once."""
    record = REFUSED.evolve(order=replace(REFUSED.order, idempotency_key="sku-1"))
    job = handle(client, record)
    client.store.client.set(client.store.keys.idempotency("sku-1"), SITUATIONS["queued"].id)
    with pytest.raises(
        InvalidRequestError, match=f"ordered again with its idempotency key, as {SITUATIONS['queued'].id}"
    ):
        job.retry(by="ann", spend=True)
    assert job.snapshot().state is JobState.FAILED


def test_a_retry_that_was_decided_without_the_key_spends_nothing_once_the_key_is_there(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost answer comes between the look and the decision: the images are paid for, and are not paid for again."""
    lost = SITUATIONS["failed, answer lost"]
    job = handle(client, lost)
    transition = client.store.jobs.transition

    def answered_first(record: JobRecord, event: Event) -> Change | None:
        monkeypatch.setattr(client.store.jobs, "transition", transition)
        assert transition(lost, EVENTS["accepted"])
        return transition(record, event)

    monkeypatch.setattr(client.store.jobs, "transition", answered_first)
    with pytest.raises(InvalidRequestError, match="it is failed"):
        job.retry(by="ann", spend=True)
    assert job.retry(by="ann").state is JobState.RENDERING


def test_a_refund_is_noted_once(client: Client) -> None:
    """The charge says so, and a second time there is nothing to refund."""
    job = handle(client, SITUATIONS["succeeded"])
    after = job.refund(by="ann", why="ticket 7")
    assert (after.state, after.charge) == (JobState.SUCCEEDED, Charge.REFUNDED_BY_HAND)
    with pytest.raises(InvalidRequestError, match="refunded_by_hand: there is nothing to refund"):
        job.refund(by="ann")


def test_the_refund_of_an_earlier_submission_is_explained(client: Client) -> None:
    """It is not noted, and the error says where it stands."""
    job = handle(client, SITUATIONS["failed, refused"].evolve(charge=Charge.CHARGED, earlier_charge=Charge.CHARGED))
    with pytest.raises(InvalidRequestError, match="an earlier submission's, which stays in the ledger as superseded"):
        job.refund(by="ann")


def test_a_key_of_another_job_cannot_be_attached(client: Client) -> None:
    """The error names the job that has it, and the parameter."""
    first = handle(client, SITUATIONS["held, answer lost"])
    second = handle(client, SITUATIONS["held, answer lost"].evolve(id=SITUATIONS["queued"].id))
    first.resolve("attach", by="ann", result_key=LATE_KEY)
    with pytest.raises(InvalidRequestError, match=f"the result key of {first.id}") as raised:
        second.resolve("attach", by="ann", result_key=LATE_KEY)
    assert raised.value.param == "result_key"
    assert second.snapshot().state is JobState.NEEDS_ATTENTION


def test_a_decision_that_the_disk_has_not_confirmed_is_made(
    client: Client, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the store, so its next step is on its way and the caller gets the job as it is."""
    transition = client.store.jobs.transition

    def unconfirmed(job: JobRecord, event: Event) -> Change | None:
        change = transition(job, event)
        assert change is not None
        raise NotOnDiskError(change)

    monkeypatch.setattr(client.store.jobs, "transition", unconfirmed)
    job = handle(client, SITUATIONS["held, answer lost"])
    assert job.resolve("attach", by="ann", result_key=LATE_KEY).state is JobState.RENDERING
    assert [message.task for message in publisher.messages] == ["sceneshift.poll"]


def test_nothing_is_said_to_be_free_while_the_job_store_may_have_forgotten_something(client: Client) -> None:
    """A queued job may have been submitted before the store lost its memory: only when that is mended, free is free."""
    client.store.recovery.begin("the job store lost its last second")
    assert handle(client, SITUATIONS["queued"]).cancel() is CancelOutcome.UNKNOWN
    client.store.client.delete(client.store.keys.recovery)
    assert Job(id=SITUATIONS["queued"].id, created=False, client=client).cancel() is CancelOutcome.FREE
    assert handle(client, SITUATIONS["rendering"]).cancel() is CancelOutcome.CHARGED_DISCARDED


def test_a_retried_job_is_late_by_its_new_deadline(client: Client) -> None:
    """Its patience begins anew with the retry."""
    late = SITUATIONS["failed"].evolve(overdue=True, deadline_at=NOW - 60.0)
    job = handle(client, late)
    assert job.snapshot().late is True
    after = job.retry(by="ann")
    assert (after.late, after.overdue, after.deadline_at) == (False, False, NOW + late_patience(late))


def late_patience(job: JobRecord) -> float:
    """How long the job's owner is willing to wait for it, in seconds."""
    assert job.deadline_at is not None
    return job.deadline_at - job.created_at
