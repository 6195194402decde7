"""The timekeeper: what is due is published, a backlog is not made longer, and nothing that fails is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.due import DueStep
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_at, place, states_listing
from tests.unit.workers.office import Office, accepted, rendering

LEASE = 20.0
PATIENCE_SECONDS = 20.0


def test_what_is_due_is_published_with_its_ordinary_message(office: Office) -> None:
    """One message per job with its ids and step, the longest overdue first, and each can be taken once."""
    jobs = accepted(office, 3)
    assert office.timekeeper.tick() == 3
    assert office.publisher.task_ids == [f"{job.id}:submit-1" for job in jobs]
    assert office.publisher.messages[0].kwargs == {"job_id": jobs[0].id, "sku": "PERF-050", "step": "submit-1"}
    begin = office.store.due.begin
    assert [begin(jobs[0].id, "submit-1", "sceneshift.submit").status for _ in range(2)] == ["begun", "held"]


def test_what_is_published_is_left_alone_for_a_lease(office: Office, clock: ManualClock) -> None:
    """The next looks find nothing; after the lease a step that nobody took is published again."""
    (job,) = accepted(office, 1)
    office.timekeeper.tick()
    assert office.later(clock, LEASE - 0.001) == 0
    assert office.later(clock, 0.001) == 1
    assert office.publisher.task_ids == [f"{job.id}:submit-1"] * 2


def test_nothing_due_is_nothing_published(office: Office) -> None:
    """Jobs that wait for their time, or for a person, are not touched."""
    place(office.store, SITUATIONS["rendering"])
    place(office.store, SITUATIONS["held, answer lost"])
    assert office.timekeeper.tick() == 0
    assert office.publisher.calls == []


def test_each_task_s_messages_are_its_own(office: Office, clock: ManualClock) -> None:
    """Submissions, polls, copies and webhooks that are due together all go out."""
    accepted(office, 1)
    place(office.store, SITUATIONS["rendering"])
    storing = place(office.store, SITUATIONS["storing"])
    change = office.store.jobs.transition(storing, EVENTS["storing delayed"])
    assert change is not None
    lost = place(office.store, SITUATIONS["submitting"].evolve(id=a_job().id))
    assert office.store.jobs.transition(lost, EVENTS["lost"])
    office.later(clock, LEASE)
    assert {message.task for message in office.publisher.messages} == {
        "sceneshift.submit", "sceneshift.poll", "sceneshift.finalize", "sceneshift.notify",
    }  # fmt: skip


def test_few_polls_are_one_message_each(office: Office, clock: ManualClock) -> None:
    """Up to twenty-four due at once, each is a chain of its own in Flower."""
    jobs = rendering(office, 24)
    assert office.later(clock, 2.0) == 24
    assert set(office.publisher.task_ids) == {f"{job.id}:poll-003" for job in jobs}


@pytest.mark.parametrize(("count", "sizes"), [(25, [25]), (40, [40]), (41, [40, 1]), (100, [40, 40, 20])])
def test_many_polls_share_messages(office: Office, clock: ManualClock, count: int, sizes: list[int]) -> None:
    """From twenty-five on, a message carries as many jobs with their steps as it may, and no job twice."""
    jobs = rendering(office, count)
    assert office.later(clock, 2.0) == count
    messages = office.publisher.messages
    assert [len(message.kwargs["job_ids"]) for message in messages] == sizes
    assert all(set(message.kwargs) == {"job_ids", "steps"} for message in messages)
    assert all(message.kwargs["steps"] == ["poll-003"] * len(message.kwargs["job_ids"]) for message in messages)
    assert {job_id for message in messages for job_id in message.kwargs["job_ids"]} == {job.id for job in jobs}
    assert len(set(office.publisher.task_ids)) == len(sizes)


def test_many_submissions_are_one_message_each(office: Office) -> None:
    """Only questions share a message: each submission is a task of its own."""
    jobs = accepted(office, 50)
    office.timekeeper.tick()
    assert len(office.publisher.messages) == len(jobs)


def never_taken(office: Office, clock: ManualClock) -> JobRecord:
    """A job that was published by its caller, and whose message nobody has taken within a lease."""
    job = a_job()
    office.store.jobs.accept(job, publish=True)
    clock.advance(LEASE)
    office.monotonic.advance(LEASE)
    return job


def test_a_long_queue_is_not_made_longer(office: Office, clock: ManualClock) -> None:
    """A step whose message waits in a backlog is put off and not published again; when it drains, it is."""
    job = never_taken(office, clock)
    office.lengths["sceneshift.submit"] = 51
    office.timekeeper.tick()
    assert office.publisher.calls == []
    assert due_at(office.store, job.id) == clock.now() + LEASE
    office.lengths["sceneshift.submit"] = 50
    assert office.later(clock, LEASE) == 1
    assert office.publisher.task_ids == [f"{job.id}:submit-1"]


def test_first_submissions_join_a_short_queue_only(office: Office, clock: ManualClock) -> None:
    """The longest overdue get the room that there is, and the others wait here, where urgent jobs pass them."""
    jobs = accepted(office, 60)
    office.lengths["sceneshift.submit"] = 20
    office.timekeeper.tick()
    assert office.publisher.task_ids == [f"{job.id}:submit-1" for job in jobs[:30]]
    waiting = [due_at(office.store, job.id) for job in jobs[30:]]
    assert waiting == pytest.approx([clock.now() + 1.0 + place / 500 for place in range(30)], abs=0.001)
    office.lengths["sceneshift.submit"] = 0
    office.later(clock, 1.1)
    assert {f"{job.id}:submit-1" for job in jobs[30:]} <= set(office.publisher.task_ids)


def test_those_that_wait_for_room_are_looked_at_one_after_the_other(office: Office, clock: ManualClock) -> None:
    """However many there are and whenever they came, there are five hundred looks a second at the most."""
    office.lengths["sceneshift.submit"] = 50
    jobs = accepted(office, 20)
    office.timekeeper.tick()
    jobs += accepted(office, 20)
    office.timekeeper.tick()
    looks = [due_at(office.store, job.id) or 0.0 for job in jobs]
    assert looks == pytest.approx([clock.now() + 1.0 + place / 500 for place in range(40)], abs=0.001)


def test_first_submissions_leave_two_seconds_of_work_in_their_queue(office: Office, clock: ManualClock) -> None:
    """A fleet that begins a hundred a second gets two hundred, and the rest when there should be room again."""
    office.timekeeper.tick()
    office.begun("sceneshift.submit", 1000)
    office.later(clock, 10.0)
    jobs = accepted(office, 230)
    office.timekeeper.tick()
    assert len(office.publisher.messages) == 200
    waiting = [due_at(office.store, job.id) for job in jobs[200:]]
    assert waiting == pytest.approx([clock.now() + 1.0 + place / 500 for place in range(30)], abs=0.001)


def test_a_repeated_submission_goes_before_new_ones(office: Office, clock: ManualClock) -> None:
    """A message that must be gone is replaced even when there is no room for anything new."""
    lost = never_taken(office, clock)
    (new,) = accepted(office, 1)
    office.lengths["sceneshift.submit"] = 50
    office.timekeeper.tick()
    assert office.publisher.task_ids == [f"{lost.id}:submit-1"]
    assert due_at(office.store, new.id) == clock.now() + 1.0


def test_the_pause_is_the_time_that_the_queue_takes(office: Office, clock: ManualClock) -> None:
    """At ten steps a second, a queue of a thousand is looked at again when it should have room for new ones."""
    office.timekeeper.tick()
    office.begun("sceneshift.submit", 100)
    office.later(clock, 10.0)
    (job,) = accepted(office, 1)
    office.lengths["sceneshift.submit"] = 1000
    office.timekeeper.tick()
    assert office.publisher.calls == []
    assert due_at(office.store, job.id) == clock.now() + 95.0


@pytest.mark.parametrize(("length", "published"), [(200, 1), (201, 0)])
def test_a_queue_that_drains_within_a_lease_is_no_backlog(
    office: Office, clock: ManualClock, length: int, published: int
) -> None:
    """At ten steps a second, two hundred messages are gone within a lease, so a message of before it is lost."""
    office.store.jobs.accept(a_job(), publish=True)
    office.later(clock, LEASE / 2)
    office.begun("sceneshift.submit", 100)
    office.lengths["sceneshift.submit"] = length
    office.later(clock, LEASE / 2)
    assert len(office.publisher.messages) == published


def test_a_step_that_was_never_published_joins_a_long_queue(office: Office, clock: ManualClock) -> None:
    """A poll whose time has come has no message in the backlog: it goes out at once, and only its repetition waits."""
    (job,) = rendering(office, 1)
    office.lengths["sceneshift.poll"] = 10_000
    office.later(clock, 2.0)
    assert office.publisher.task_ids == [f"{job.id}:poll-003"]
    office.later(clock, LEASE)
    assert len(office.publisher.messages) == 1
    assert due_at(office.store, job.id) == clock.now() + LEASE


def test_one_queue_s_backlog_does_not_stop_another(office: Office, clock: ManualClock) -> None:
    """Bulk submissions wait while polls go on."""
    accepted(office, 1)
    rendering(office, 1)
    office.lengths["sceneshift.submit"] = 10_000
    office.later(clock, 2.0)
    assert [message.task for message in office.publisher.messages] == ["sceneshift.poll"]


def test_a_failed_publication_is_tried_again_soon(office: Office, clock: ManualClock) -> None:
    """What the broker did not take is due again after two seconds, not after a lease."""
    (job,) = rendering(office, 1)
    office.publisher.working = False
    office.later(clock, 2.0)
    assert due_at(office.store, job.id) == clock.now() + 2.0
    office.publisher.working = True
    assert office.later(clock, 2.0) == 1
    assert office.publisher.task_ids == [f"{job.id}:poll-003"] * 2
    assert office.store.due.begin(job.id, "poll-003", "sceneshift.poll").is_taken


def test_a_broker_that_cannot_be_asked_is_not_published_to(office: Office, clock: ManualClock) -> None:
    """Its steps are put off for two seconds, and go out when it is back."""
    (job,) = accepted(office, 1)
    office.broker_away = True
    office.timekeeper.tick()
    assert office.publisher.calls == []
    assert due_at(office.store, job.id) == NOW + 2.0
    office.broker_away = False
    office.later(clock, 2.0)
    assert office.publisher.task_ids == [f"{job.id}:submit-1"]


def test_a_broker_that_does_not_answer_is_left_alone_for_two_seconds(office: Office, clock: ManualClock) -> None:
    """Each question may take seconds, so one that was not answered stands for the other queues, and the next looks."""
    accepted(office, 1)
    office.later(clock, LEASE)
    place(office.store, SITUATIONS["rendering"])
    office.later(clock, 2.0)
    office.asked.clear()
    office.broker_away = True
    assert office.later(clock, LEASE) == 2
    assert len(office.asked) == 1
    accepted(office, 1)
    office.later(clock, 1.999)
    assert len(office.asked) == 1
    office.later(clock, 0.001)
    assert len(office.asked) == 2


def test_polls_go_out_although_the_broker_s_queues_cannot_be_measured(office: Office, clock: ManualClock) -> None:
    """What was never published has no message anywhere: only its publication can tell whether the broker is there."""
    accepted(office, 1)
    (job,) = rendering(office, 1)
    office.broker_away = True
    office.later(clock, 2.0)
    assert office.publisher.task_ids == [f"{job.id}:poll-003"]


def test_expired_jobs_are_forgotten_once_an_hour(office: Office, clock: ManualClock) -> None:
    """The indexes do not grow for ever."""
    office.timekeeper.tick()
    job = place(office.store, SITUATIONS["succeeded"])
    clock.advance(31 * 86_400.0)
    office.later(clock, 3599.0)
    assert states_listing(office.store, job.id) == [JobState.SUCCEEDED]
    office.later(clock, 1.0)
    assert states_listing(office.store, job.id) == []


def test_a_running_timekeeper_gives_signs_of_life_and_ends(office: Office, tmp_path: Path) -> None:
    """Its thread publishes what is due, touches its file, and ends when it is told to."""
    (job,) = accepted(office, 1)
    office.timekeeper.start()
    assert office.heartbeat.beaten.wait(PATIENCE_SECONDS)
    office.timekeeper.stop()
    assert office.publisher.task_ids == [f"{job.id}:submit-1"]
    assert (tmp_path / "heartbeat").exists()
    assert not any(thread.name == "timekeeper" for thread in threading.enumerate())


def fail_once(office: Office, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The timekeeper's next look at the job store ends in this error, and those after it do not."""
    claim = office.store.due.claim

    def failing(_limit: int) -> list[DueStep]:
        monkeypatch.setattr(office.store.due, "claim", claim)
        raise error

    monkeypatch.setattr(office.store.due, "claim", failing)


AWAY = [RedisConnectionError("refused"), RedisTimeoutError("no answer")]
UNFORESEEN = [RuntimeError("a mistake of ours"), ResponseError("ERR unknown command")]


@pytest.mark.parametrize("error", [*AWAY, *UNFORESEEN], ids=lambda error: type(error).__name__)
def test_a_timekeeper_lives_through_every_failure(
    office: Office, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong is told, and tried again after a second."""
    fail_once(office, monkeypatch, error)
    assert office.timekeeper._turn() == 1.0
    assert office.timekeeper._turn() == 0.01


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_after_a_failure_of_the_store_nothing_is_claimed_for_half_a_lease(
    office: Office, clock: ManualClock, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that live through it renew their leases first, so that none of their steps is started twice."""
    (job,) = accepted(office, 1)
    fail_once(office, monkeypatch, error)
    office.timekeeper._turn()
    assert office.later(clock, LEASE / 2 - 0.001) == 0
    assert office.publisher.calls == []
    assert office.later(clock, 0.002) == 1
    assert office.publisher.task_ids == [f"{job.id}:submit-1"]


@pytest.mark.parametrize(
    ("error", "alive"),
    [(None, True), *((error, True) for error in AWAY), *((error, False) for error in UNFORESEEN)],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_sign_of_life_is_not_given_after_a_mistake_of_ours(
    office: Office, error: Exception | None, monkeypatch: pytest.MonkeyPatch, *, alive: bool
) -> None:
    """A worker whose timekeeper does no work is replaced; one whose job store is away would gain nothing from that."""
    if error is not None:
        fail_once(office, monkeypatch, error)
    office.timekeeper._turn()
    assert office.heartbeat.beaten.is_set() is alive


def test_a_failing_timekeeper_keeps_its_thread(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on after a mistake of ours, and gives its sign of life with the next good look."""
    monkeypatch.setattr("workers.timekeeper.STORE_PAUSE_SECONDS", 0.01)
    fail_once(office, monkeypatch, RuntimeError("a mistake of ours"))
    office.timekeeper.start()
    assert office.heartbeat.beaten.wait(PATIENCE_SECONDS)
    office.timekeeper.stop()
