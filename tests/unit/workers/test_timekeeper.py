"""The timekeeper: what is due is published, a backlog is not made longer, and nothing that fails is lost."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.due import DueStep
from sceneshift.store.opening import Store
from sceneshift.store.permits import Limits, Permits
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_at, place, states_listing
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.health import Heartbeat
from workers.timekeeper import Timekeeper

LEASE = 20.0
PATIENCE_SECONDS = 20.0


class Beating(Heartbeat):
    """A heartbeat that a test can wait for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.beaten = threading.Event()

    def beat(self) -> None:
        super().beat()
        self.beaten.set()


class Office:
    """A timekeeper with everything around it in a test's hands."""

    def __init__(self, store: Store, path: Path) -> None:
        self.store = store
        self.publisher = RecordingPublisher()
        self.lengths: dict[str, int] = {}
        self.broker_away = False
        self.asked: list[str] = []
        self.heartbeat = Beating(path)
        self.monotonic = ManualClock(50.0)
        self.timekeeper = Timekeeper(
            store=store,
            publisher=self.publisher,
            queue_length=self.length_of,
            heartbeat=self.heartbeat,
            interval_seconds=0.01,
            poll_batch_max=40,
            monotonic=self.monotonic.now,
        )

    def length_of(self, queue: str) -> int:
        self.asked.append(queue)
        if self.broker_away:
            raise ConnectionResetError("the broker is away")
        return self.lengths.get(queue, 0)

    def later(self, clock: ManualClock, seconds: float) -> int:
        """Time passes on both clocks, and the timekeeper looks once."""
        clock.advance(seconds)
        self.monotonic.advance(seconds)
        return self.timekeeper.tick()

    def begun(self, task: str, count: int) -> None:
        """So many steps of the task have been begun by the fleet."""
        self.store.client.hincrby(self.store.keys.begun, task, count)


@pytest.fixture
def office(store: Store, tmp_path: Path) -> Office:
    """A timekeeper that a test moves tick by tick."""
    return Office(store, tmp_path / "heartbeat")


def accepted(office: Office, count: int, **values: object) -> list[JobRecord]:
    jobs = [a_job(created_at=NOW - number / 100, **values) for number in range(count, 0, -1)]
    for job in jobs:
        office.store.jobs.accept(job, publish=False)
    return jobs


def rendering(office: Office, count: int) -> list[JobRecord]:
    return [place(office.store, SITUATIONS["rendering"].evolve(id=a_job().id)) for _ in range(count)]


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
    assert {due_at(office.store, job.id) for job in jobs[30:]} == {clock.now() + LEASE}
    office.lengths["sceneshift.submit"] = 0
    office.later(clock, LEASE)
    assert {f"{job.id}:submit-1" for job in jobs[30:]} <= set(office.publisher.task_ids)


def test_first_submissions_leave_two_seconds_of_work_in_their_queue(office: Office, clock: ManualClock) -> None:
    """A fleet that begins a hundred a second gets two hundred, and the rest when that should have drained."""
    office.timekeeper.tick()
    office.begun("sceneshift.submit", 1000)
    office.later(clock, 10.0)
    jobs = accepted(office, 230)
    office.timekeeper.tick()
    assert len(office.publisher.messages) == 200
    assert [due_at(office.store, job.id) for job in jobs[200:]] == [clock.now() + 1.0] * 30


def test_a_repeated_submission_goes_before_new_ones(office: Office, clock: ManualClock) -> None:
    """A message that must be gone is replaced even when there is no room for anything new."""
    lost = never_taken(office, clock)
    (new,) = accepted(office, 1)
    office.lengths["sceneshift.submit"] = 50
    office.timekeeper.tick()
    assert office.publisher.task_ids == [f"{lost.id}:submit-1"]
    assert due_at(office.store, new.id) == clock.now() + LEASE


def test_the_pause_is_the_time_that_the_queue_takes(office: Office, clock: ManualClock) -> None:
    """At ten steps a second, a queue of a thousand is looked at again when it should be empty."""
    office.timekeeper.tick()
    office.begun("sceneshift.submit", 100)
    office.later(clock, 10.0)
    (job,) = accepted(office, 1)
    office.lengths["sceneshift.submit"] = 1000
    office.timekeeper.tick()
    assert office.publisher.calls == []
    assert due_at(office.store, job.id) == clock.now() + 100.0


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


def limited(office: Office, **limits: float) -> None:
    """The office's permits have these limits from now on."""
    store = office.store
    permits = Permits(store.client, store.keys, store.clock, Limits(**limits))  # type: ignore[arg-type]  # one is whole
    office.timekeeper._store = replace(store, permits=permits)


def test_bulk_submissions_go_out_no_faster_than_they_may_be_sent(office: Office, clock: ManualClock) -> None:
    """Two seconds of the rate are handed out; the others are put off, each until its turn can have come."""
    limited(office, submit_rate=4.0)
    jobs = accepted(office, 30)
    office.timekeeper.tick()
    assert office.publisher.task_ids == [f"{job.id}:submit-1" for job in jobs[:8]]
    first, second, *_, last = [due_at(office.store, job.id) or 0.0 for job in jobs[8:]]
    assert second - first == pytest.approx(0.25, abs=0.002)
    assert last - first == pytest.approx(21 * 0.25, abs=0.002)
    assert first > clock.now()


def test_those_that_were_handed_out_before_go_first(office: Office) -> None:
    """A job that waited for its moment is handed out again, although the rate leaves no room for others."""
    limited(office, submit_rate=1.0)
    for number in range(20):
        office.timekeeper._store.permits.reserve_submission(f"job_{number}")
    accepted(office, 5)
    waited = place(
        office.store, SITUATIONS["queued"].evolve(id=a_job().id, blocked_by="submit_rate", blocked_until=NOW)
    )
    office.store.client.zadd(office.store.keys.due, {waited.id: NOW})
    office.timekeeper.tick()
    assert office.publisher.task_ids[0] == f"{waited.id}:submit-1"
    assert len(office.publisher.task_ids) == 2  # and the tenth that bulk jobs always have


def test_questions_go_out_no_faster_than_they_may_be_asked(office: Office, clock: ManualClock) -> None:
    """The rate is kept over all ticks, nothing is dropped, and everything is asked in the end."""
    limited(office, query_rate=20.0)
    jobs = rendering(office, 60)
    asked_at: list[float] = []
    while len(asked_at) < len(jobs):
        before = len(_jobs_in(office))
        office.later(clock, 0.1)
        asked_at += [clock.now() - NOW] * (len(_jobs_in(office)) - before)
        assert clock.now() < NOW + 10.0
    assert sorted(_jobs_in(office)) == sorted(job.id for job in jobs)
    assert asked_at[-1] - asked_at[0] == pytest.approx(2.5, abs=0.2)


def _jobs_in(office: Office) -> list[str]:
    """The jobs of all messages, in order, whether alone or in batches."""
    return [
        job_id
        for message in office.publisher.messages
        for job_id in message.kwargs.get("job_ids") or [message.kwargs["job_id"]]
    ]
