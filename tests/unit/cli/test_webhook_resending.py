"""Sending webhooks once more: the same events under the same ids, and nothing else is touched."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from sceneshift.guarded_http import Answer
from sceneshift.store.resending import resend
from tests.factories import WEBHOOK_URL
from tests.unit.cli.webhook_work import LANE, finished, given_up, sent_again
from tests.unit.store.inspection import everything
from tests.unit.tasks.ports import Post, answer
from tests.unit.tasks.workshop import Workshop

Run = Callable[..., tuple[int, str, str]]


def test_a_delivered_webhook_is_sent_again_under_its_id(work: Workshop) -> None:
    """The receiver gets the same webhook-id with a new signature, and the provider is asked for nothing."""
    job = finished(work)
    work.deliver(job.id)
    calls = len(work.provider.submissions), len(work.provider.questions)
    work.clock.advance(3600)
    assert sent_again(work, job) == "resent"
    assert work.due_in(work.delivery(job.id).id) == 0
    assert work.deliver(job.id) == {"status": "delivered", "outcome": "204"}
    first, second = work.web.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert second.headers["sceneshift-attempt"] == "2"
    assert (len(work.provider.submissions), len(work.provider.questions)) == calls


def test_a_resent_webhook_goes_out_by_itself(work: Workshop) -> None:
    """Nobody publishes anything: a timekeeper finds it due and hands it out, as it does with every other."""
    job = finished(work)
    work.deliver(job.id)
    sent_again(work, job)
    assert work.bring_back() == [{"status": "delivered", "outcome": "204"}]
    assert work.bring_back() == []
    assert len(work.web.posts) == 2


def test_a_given_up_webhook_has_all_its_tries_again(work: Workshop) -> None:
    """It leaves the list of those given up, does not expire on its way, and is tried as often as a new one."""
    job = given_up(work)
    keys, client = work.store.keys, work.store.client
    delivery = work.delivery(job.id)
    assert client.zscore(keys.exhausted_deliveries, delivery.id) is not None
    assert sent_again(work, job) == "resent"
    assert client.zscore(keys.exhausted_deliveries, delivery.id) is None
    assert (client.ttl(keys.delivery(delivery.id)), client.ttl(keys.attempts(delivery.id))) == (-1, -1)
    revived = work.delivery(job.id)
    assert (revived.status, revived.attempts, revived.tries) == ("pending", 1, 0)
    work.web.on_post = lambda _post: answer(500)
    assert work.deliver(job.id)["status"] == "pending"
    assert work.due_in(delivery.id) < 10
    assert [each.outcome for each in work.store.deliveries.attempts_of(delivery.id)] == ["blocked", "500"]


def test_a_webhook_between_two_tries_has_the_next_one_now(work: Workshop) -> None:
    """Its tries go on being counted: it is not a new webhook."""
    job = finished(work)
    work.web.on_post = lambda _post: answer(500)
    for _ in range(2):
        work.deliver(job.id)
    delivery = work.delivery(job.id)
    assert work.due_in(delivery.id) > 200
    assert sent_again(work, job) == "hastened"
    assert work.due_in(delivery.id) == 0
    assert (work.delivery(job.id).attempts, work.delivery(job.id).tries) == (2, 2)


def test_a_webhook_that_is_being_sent_is_left_alone(work: Workshop) -> None:
    """No second worker is put on a webhook while one is at it, whether it was tried before or never."""
    job = finished(work)
    outcomes: list[str] = []

    def look(_post: Post) -> Answer:
        outcomes.append(sent_again(work, job))
        return answer(500)

    work.web.on_post = look
    work.deliver(job.id)
    work.deliver(job.id)
    assert outcomes == ["under_way", "under_way"]
    assert sent_again(work, job) == "hastened"


def test_a_webhook_that_was_just_handed_out_is_left_alone(work: Workshop) -> None:
    """Between being handed out and being taken by a worker, a webhook is not handed out a second time."""
    job = finished(work)
    before = everything(work.store.client)
    assert sent_again(work, job) == "under_way"
    assert everything(work.store.client) == before


def test_a_missed_webhook_that_asks_whether_its_endpoint_is_back_is_left_alone(work: Workshop) -> None:
    """As a probe it is being sent, and what comes of that is not overtaken."""
    job = finished(work)
    delivery = work.delivery(job.id)
    client, keys = work.store.client, work.store.keys
    client.hset(keys.delivery(delivery.id), "status", "missed")
    client.zadd(keys.lane_running(LANE), {delivery.id: work.clock.now() + 20})
    assert sent_again(work, job) == "under_way"
    work.clock.advance(21)
    assert sent_again(work, job) == "resent"


def test_a_webhook_in_its_endpoints_line_is_left_there(work: Workshop) -> None:
    """While an endpoint is down or disabled its webhooks keep their places: they go out by themselves."""
    job = finished(work)
    work.store.lanes.disable(LANE, url=WEBHOOK_URL)
    assert work.deliver(job.id) == {"skipped": "disabled"}
    before = everything(work.store.client)
    assert sent_again(work, job) == "waiting"
    assert everything(work.store.client) == before


def test_a_missed_webhook_goes_out_again(work: Workshop) -> None:
    """One whose endpoint was never seen again leaves the line of the missed, and is tried anew."""
    job = finished(work)
    delivery = work.delivery(job.id)
    client, keys = work.store.client, work.store.keys
    client.hset(keys.delivery(delivery.id), mapping={"status": "missed", "attempts": "10"})
    client.zadd(keys.lane_missed(LANE), {delivery.id: delivery.occurred_at})
    client.zadd(keys.due, {delivery.id: math.inf})
    assert sent_again(work, job) == "resent"
    assert client.zcard(keys.lane_missed(LANE)) == 0
    assert work.delivery(job.id).tries == 0
    assert work.deliver(job.id) == {"status": "delivered", "outcome": "204"}


def test_nothing_is_made_of_what_is_forgotten(work: Workshop) -> None:
    """Without its job, or its own record, a webhook has nothing to say, and no trace of it comes back."""
    job = given_up(work)
    delivery = work.delivery(job.id)
    work.store.client.delete(work.store.keys.job(job.id))
    assert [word for _, word in resend(work.store, [delivery])] == ["job_expired"]
    work.store.client.delete(work.store.keys.delivery(delivery.id))
    assert [word for _, word in resend(work.store, [delivery])] == ["gone"]
    assert work.store.client.zscore(work.store.keys.due, delivery.id) is None


def test_many_for_one_endpoint_come_at_its_rate(work: Workshop) -> None:
    """A thousand resent webhooks are no flood: they are due one after the other, the oldest first."""
    many = [given_up(work) for _ in range(3)]
    deliveries = [work.delivery(job.id) for job in many]
    assert [word for _, word in resend(work.store, deliveries)] == ["resent"] * 3
    pause_seconds = 1 / work.services.settings.webhook_catch_up_rate
    assert [work.due_in(each.id) for each in deliveries] == pytest.approx([0, pause_seconds, 2 * pause_seconds])
