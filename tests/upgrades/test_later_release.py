"""BRK15: rolled back to this release, or beside it, what a later one wrote is left alone, and the rest goes on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from sceneshift.client import Client
from sceneshift.errors import UnknownRecordError
from sceneshift.handle import Job
from sceneshift.jobs.known_words import JOB_WORDS, Vocabulary
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.messages import message_for_due
from sceneshift.store.due import DueStep
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place
from tests.upgrades.corpus import Scene
from tests.upgrades.later import DELIVERIES, JOBS, moved_on, order_field, record_of
from tests.upgrades.replaying import Replay
from workers.unknown_steps import PAUSE_FIRST_SECONDS, PAUSE_MAX_SECONDS

WHILE_SECONDS = 900.0
SENTENCE = "this release does not understand the job's record: it has "
OPEN = ("queued", "submitting", "rendering", "storing, one stored")


@pytest.fixture
def work(redis_client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """A deployment of this release, with nothing in it."""
    monkeypatch.setattr("tasks.services._services", None)
    return Replay(Scene(now=NOW), redis_client, tmp_path)


def placed(work: Replay, situation: str) -> JobRecord:
    """A job in this situation, due now."""
    job = SITUATIONS[situation].evolve(id=a_job().id)
    return place(work.store, job.evolve(order=an_order(num_output=2, sku="LATER", metadata={"of": situation})))


def pass_a_while(work: Replay, caplog: pytest.LogCaptureFixture) -> int:
    """A quarter of an hour of looks has passed; returns how often the log said that something is not understood."""
    end = work.clock.now() + WHILE_SECONDS
    with caplog.at_level(logging.WARNING):
        while (due_at := work.next_due_at()) is not None and due_at < end:
            work.pass_time(max(0.0, due_at - work.clock.now()) + 0.001)
            work.look()
    return sum(record.message == "record.unknown" for record in caplog.records)


def handle(work: Replay, job_id: str) -> Job:
    """What a shop has of the job."""
    client = Client(work.services.settings, store=work.store, publisher=work.publisher)
    return Job(id=job_id, created=False, client=client)


@pytest.mark.parametrize("situation", OPEN)
@pytest.mark.parametrize("new", JOBS)
def test_a_job_of_a_later_release_is_left_alone(
    work: Replay, new: str, situation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not changed, not failed, not sent, looked at ever less often, never lost; the job beside it comes to its end."""
    change, told = JOBS[new]
    job, other = placed(work, situation), placed(work, "queued")
    change(work.store, job)
    before = record_of(work.store, job.id)
    looks = pass_a_while(work, caplog)
    assert record_of(work.store, job.id) == before
    assert 0 < looks < 2 * WHILE_SECONDS / 60.0
    said = next(record for record in caplog.records if record.message == "record.unknown")
    assert told in said.what  # type: ignore[attr-defined]
    due_at = work.due_at(job.id)
    assert due_at is not None
    assert 0 < due_at - work.clock.now() <= PAUSE_MAX_SECONDS
    assert work.store.due.unknown() == [job.id]
    assert work.job(other.id).state is JobState.SUCCEEDED
    assert len(work.sent) == 1
    assert work.holds.current() == []


@pytest.mark.parametrize("new", JOBS)
def test_whoever_asks_for_it_is_told_why_there_is_no_answer(work: Replay, new: str) -> None:
    """What it has, of which version it is, and the remedy; cancelling and deciding are refused, and change nothing."""
    change, told = JOBS[new]
    job = placed(work, "rendering")
    change(work.store, job)
    before = record_of(work.store, job.id)
    known = handle(work, job.id)
    for ask in (
        known.snapshot,
        known.done,
        known.cancel,
        lambda: known.result(timeout=1.0),
        lambda: known.retry(by="a"),
    ):
        with pytest.raises(UnknownRecordError) as raised:
            ask()
        assert SENTENCE in str(raised.value)
        assert told in raised.value.what
        assert "Use that release or a newer one" in str(raised.value)
        assert (raised.value.job_id, raised.value.retryable) == (job.id, False)
    assert record_of(work.store, job.id) == before


def test_an_order_of_a_later_release_is_not_paid_for_by_this_one(
    work: Replay, caplog: pytest.LogCaptureFixture
) -> None:
    """What it would change in the picture is not known; once the picture is paid for, it does not matter any more."""
    unsent, sent = placed(work, "queued"), placed(work, "rendering")
    for job in (unsent, sent):
        order_field(work.store, job)
    before = record_of(work.store, unsent.id)
    pass_a_while(work, caplog)
    assert record_of(work.store, unsent.id) == before
    assert work.sent == []
    assert work.job(sent.id).state is JobState.SUCCEEDED
    assert json.loads(str(work.store.client.get(work.store.keys.order(sent.id))))["style"] == "oil"
    with pytest.raises(UnknownRecordError, match="style in its order"):
        handle(work, unsent.id).snapshot()


def test_the_later_release_goes_on_where_it_was(
    work: Replay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often this release has met the job: no attempt was counted, so that none is its last."""
    jobs = [placed(work, situation) for situation in ("queued", "rendering", "storing")]
    for number, job in enumerate(jobs):
        JOBS["version" if number else "number"][0](work.store, job)
    pass_a_while(work, caplog)
    assert not any(work.store.client.hexists(work.store.keys.job(job.id), "starts") for job in jobs)
    work.store.client.hdel(work.store.keys.job(jobs[0].id), "polls")
    later = Vocabulary({**JOB_WORDS.words, "version": frozenset({"1", "2"})})
    monkeypatch.setattr("sceneshift.store.due.JOB_WORDS", later)
    monkeypatch.setattr("sceneshift.jobs.record.JOB_WORDS", later)
    work.rest()
    assert [str(work.job(job.id).state) for job in jobs] == ["succeeded"] * 3
    assert [work.job(job.id).version for job in jobs] == [1, 2, 2]


@pytest.mark.parametrize("new", DELIVERIES)
def test_a_webhook_of_a_later_release_is_left_alone(work: Replay, new: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is not sent in a form that may be wrong, not given up, and its record stays as it is; others are sent."""
    fields, told = DELIVERIES[new]
    job, other = placed(work, "storing"), placed(work, "storing")
    for each in (job, other):
        work.wake(each.id)
    work.publisher.messages.clear()
    delivery = work.delivery(job.id)
    work.store.client.hset(work.store.keys.delivery(delivery.id), mapping=fields)  # type: ignore[arg-type]
    before = record_of(work.store, delivery.id)
    assert pass_a_while(work, caplog)
    assert record_of(work.store, delivery.id) == before
    assert any(told in record.what for record in caplog.records if record.message == "record.unknown")  # type: ignore[attr-defined]
    assert [json.loads(post.body)["data"]["job_id"] for post in work.web.posts] == [other.id]


def test_a_webhook_waits_when_its_job_is_not_understood(work: Replay, caplog: pytest.LogCaptureFixture) -> None:
    """What it has to tell is on the job."""
    job = placed(work, "storing")
    work.wake(job.id)
    work.publisher.messages.clear()
    JOBS["version"][0](work.store, job)
    delivery_id = f"dlv_{job.id[4:]}_1"
    before = record_of(work.store, delivery_id)
    assert pass_a_while(work, caplog)
    assert (record_of(work.store, delivery_id), work.web.posts) == (before, [])
    assert work.due_at(delivery_id) is not None


def test_an_entry_of_a_new_kind_stays_in_the_due_index(work: Replay, caplog: pytest.LogCaptureFixture) -> None:
    """Its record is under a key that this release does not know: that does not mean that it has none."""
    work.store.client.zadd(work.store.keys.due, {"bat_01M82V7M00": NOW})
    assert pass_a_while(work, caplog)
    assert work.due_at("bat_01M82V7M00") is not None


def test_looks_grow_rare_and_begin_anew_with_each_step(work: Replay) -> None:
    """Beside new workers the job loses seconds; after a rollback it costs next to nothing."""
    job = placed(work, "rendering")
    JOBS["version"][0](work.store, job)
    pauses = []
    for _ in range(9):
        work.pass_time(max(0.0, work.due_in(job.id)) + 0.001)
        work.look()
        pauses.append(round(work.due_in(job.id)))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    work.store.client.hset(work.store.keys.job(job.id), "step", "poll-004")
    work.pass_time(301.0)
    work.look()
    assert round(work.due_in(job.id)) == PAUSE_FIRST_SECONDS


def test_many_of_them_are_one_line_in_the_log(work: Replay, caplog: pytest.LogCaptureFixture) -> None:
    """Per look and per reason: how many, and some of their names."""
    jobs = [placed(work, "rendering") for _ in range(30)]
    for job in jobs:
        JOBS["version"][0](work.store, job)
    work.pass_time(10.0)
    with caplog.at_level(logging.WARNING):
        work.look()
    (said,) = [record for record in caplog.records if record.message == "record.unknown"]
    assert (said.count, len(said.subject_ids)) == (30, 5)  # type: ignore[attr-defined]
    assert "docs/how-to/upgrade.md" in said.remedy  # type: ignore[attr-defined]


@pytest.mark.parametrize("new", ["version", "state", "charge"])
def test_a_new_worker_s_message_does_no_harm_at_an_old_one(work: Replay, new: str) -> None:
    """It takes nothing, changes nothing, and leaves the step to its lease, with which it comes back."""
    job = placed(work, "rendering")
    JOBS[new][0](work.store, job)
    step = work.store.client.hget(work.store.keys.job(job.id), "step")
    due = DueStep(subject_id=job.id, step=str(step), sku="", parent_step="", job_id=job.id, waiting=False)
    assert work.store.due.hand_out([due])
    before, due_at = record_of(work.store, job.id), work.due_at(job.id)
    taken = work.store.due.begin(job.id, str(step), "sceneshift.poll")
    assert (taken.status, taken.is_taken) == ("unknown", False)
    assert work.store.due.begun_counts() == {}
    if new != "state":
        assert work.run(message_for_due(due)) == {"skipped": "unknown"}
    assert (record_of(work.store, job.id), work.due_at(job.id)) == (before, due_at)


def test_an_old_timekeeper_does_not_move_what_a_new_worker_has_moved_since(work: Replay) -> None:
    """Between its claim and its word the new worker took the step on."""
    job = placed(work, "rendering")
    moved_on(work.store, job)
    work.pass_time(10.0)
    (claimed,) = work.store.due.claim(100)
    assert claimed.unknown == "version '2', state 'verifying', step 'verify-1'"
    work.store.client.zadd(work.store.keys.due, {job.id: NOW + 77.0})
    work.store.due.put_off_unknown([(claimed, 5.0)])
    assert work.due_at(job.id) == NOW + 77.0


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("sceneshift.poll", {"urgency": 2}),
        ("sceneshift.poll", {"version": 2, "trace": {"id": "x"}}),
        ("sceneshift.submit", {"version": 2}),
        ("sceneshift.finalize", {"version": 2}),
    ],
)
def test_a_message_with_more_in_it_wakes_its_step(work: Replay, task: str, values: dict[str, object]) -> None:
    """The record says what there is to do; what a later release adds to a message may be ignored."""
    situation = {"sceneshift.poll": "rendering", "sceneshift.submit": "queued", "sceneshift.finalize": "storing"}[task]
    job = placed(work, situation)
    due = DueStep(subject_id=job.id, step=job.step, sku="", parent_step="", job_id=job.id, waiting=False)
    assert work.store.due.hand_out([due])
    message = message_for_due(due)
    message.kwargs.update(values)
    assert message.task == task
    assert "skipped" not in work.run(message)
    assert work.job(job.id).step != job.step


def test_a_batch_in_a_new_form_asks_about_nobody(work: Replay) -> None:
    """It ends, and its jobs come back with their leases."""
    job = placed(work, "rendering")
    message = message_for_due(
        DueStep(subject_id=job.id, step=job.step, sku="", parent_step="", job_id=job.id, waiting=False)
    )
    message.kwargs.clear()
    message.kwargs["items"] = [{"job": job.id, "step": job.step}]
    assert work.run(message) == {}
    assert work.job(job.id).step == job.step
    assert work.provider.questions == []


def test_an_idempotency_key_of_a_job_of_a_later_release_orders_nothing_twice(work: Replay) -> None:
    """The caller gets the handle of the job that is there."""
    client = Client(work.services.settings, store=work.store, publisher=work.publisher)
    first = client.enqueue(an_order(idempotency_key="shop:1"))
    JOBS["version"][0](work.store, work.job(first.id))
    again = client.enqueue(an_order(idempotency_key="shop:1"))
    assert (again.id, again.created) == (first.id, False)


def test_a_timeline_with_entries_of_a_later_release_can_be_read(work: Replay) -> None:
    """A job that came back to states of this release is told of to its end, without those entries."""
    job = placed(work, "succeeded")
    key = work.store.keys.timeline(job.id)
    for state, event in (("verifying", "verifying"), ("storing", "verified"), ("succeeded", "succeeded")):
        work.store.client.rpush(key, json.dumps({"at": NOW, "state": state, "event": event, "faces": 2}))
    known = handle(work, job.id)
    names = [event.event for event in known.events(timeout=1.0)]
    assert names == [event.event for event in known.timeline()] == ["enqueued", "verified", "succeeded"]


def test_a_wait_that_has_no_sentence_yet_is_no_reason_to_stop(work: Replay) -> None:
    """`blocked_by` is an open list: the job goes on, and `explain` shows the word."""
    from sceneshift.cli.explained import what_next  # noqa: PLC0415

    job = placed(work, "rendering")
    fields = {"blocked_by": "quality_gate", "blocked_until": f"{NOW + 50.0:.3f}"}
    work.store.client.hset(work.store.keys.job(job.id), mapping=fields)  # type: ignore[arg-type]
    queue: Callable[[str], int] = lambda _queue: 0  # noqa: E731
    assert "(quality_gate)" in what_next(work.job(job.id), work.due_at(job.id), work.clock.now(), queue).text
    work.rest()
    assert work.job(job.id).state is JobState.SUCCEEDED
    assert math.isfinite(work.job(job.id).finished_at or math.inf)
