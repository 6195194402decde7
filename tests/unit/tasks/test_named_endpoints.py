"""Webhooks for named endpoints, and those about no job: signed with their own secrets, told to the right ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from sceneshift.jobs.endpoints import Endpoint
from sceneshift.jobs.lanes import EndpointWarning
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.system_events import trial_event
from sceneshift.messages import message_for_due
from sceneshift.settings import Settings
from sceneshift.store.deliveries import Delivery
from sceneshift.webhooks import (
    EndpointDisabled,
    EndpointFailing,
    JobCompleted,
    WebhookTest,
    WebhookVerificationError,
    new_secret,
    verify,
)
from sceneshift.webhooks.endpoint_secrets import endpoint_secret, endpoint_seed
from sceneshift.webhooks.private_keys import public_key_text
from tasks.endpoint_warnings import announce
from tests.factories import WEBHOOK_URL
from tests.unit.jobs.test_endpoints import an_endpoint
from tests.unit.tasks.ports import Post, answer
from tests.unit.tasks.receiver import warnings_in
from tests.unit.tasks.workshop import Workshop
from tests.webhook_material import SECRET
from workers.lane_keeper import LaneKeeper
from workers.message_check import body_fault

KEY, OLD_KEY = new_secret(), new_secret()


@pytest.fixture
def work(work: Workshop, settings: Settings) -> Workshop:
    """A deployment that has a key for its endpoints."""
    work.use(settings=settings.model_copy(update={"webhook_endpoint_key": (SecretStr(KEY),)}))
    return work


def succeed(work: Workshop) -> JobRecord:
    """A job has succeeded, and its webhooks are in the outbox."""
    job = work.storing()
    work.wake(job.id)
    return work.job(job.id)


def deliver(work: Workshop, endpoint: Endpoint) -> Post:
    """What is due for this endpoint is attempted once; returns what it got."""
    before = len(work.web.posts)
    work.clock.advance(work.services.settings.lease_seconds + 1)
    for step in work.store.due.claim(50):
        if step.subject_id.endswith(endpoint.id[3:]) and work.store.due.hand_out([step]):
            message = message_for_due(step)
            assert body_fault(message.task, [[], message.kwargs, None]) is None
            work.run(message)
    (post,) = work.web.posts[before:]
    return post


def the_delivery(work: Workshop, job: JobRecord, endpoint: Endpoint) -> Delivery:
    return next(each for each in work.store.deliveries.of_job(job, [endpoint.id]) if each.lane_id == endpoint.id)


def test_each_receiver_gets_the_event_under_its_own_secret(work: Workshop) -> None:
    """The same event and id; the secret of one is no use at the other."""
    endpoint = an_endpoint(url="https://erp.example/hook")
    work.store.endpoints.add(endpoint)
    job = succeed(work)
    work.deliver(job.id)
    (own,) = work.web.posts
    named = deliver(work, endpoint)
    assert (own.url, named.url) == (WEBHOOK_URL, "https://erp.example/hook")
    assert own.headers["webhook-id"] == named.headers["webhook-id"]
    secret, now = endpoint_secret(KEY, endpoint.id, 1), work.clock.now()
    event = verify(named.body, named.headers, secret, now=now)
    assert isinstance(event, JobCompleted)
    assert event.data.job_id == job.id
    for post, wrong in ((own, secret), (named, SECRET)):
        with pytest.raises(WebhookVerificationError):
            verify(post.body, post.headers, wrong, now=now)


def test_while_a_secret_is_rotated_both_sign(work: Workshop) -> None:
    """Until the overlap ends; afterwards the old one is worth nothing."""
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    work.store.endpoints.update("shop", lambda seen: seen.rotated(work.clock.now(), 3600.0))
    succeed(work)
    post = deliver(work, endpoint)
    old, new = (endpoint_secret(KEY, endpoint.id, number) for number in (1, 2))
    for secret in (old, new):
        verify(post.body, post.headers, secret, now=work.clock.now())
    work.clock.advance(3600.0)
    succeed(work)
    post = deliver(work, endpoint)
    verify(post.body, post.headers, new, now=work.clock.now())
    with pytest.raises(WebhookVerificationError):
        verify(post.body, post.headers, old, now=work.clock.now())


def test_while_the_key_is_replaced_both_sign(work: Workshop, settings: Settings) -> None:
    """Receivers may hold what either key makes."""
    keys = (SecretStr(KEY), SecretStr(OLD_KEY))
    work.use(settings=settings.model_copy(update={"webhook_endpoint_key": keys}))
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    succeed(work)
    post = deliver(work, endpoint)
    for key in (KEY, OLD_KEY):
        verify(post.body, post.headers, endpoint_secret(key, endpoint.id, 1), now=work.clock.now())


def test_a_private_key_signs_beside_the_secret(work: Workshop) -> None:
    """A receiver with the public key alone believes it."""
    endpoint = an_endpoint(ed25519=True)
    work.store.endpoints.add(endpoint)
    succeed(work)
    post = deliver(work, endpoint)
    for held in (public_key_text(endpoint_seed(KEY, endpoint.id, 1)), endpoint_secret(KEY, endpoint.id, 1)):
        verify(post.body, post.headers, held, now=work.clock.now())


def test_without_the_key_nothing_is_sent_unsigned(work: Workshop, settings: Settings) -> None:
    """It waits for the setting like every webhook without a secret."""
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    job = succeed(work)
    work.use(settings=settings)
    work.clock.advance(60.0)
    for step in work.store.due.claim(50):
        work.store.due.hand_out([step])
        work.run(message_for_due(step))
    assert [post.url for post in work.web.posts] == [WEBHOOK_URL]
    delivery = the_delivery(work, job, endpoint)
    assert (delivery.status, delivery.last_status) == ("pending", "no_webhook_secret")


def test_what_waits_goes_where_the_endpoint_is_now(work: Workshop) -> None:
    """After a move, failed webhooks arrive at the new address."""
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    work.web.on_post = lambda _post: answer(500)
    succeed(work)
    assert deliver(work, endpoint).url == "https://shop.example/hook"
    work.web.on_post = lambda _post: answer(204)
    work.store.endpoints.update("shop", lambda seen: replace(seen, url="https://new.example/hook"))
    assert deliver(work, endpoint).url == "https://new.example/hook"


def test_what_waits_for_a_removed_endpoint_ends(work: Workshop) -> None:
    """It is not sent, and says why."""
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    job = succeed(work)
    work.store.endpoints.remove("shop")
    work.clock.advance(60.0)
    for step in work.store.due.claim(50):
        if step.subject_id.endswith(endpoint.id[3:]):
            work.store.due.hand_out([step])
            work.run(message_for_due(step))
    delivery = the_delivery(work, job, endpoint)
    assert (delivery.status, delivery.last_status) == ("exhausted", "endpoint_removed")
    assert work.web.posts == []


@pytest.mark.parametrize("how", ["disabled", "down"])
def test_what_waited_for_a_removed_endpoint_that_was_not_well_ends_too(
    work: Workshop, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """At the next look at lanes, and nobody is warned of an endpoint that is no more, however long ago it failed."""
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    if how == "disabled":
        work.store.lanes.disable(endpoint.id, url=endpoint.url)
    work.web.on_post = lambda _post: answer(503)
    jobs = [succeed(work) for _ in range(5)]
    deliver_waiting(work, endpoint)
    work.store.endpoints.remove("shop")
    work.clock.advance(4 * 86_400.0)
    LaneKeeper(work.services).look()
    deliver_waiting(work, endpoint)
    ended = [the_delivery(work, job, endpoint) for job in jobs]
    assert {(each.status, each.last_status) for each in ended} == {("exhausted", "endpoint_removed")}
    assert work.store.lanes.failing() == []
    assert warnings_in(caplog) == []


def deliver_waiting(work: Workshop, endpoint: Endpoint) -> None:
    """What is due for this endpoint was tried once."""
    for step in work.store.due.claim(50):
        if step.subject_id.endswith(endpoint.id[3:]):
            work.store.due.hand_out([step])
            work.run(message_for_due(step))


def test_a_failing_endpoint_does_not_touch_the_jobs_own(work: Workshop) -> None:
    """Each has its lane: what one refuses, the other takes."""
    endpoint = an_endpoint(url="https://erp.example/hook")
    work.store.endpoints.add(endpoint)
    job = succeed(work)
    work.web.on_post = lambda post: answer(500 if "erp" in post.url else 204)
    work.deliver(job.id)
    deliver(work, endpoint)
    own, named = (work.store.deliveries.of_job(job, [endpoint.id])[number] for number in (0, 1))
    assert (own.status, named.status, named.last_status) == ("delivered", "pending", "500")
    assert work.store.lanes.get(endpoint.id).failures == 1
    assert work.store.lanes.get(own.lane_id).failures == 0


def test_a_trial_is_about_no_job(work: Workshop) -> None:
    """It has an id of its own, is signed like every webhook, and told once however often it is put there."""
    endpoint = an_endpoint(events=["job.*"])
    work.store.endpoints.add(endpoint)
    event = trial_event(endpoint, work.clock.now())
    ids = {work.store.deliveries.tell(event, endpoint.id) for _ in range(2)}
    post = deliver(work, endpoint)
    got = verify(post.body, post.headers, endpoint_secret(KEY, endpoint.id, 1), now=work.clock.now())
    assert isinstance(got, WebhookTest)
    assert (got.id, got.data["endpoint"]["name"]) == (event.id, "shop")
    (delivery_id,) = ids
    work.store.deliveries.tell(event, endpoint.id)
    delivery = work.store.deliveries.get(delivery_id)
    assert delivery is not None
    assert (delivery.status, delivery.job_id, delivery.attempts) == ("delivered", "", 1)
    assert work.store.due.claim(50) == []


@pytest.mark.parametrize(("percent", "kind"), [(50, EndpointFailing), (100, EndpointDisabled)])
def test_the_others_hear_of_a_failing_endpoint(work: Workshop, percent: int, kind: type) -> None:
    """By a signed event at each that takes it, once, and never at the one that fails."""
    failing, pager = an_endpoint(), an_endpoint(name="pager", events=["endpoint.*"], url="https://pager.example/hook")
    work.store.endpoints.add(failing)
    work.store.endpoints.add(pager)
    now = work.clock.now()
    warning = EndpointWarning(
        lane_id=failing.id,
        name="shop",
        url="https://shop.example/hook",
        percent=percent,
        failing_since=now - 3600.0,
        disables_at=now + 3600.0,
        last_status="503",
    )
    for _ in range(2):
        announce(work.services, warning)
    post = deliver(work, pager)
    event = verify(post.body, post.headers, endpoint_secret(KEY, pager.id, 1), now=work.clock.now())
    assert isinstance(event, kind)
    assert isinstance(event, EndpointFailing | EndpointDisabled)
    assert (event.data.name, event.data.percent) == ("shop", percent)
    assert work.store.due.claim(50) == []


def test_a_warning_for_an_endpoint_that_stays_disabled_ends_in_sight_of_all(work: Workshop, settings: Settings) -> None:
    """It has no job that could be forgotten: it ends when jobs of its time are, and does not wait for ever."""
    endpoint = an_endpoint()
    work.store.endpoints.add(endpoint)
    work.store.lanes.disable(endpoint.id, url=endpoint.url, name=endpoint.name)
    delivery_id = work.store.deliveries.tell(trial_event(endpoint, work.clock.now()), endpoint.id)
    keeper = LaneKeeper(work.services)
    for _ in range(3):
        run_due(work)
        work.clock.advance(settings.job_retention_seconds / 2 + 60.0)
        keeper.look()
    delivery = work.store.deliveries.get(delivery_id)
    assert delivery is not None
    assert (delivery.status, delivery.last_status) == ("exhausted", "event_expired")
    assert work.web.posts == []


def run_due(work: Workshop) -> None:
    """Whatever is due is done once."""
    for step in work.store.due.hand_out(work.store.due.claim(50)):
        work.run(message_for_due(step))
