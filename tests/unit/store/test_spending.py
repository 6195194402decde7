"""What the policy may spend by itself: a budget of images a day, and nothing while too many outcomes are unknown."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from sceneshift.clock import ManualClock
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from workers.embedded.redis_server import RedisServer


def submissions(store: Store, *, sent: int, unknown: int) -> None:
    """So many were sent just now, and so many answers of them lost."""
    for number in range(sent):
        job = place(store, SITUATIONS["queued"].evolve(id=a_job().id))
        change = store.jobs.transition(job, EVENTS["intent"])
        assert change is not None
        if number < unknown:
            assert store.jobs.transition(change.after, EVENTS["lost"])


def test_no_day_s_budget_is_exceeded(store: Store, clock: ManualClock) -> None:
    """20 images are ten jobs of two; what does not fit whole is refused, and the next day begins at midnight UTC."""
    assert Counter(store.ledger.may_resubmit(3, 20) for _ in range(8)) == {"granted": 6, "budget": 2}
    assert store.ledger.may_resubmit(2, 20) == "granted"
    assert store.ledger.may_resubmit(1, 20) == "budget"
    clock.advance(86_399.0)
    assert store.ledger.may_resubmit(1, 20) == "budget"
    clock.advance(1.0)
    assert store.ledger.may_resubmit(20, 20) == "granted"


def test_many_workers_share_one_budget(redis_server: RedisServer, settings: Settings, clock: ManualClock) -> None:
    """64 workers ask at once for two images each: ten get them."""
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    store = open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)
    with ThreadPoolExecutor(16) as pool:
        grants = Counter(pool.map(lambda _: store.ledger.may_resubmit(2, 20), range(64)))
    client.close()
    assert grants == {"granted": 10, "budget": 54}


@pytest.mark.parametrize(
    ("sent", "unknown", "grant"),
    [
        (4, 4, "granted"),
        (5, 5, "incident"),
        (249, 5, "incident"),
        (250, 5, "granted"),
    ],
)
def test_too_many_unknown_outcomes_are_an_incident(store: Store, sent: int, unknown: int, grant: str) -> None:
    """From five on, and above two in a hundred: then nothing is spent, and the budget is not touched."""
    submissions(store, sent=sent, unknown=unknown)
    assert store.ledger.may_resubmit(2, 20) == grant
    assert bool(store.client.exists(store.keys.resubmitted("2026-11-23"))) is (grant == "granted")


def test_an_incident_is_over_after_five_minutes(store: Store, clock: ManualClock) -> None:
    """Only what happened lately counts."""
    submissions(store, sent=5, unknown=5)
    clock.advance(299.0)
    assert store.ledger.may_resubmit(2, 20) == "incident"
    clock.advance(1.0)
    assert store.ledger.may_resubmit(2, 20) == "granted"
