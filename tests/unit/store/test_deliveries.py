"""The outbox: each attempt at a webhook is settled once, and moves its due time with it."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.attempts import Attempt
from sceneshift.jobs.change import Change
from sceneshift.jobs.record import JobRecord
from sceneshift.store.deliveries import Delivery, Settlement
from sceneshift.store.opening import Store
from tests.factories import NOW
from tests.unit.jobs.situations import EVENTS, FAULT, SITUATIONS
from tests.unit.store.inspection import due_at, everything, place

TASK = "sceneshift.notify"
RETENTION_SECONDS = 30 * 86_400


def ended(store: Store) -> Change:
    """A job has failed, and its webhook is in the outbox."""
    change = store.jobs.transition(place(store, SITUATIONS["rendering"]), EVENTS["rendering failed"])
    assert change is not None
    return change


def settlement(status: str, outcome: str, due_at: float | None = None) -> Settlement:
    """One attempt has come to this."""
    attempt = Attempt(at=NOW, number=1, outcome=outcome, latency_ms=40)
    return Settlement(status=status, attempt=attempt, counted_as="x", due_at=due_at)


def only_delivery(store: Store, job: JobRecord) -> Delivery:
    (delivery,) = store.deliveries.of_job(job)
    return delivery


def test_a_webhook_is_frozen_at_its_event(store: Store) -> None:
    """What it tells is what was true then: type, state, number, time and fault."""
    job = ended(store).after
    delivery = only_delivery(store, job)
    assert (delivery.type, delivery.state, delivery.sequence, delivery.occurred_at) == ("job.failed", "failed", 1, NOW)
    assert (delivery.error, delivery.sku, delivery.job_id) == (FAULT, job.sku, job.id)
    assert (delivery.last_status, delivery.delivered_at, delivery.starts) == ("", None, 0)


def test_a_delivery_is_taken_like_any_step(store: Store, clock: ManualClock) -> None:
    """One message of it starts one attempt, a duplicate none, and a dead worker's comes back after a lease."""
    delivery = only_delivery(store, ended(store).after)
    assert store.due.begin(delivery.id, "notify-01", TASK).is_taken
    assert store.due.begin(delivery.id, "notify-01", TASK).status == "held"
    clock.advance(20.0)
    (step,) = store.due.claim(10)
    assert (step.subject_id, step.step, step.job_id, step.sku) == (
        delivery.id, "notify-01", delivery.job_id, delivery.sku,
    )  # fmt: skip
    store.due.hand_out([step])
    assert store.due.begin(delivery.id, "notify-01", TASK).starts == 2


def test_a_failed_attempt_is_due_again(store: Store, clock: ManualClock) -> None:
    """The next try has its own name and time, starts with a clean count, and needs a message of its own."""
    delivery = only_delivery(store, ended(store).after)
    store.due.begin(delivery.id, "notify-01", TASK)
    assert store.deliveries.settle(delivery, settlement("pending", "503", NOW + 300.0))
    again = only_delivery(store, ended_job(store, delivery))
    assert (again.step, again.attempts, again.starts, again.status, again.last_status) == (
        "notify-02", 1, 0, "pending", "503",
    )  # fmt: skip
    assert due_at(store, delivery.id) == NOW + 300.0
    assert store.due.begin(delivery.id, "notify-02", TASK).status == "held"
    clock.advance(300.0)
    (step,) = store.due.claim(10)
    assert (step.step, step.parent_step, step.waiting) == ("notify-02", "notify-01", False)
    assert store.due.hand_out([step])
    assert store.due.begin(delivery.id, "notify-02", TASK).starts == 1


def ended_job(store: Store, delivery: Delivery) -> JobRecord:
    job = store.jobs.load(delivery.job_id)
    assert job is not None
    return job


def test_a_delivered_webhook_is_done(store: Store, clock: ManualClock) -> None:
    """It is due no more, has its time, and is kept for the retention."""
    delivery = only_delivery(store, ended(store).after)
    clock.advance(2.0)
    assert store.deliveries.settle(delivery, settlement("delivered", "204"))
    done = only_delivery(store, ended_job(store, delivery))
    assert (done.status, done.last_status, done.delivered_at, done.attempts) == ("delivered", "204", NOW + 2.0, 1)
    assert due_at(store, delivery.id) is None
    assert RETENTION_SECONDS - 10 < store.client.ttl(store.keys.delivery(delivery.id)) <= RETENTION_SECONDS
    assert not store.client.exists(store.keys.exhausted_deliveries)


def test_a_webhook_that_was_given_up_is_listed(store: Store, clock: ManualClock) -> None:
    """Nothing dies silently: it can be found as long as its record is kept, and then the list forgets it."""
    delivery = only_delivery(store, ended(store).after)
    assert store.deliveries.settle(delivery, settlement("exhausted", "410"))
    assert store.client.zscore(store.keys.exhausted_deliveries, delivery.id) == NOW
    assert due_at(store, delivery.id) is None
    clock.advance(RETENTION_SECONDS - 1.0)
    assert store.deliveries.forget_expired() == 0
    clock.advance(1.0)
    assert store.deliveries.forget_expired() == 1
    assert not store.client.exists(store.keys.exhausted_deliveries)


@pytest.mark.parametrize("first", ["pending", "delivered", "exhausted"])
@pytest.mark.parametrize("second", ["pending", "delivered", "exhausted"])
def test_an_attempt_is_settled_once(store: Store, first: str, second: str) -> None:
    """The outcome of a step that was settled already changes nothing."""

    delivery = only_delivery(store, ended(store).after)
    assert store.deliveries.settle(delivery, settlement(first, "x", NOW + 5.0))
    before = everything(store.client)
    assert not store.deliveries.settle(delivery, settlement(second, "x", NOW + 5.0))
    assert everything(store.client) == before


def test_a_delivery_that_has_ended_cannot_be_taken(store: Store) -> None:
    """A late duplicate of the last message starts no further attempt."""
    delivery = only_delivery(store, ended(store).after)
    store.due.begin(delivery.id, "notify-01", TASK)
    assert store.deliveries.settle(delivery, settlement("delivered", "204"))
    assert store.due.begin(delivery.id, "notify-01", TASK).status == "stale"


def test_the_webhooks_of_a_job_are_listed_in_their_order(store: Store) -> None:
    """One per event that told of something, by its number."""
    job = place(store, SITUATIONS["rendering"])
    late = store.jobs.transition(job, EVENTS["poll later, overdue"])
    assert late is not None
    end = store.jobs.transition(late.after, EVENTS["rendering failed"])
    assert end is not None
    assert [(each.sequence, each.type) for each in store.deliveries.of_job(end.after)] == [
        (1, "job.overdue"),
        (2, "job.failed"),
    ]
