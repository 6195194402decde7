"""`notify`: signed for this attempt, judged by its answer, and never forgotten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from sceneshift.fetch_errors import FetchBlockedError, FetchError, FetchFailedError, FetchTimeoutError
from sceneshift.guarded_http import Answer
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.webhooks import JobCompleted, WebhookVerificationError, verify
from storage.objects import StorageUnavailableError
from tasks.notify import notify
from tests.factories import WEBHOOK_URL, an_order
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import Post, answer
from tests.unit.tasks.workshop import Workshop
from tests.webhook_material import OLD_SECRET, SECRET, STRANGERS_SECRET


@pytest.fixture
def job(work: Workshop, settings: Settings) -> JobRecord:
    """A job that has succeeded, with a webhook to send, under two secrets."""
    secrets = (SecretStr(SECRET), SecretStr(OLD_SECRET))
    work.use(settings=settings.model_copy(update={"webhook_secret": secrets}))
    job = work.storing()
    work.wake(job.id)
    return work.job(job.id)


def answers(work: Workshop, reply: Answer | FetchError) -> None:
    """The receiver answers so, or cannot be reached in this way."""

    def react(_post: Post) -> Answer:
        if isinstance(reply, FetchError):
            raise reply
        return reply

    work.web.on_post = react


def test_a_webhook_is_believed_under_each_of_our_secrets(work: Workshop, job: JobRecord) -> None:
    """A receiver may hold the old or the new one; whoever holds another one refuses it."""
    assert work.deliver(job.id) == {"status": "delivered", "outcome": "204"}
    (post,) = work.web.posts
    now = work.clock.now()
    for secret in (SECRET, OLD_SECRET):
        event = verify(post.body, post.headers, secret, now=now)
        assert isinstance(event, JobCompleted)
        assert event.data.job_id == job.id
    with pytest.raises(WebhookVerificationError):
        verify(post.body, post.headers, STRANGERS_SECRET, now=now)
    assert post.url == WEBHOOK_URL
    assert (post.headers["content-type"], post.headers["sceneshift-attempt"]) == ("application/json", "1")


def test_a_delivered_webhook_has_ended(work: Workshop, job: JobRecord) -> None:
    """Nothing is due any more, and the record says when it arrived."""
    work.deliver(job.id)
    delivery = work.delivery(job.id)
    assert (delivery.status, delivery.attempts, delivery.last_status) == ("delivered", 1, "204")
    assert delivery.delivered_at == pytest.approx(work.clock.now())
    assert work.store.client.zcard(work.store.keys.due) == 0


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(301), "301"),
        (answer(400), "400"),
        (answer(404), "404"),
        (answer(500), "500"),
        (FetchTimeoutError("shop.example: too slow"), "fetch_timeout"),
        (FetchFailedError("shop.example: no answer"), "fetch_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_but_a_success_is_tried_again(
    work: Workshop, job: JobRecord, reply: Answer | FetchError, outcome: str
) -> None:
    """A redirect, a refusal, a breakdown or silence: pending, and due after the first pause of five seconds."""
    answers(work, reply)
    assert work.deliver(job.id) == {"status": "pending", "outcome": outcome}
    delivery = work.delivery(job.id)
    assert (delivery.attempts, delivery.last_status, delivery.step) == (1, outcome, "notify-02")
    assert work.due_in(delivery.id) == pytest.approx(5.0, rel=0.21)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_every_2xx_is_a_success(work: Workshop, job: JobRecord, status: int) -> None:
    """Receivers need not agree on one."""
    answers(work, answer(status))
    assert work.deliver(job.id)["status"] == "delivered"


def test_an_endpoint_that_can_never_work_is_given_up(work: Workshop, job: JobRecord) -> None:
    """A URL that may not be called is listed as exhausted after one try, where a person finds it."""
    answers(work, FetchBlockedError(reason="private"))
    assert work.deliver(job.id)["status"] == "exhausted"
    delivery = work.delivery(job.id)
    assert work.due_at(delivery.id) is None
    assert work.store.client.zscore(work.store.keys.exhausted_deliveries, delivery.id) is not None


def test_a_receiver_that_asks_for_patience_gets_it_within_bounds(work: Workshop, job: JobRecord) -> None:
    """Too much to do is a minute at least; `Retry-After` stretches a pause up to twice its length, and no longer."""
    answers(work, answer(503, retry_after="8"))
    work.deliver(job.id)
    assert work.due_in(work.delivery(job.id).id) == pytest.approx(60.0)
    answers(work, answer(500, retry_after="86400"))
    work.deliver(job.id)
    assert work.due_in(work.delivery(job.id).id) == pytest.approx(600.0)


def test_a_dead_endpoint_is_tried_ten_times_in_three_days(work: Workshop, job: JobRecord) -> None:
    """Each attempt has the one webhook id, its own number, time, links and signature; then it is missed."""
    answers(work, answer(500))
    delivery = work.delivery(job.id)
    began = work.clock.now()
    for attempt in range(1, 11):
        post = (work.deliver(job.id), work.web.posts[-1])[1]
        verify(post.body, post.headers, SECRET, now=work.clock.now())
        assert post.headers["sceneshift-attempt"] == str(attempt)
        if attempt < 10:
            work.clock.advance(work.due_in(delivery.id))
    assert 60 * 3600 < work.clock.now() - began < 90 * 3600
    assert work.delivery(job.id).status == "missed"
    assert {post.headers["webhook-id"] for post in work.web.posts} == {f"evt_{job.id[4:]}_1"}
    assert len({post.headers["webhook-timestamp"] for post in work.web.posts}) == 10
    links = {output["url"] for post in work.web.posts for output in json.loads(post.body)["data"]["outputs"]}
    assert len(links) == 20


def test_a_missed_webhook_gets_ten_new_tries(work: Workshop, job: JobRecord) -> None:
    """When its endpoint is tried again it starts from the beginning, and its attempts are counted on."""
    answers(work, answer(500))
    delivery = work.delivery(job.id)
    for _ in range(9):
        work.deliver(job.id)
        work.clock.advance(work.due_in(delivery.id))
    assert work.deliver(job.id)["status"] == "missed"
    assert work.store.lanes.enable(delivery.lane_id) == 1
    assert work.deliver(job.id)["status"] == "pending"
    assert work.due_in(delivery.id) == pytest.approx(5.0, rel=0.21)
    assert work.web.posts[-1].headers["sceneshift-attempt"] == "11"
    again = work.delivery(job.id)
    assert (again.attempts, again.tries) == (11, 1)


def test_links_work_from_the_attempt_on(work: Workshop, job: JobRecord, settings: Settings) -> None:
    """A webhook that arrives two days late has links that still work for their whole lifetime."""
    work.clock.advance(2 * 86_400.0)
    work.deliver(job.id)
    (output, _) = json.loads(work.web.posts[0].body)["data"]["outputs"]
    event = verify(work.web.posts[0].body, work.web.posts[0].headers, SECRET, now=work.clock.now())
    assert isinstance(event, JobCompleted)
    assert output["url_expires_at"] == "2026-11-26T00:00:00Z"
    assert settings.url_lifetime_seconds == 86_400.0


def test_a_worker_that_dies_after_the_post_leaves_it_to_the_next(work: Workshop, job: JobRecord) -> None:
    """The receiver gets it again under the same id, which is how it can tell; then it is settled once."""

    def arrive_and_die(_post: Post) -> Answer:
        raise KilledError

    work.web.on_post = arrive_and_die
    with pytest.raises(KilledError):
        work.deliver(job.id)
    answers(work, answer(200))
    assert work.bring_back() == [{"status": "delivered", "outcome": "200"}]
    first, second = work.web.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert work.delivery(job.id).attempts == 1


def test_one_message_may_carry_many_webhooks(work: Workshop, job: JobRecord) -> None:
    """Each is attempted once, whatever becomes of the others; the report counts what came of them."""
    other = work.storing()
    work.wake(other.id)
    ids = [work.delivery(job.id).id, work.delivery(other.id).id]
    # The first success makes room for the other: at an endpoint that was never tried, one goes at a time.
    work.deliver(job.id)
    report = notify(delivery_ids=[*ids, "dlv_nobody_1"], steps=["notify-01"] * 3)
    assert report == {"skipped": 2, "delivered": 1}
    assert len(work.web.posts) == 2


def test_a_webhook_that_fails_in_a_batch_leaves_the_others_alone(
    work: Workshop, job: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw costs one lease of one webhook."""
    work.deliver(job.id)
    jobs = [work.storing(), work.storing()]
    for each in jobs:
        work.wake(each.id)
    bad, good = (work.delivery(each.id) for each in jobs)
    load = work.store.jobs.load
    monkeypatch.setattr(work.store.jobs, "load", lambda job_id: 1 / 0 if job_id == bad.job_id else load(job_id))
    assert notify(delivery_ids=[bad.id, good.id], steps=["notify-01"] * 2) == {"error": 1, "delivered": 1}


def test_a_duplicate_message_sends_nothing(work: Workshop, job: JobRecord) -> None:
    """A message is good for one attempt."""
    (message,) = [message for message in work.publisher.messages if message.task == "sceneshift.notify"]
    assert work.run(message)["status"] == "delivered"
    assert work.run(message) == {"skipped": "stale"}
    assert len(work.web.posts) == 1
    assert work.delivery(job.id).status == "delivered"


def test_a_webhook_that_kills_three_workers_is_put_off(work: Workshop, job: JobRecord) -> None:
    """It kills no fourth at once: it counts as one failed attempt, and its schedule goes on."""

    def die(_post: Post) -> Answer:
        raise KilledError

    work.web.on_post = die
    with pytest.raises(KilledError):
        work.deliver(job.id)
    for _ in range(2):
        with pytest.raises(KilledError):
            work.bring_back()
    assert work.bring_back() == [{"status": "pending", "outcome": "poison"}]
    assert len(work.web.posts) == 3
    assert work.due_in(work.delivery(job.id).id) == pytest.approx(5.0, rel=0.21)
    answers(work, answer(200))
    assert work.deliver(job.id)["status"] == "delivered"


@pytest.mark.parametrize("secrets", [(), (SecretStr("whsec_too-short"),)], ids=["none", "malformed"])
def test_without_a_usable_secret_nothing_is_sent_and_nothing_is_lost(
    work: Workshop, job: JobRecord, settings: Settings, secrets: tuple[SecretStr, ...]
) -> None:
    """The webhook waits, unsent rather than unsigned, and is delivered when the setting is mended."""
    work.use(settings=settings.model_copy(update={"webhook_secret": secrets}))
    assert work.deliver(job.id)["status"] == "pending"
    assert work.web.posts == []
    work.use(settings=settings.model_copy(update={"webhook_secret": (SecretStr(SECRET),)}))
    assert work.deliver(job.id)["status"] == "delivered"


def test_a_store_that_makes_no_links_now_delays_the_webhook(
    work: Workshop, job: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent without the links that were promised."""

    def refuse(_key: str, *, lifetime_seconds: float) -> Any:
        raise StorageUnavailableError(f"no link for {lifetime_seconds} s")

    monkeypatch.setattr(work.bucket, "link", refuse)
    assert work.deliver(job.id) == {"status": "pending", "outcome": "storage_unavailable"}
    assert work.web.posts == []


def test_a_job_without_an_endpoint_has_no_webhooks(work: Workshop) -> None:
    """Nothing is put into the outbox, and the job ends all the same."""
    job = work.storing(order=an_order(num_output=2, webhook_url=None))
    work.wake(job.id)
    assert (work.job(job.id).state, work.job(job.id).sequence) == (JobState.SUCCEEDED, 1)
    assert work.store.deliveries.of_job(work.job(job.id)) == []
    assert work.store.client.zcard(work.store.keys.due) == 0
