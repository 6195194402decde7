"""Endpoints that are away for days: their events wait, the operators are told, and nothing is lost or out of order."""

from __future__ import annotations

import itertools
import json
import math
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

import fakeredis
import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.lanes import LaneKind, lane_of_url
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import open_job_store
from sceneshift.webhooks import verify
from tasks.thread_shares import ThreadShares
from tests.factories import NOW, WEBHOOK_URL
from tests.unit.tasks.ports import answer
from tests.unit.tasks.receiver import Receiver, warnings_in
from tests.unit.tasks.workshop import Workshop
from tests.webhook_material import SECRET

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
LANE = lane_of_url(WEBHOOK_URL)
NEVER = math.inf
ALL_WARNINGS = [("failing", 50), ("failing", 70), ("failing", 90), ("disabled", 100)]


@pytest.fixture
def work(settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Days pass here, of which the imitation of a server notices nothing."""
    monkeypatch.setattr("tasks.services._services", None)
    client = fakeredis.FakeRedis(decode_responses=True)
    mine = settings.model_copy(update={"webhook_secret": type(settings)(webhook_secret=SECRET).webhook_secret})
    return Workshop(open_job_store(mine, patience=TIMEKEEPER, client=client, clock=clock), mine, clock)


def test_an_endpoint_that_is_back_after_74_hours_gets_links_that_work(work: Workshop) -> None:
    """Every attempt had the one id; the one that succeeds has links for a day and a signature of its own time."""
    receiver = Receiver(work, up_from=NOW + 74 * HOUR)
    job = work.storing()
    work.wake(job.id)
    receiver.run(110 * HOUR)
    ((arrived_at, post),) = receiver.arrived
    assert arrived_at > NOW + 74 * HOUR
    verify(post.body, post.headers, SECRET, now=arrived_at)
    assert {each.headers["webhook-id"] for each in work.web.posts} == {f"evt_{job.id[4:]}_1"}
    for output in json.loads(post.body)["data"]["outputs"]:
        ends_at = datetime.fromisoformat(output["url_expires_at"]).timestamp()
        assert ends_at - arrived_at >= HOUR
    assert work.delivery(job.id).status == "delivered"
    assert work.store.lanes.get(LANE).status == "closed"


def test_an_endpoint_that_is_down_for_six_days_loses_nothing(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """It is warned of at each threshold once, and disabled at five days; then it catches up, within the rate."""
    receiver = Receiver(work, up_from=NOW + 6 * DAY)
    events = []
    for _ in range(6 * 24 // 3):
        events.append(receiver.event())
        receiver.run(3 * HOUR)
    assert warnings_in(caplog) == ALL_WARNINGS
    lane = work.store.lanes.get(LANE)
    assert (lane.status, lane.disabled_by) == ("disabled", "failing")
    assert lane.waiting + lane.missed + lane.retrying == len(events)
    assert lane.disabled_at == pytest.approx(NOW + 5 * DAY, abs=HOUR)
    assert receiver.arrived == []
    assert work.store.lanes.enable(LANE) == len(events)
    events.append(receiver.event())
    receiver.run(60.0)
    assert receiver.event_ids == events
    times = [at for at, _ in receiver.arrived]
    assert all(later - earlier >= 0.0999 for earlier, later in itertools.pairwise(times))
    lane = work.store.lanes.get(LANE)
    assert (lane.status, lane.is_catching_up, lane.waiting, lane.missed) == ("closed", False, 0, 0)
    assert work.store.client.zcard(work.store.keys.due) == 0
    assert work.store.client.zcard(work.store.keys.exhausted_deliveries) == 0
    counts = work.store.lanes.counts()
    assert counts["delivered"] == len(events)
    assert [counts[f"warned:{percent}"] for percent in (50, 70, 90, 100)] == [1, 1, 1, 1]


def test_nobody_is_asked_when_an_endpoint_comes_back_in_time(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """After three days it has everything, in order, and was warned of once."""
    receiver = Receiver(work, up_from=NOW + 3 * DAY)
    events = []
    for _ in range(3 * 24 // 3):
        events.append(receiver.event())
        receiver.run(3 * HOUR)
    receiver.run(HOUR)
    assert warnings_in(caplog) == ALL_WARNINGS[:1]
    probe, *rest = receiver.event_ids
    assert rest == [event for event in events if event != probe]


def test_a_missed_event_arrives_when_the_endpoint_is_back(work: Workshop) -> None:
    """Its ten tries are used up after three days; nothing else happens there, and it is delivered all the same."""
    receiver = Receiver(work, up_from=NOW + 4 * DAY)
    event = receiver.event()
    receiver.run(3.9 * DAY)
    lane = work.store.lanes.get(LANE)
    assert (lane.missed, lane.waiting) == (1, 0)
    assert len(work.web.posts) >= 10
    receiver.run(0.5 * DAY)
    assert receiver.event_ids == [event]
    assert work.store.lanes.get(LANE).missed == 0


def test_warnings_come_without_any_attempt(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """A keeper sees how long an endpoint has been failing, though nothing is sent there; each is told once."""
    receiver = Receiver(work, up_from=NEVER)
    receiver.event()
    receiver.run(HOUR)
    work.store.client.delete(work.store.keys.due)
    posts = len(work.web.posts)
    receiver.run(6 * DAY)
    assert len(work.web.posts) == posts
    assert warnings_in(caplog) == ALL_WARNINGS


def test_an_event_that_outlives_its_job_ends_in_sight_of_all(work: Workshop, settings: Settings) -> None:
    """Also in a disabled lane: it is listed as exhausted, because its job is forgotten."""
    receiver = Receiver(work, up_from=NEVER)
    event = receiver.event()
    receiver.run(6 * DAY)
    delivery_id = f"dlv_{event[4:]}"
    job_id = f"job_{event[4:].partition('_')[0]}"
    receiver.run(settings.job_retention_seconds - 6 * DAY - HOUR)
    assert work.store.client.hget(work.store.keys.delivery(delivery_id), "status") == "missed"
    work.store.client.delete(work.store.keys.job(job_id), work.store.keys.order(job_id))
    receiver.run(2 * HOUR)
    fields = work.store.client.hgetall(work.store.keys.delivery(delivery_id))
    assert (fields["status"], fields["last_status"]) == ("exhausted", "job_expired")
    assert work.store.client.zscore(work.store.keys.exhausted_deliveries, delivery_id) is not None
    assert work.store.client.zcard(work.store.keys.due) == 0


def test_one_that_says_gone_gets_nothing_more(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """The operators are told at once, and what happens meanwhile waits until they enable it."""
    receiver = Receiver(work, up_from=NOW)
    gone = [answer(410)]
    react = work.web.on_post
    work.web.on_post = lambda post: gone.pop() if gone else react(post)
    events = [receiver.event()]
    receiver.run(30.0)
    assert warnings_in(caplog) == [("disabled", 100)]
    events.append(receiver.event())
    receiver.run(DAY)
    assert receiver.arrived == []
    assert work.store.lanes.get(LANE).disabled_by == "gone"
    assert work.store.lanes.enable(LANE) == 2
    receiver.run(1.0)
    assert receiver.event_ids == events


@pytest.mark.parametrize(
    ("header", "status", "lane"), [("abort", "aborted", "closed"), ("disable", "missed", "disabled")]
)
def test_a_receiver_says_what_becomes_of_a_delivery(work: Workshop, header: str, status: str, lane: str) -> None:
    """`webhook-delivery: abort` ends this one; `disable` ends all, until a person decides."""
    job = work.storing()
    work.wake(job.id)
    work.web.on_post = lambda _post: answer(500, **{"webhook-delivery": header.upper()})
    assert work.deliver(job.id)["status"] == status
    assert work.store.lanes.get(LANE).status == lane
    assert work.delivery(job.id).status == status


@pytest.mark.parametrize(("status", "word"), [(401, "log-in"), (403, "firewall"), (404, "URL"), (500, "")])
def test_an_answer_that_mostly_has_one_cause_names_it(
    work: Workshop, caplog: pytest.LogCaptureFixture, status: int, word: str
) -> None:
    """Whoever reads the log need not guess; other failures have no such hint."""
    job = work.storing()
    work.wake(job.id)
    work.web.on_post = lambda _post: answer(status)
    assert work.deliver(job.id)["status"] == "pending"
    (record,) = [record for record in caplog.records if record.getMessage() == "webhook.attempted"]
    hint: str = record.__dict__.get("hint", "")
    assert (word in hint) is True
    assert bool(hint) is bool(word)


def test_each_attempt_can_be_read_afterwards(work: Workshop) -> None:
    """When it began, what came of it, how long it took and what was answered; the last twenty."""
    job = work.storing()
    work.wake(job.id)
    refusal = replace(answer(500), body=b"no\nway: https://shop.example/log?token=1")
    work.web.on_post = lambda _post: refusal
    delivery = work.delivery(job.id)
    for _ in range(25):
        work.store.client.delete(work.store.keys.lane(LANE))
        work.store.client.hset(work.store.keys.delivery(delivery.id), "attempts_before", work.delivery(job.id).attempts)
        work.deliver(job.id)
        work.clock.advance(2.0)
    attempts = work.store.deliveries.attempts_of(delivery.id)
    assert [attempt.number for attempt in attempts] == list(range(6, 26))
    assert {(attempt.outcome, attempt.answer) for attempt in attempts} == {
        ("500", r"no\nway: https://shop.example/log")
    }
    assert [later.at - earlier.at for earlier, later in itertools.pairwise(attempts)] == [2.0] * 19


def test_the_events_of_endpoints_that_hold_all_threads_keep_nobody_busy(work: Workshop) -> None:
    """However many there are, one of each endpoint is looked at in a second, and all arrive in the end."""
    work.use(shares=ThreadShares(16, monotonic=work.clock.now))
    receiver = Receiver(work, up_from=NOW + MINUTE)
    events = [receiver.event()]
    receiver.run(MINUTE)
    with ExitStack() as others:
        while others.enter_context(work.services.shares.taking(LaneKind.FAILING)):
            pass
        events += [receiver.event() for _ in range(30)]
        before = work.store.due.begun_counts()["sceneshift.notify"]
        receiver.run(2 * MINUTE)
        assert work.store.due.begun_counts()["sceneshift.notify"] - before <= 30 + 30 + 120
        assert receiver.arrived == []
    receiver.run(10 * MINUTE)
    assert sorted(receiver.event_ids) == sorted(events)
