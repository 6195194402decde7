"""Permits: one moment for each submission, no more jobs at the provider than there are slots, and questions in time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.jobs import IntentGuard, SlotsFullError
from sceneshift.store.limits import LimitStore
from sceneshift.store.opening import Store, open_job_store
from sceneshift.store.permits import WAITING_SECONDS, Limits, Permits
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from workers.embedded.redis_server import RedisServer

Limited = Callable[..., Permits]


@pytest.fixture
def limited(store: Store) -> Limited:
    """Permits with the limits that a test names."""
    return lambda **limits: Permits(store.client, store.keys, store.clock, Limits(**limits))


def at_the_provider(store: Store, count: int) -> list[str]:
    return [place(store, SITUATIONS["rendering"].evolve(id=a_job().id)).id for _ in range(count)]


def moments(permits: Permits, count: int) -> list[float]:
    reserved = [permits.reserve_submission(f"job_{number}").moment for number in range(count)]
    return [moment for moment in reserved if moment is not None]


def test_each_submission_gets_a_moment_of_its_own(limited: Limited, clock: ManualClock) -> None:
    """Two a second: now, and then every half second, however many ask at once."""
    now = clock.now()
    assert moments(limited(submit_rate=2.0), 5) == pytest.approx(
        [now, now + 0.5, now + 1.0, now + 1.5, now + 2.0], abs=1e-3
    )


def test_a_pause_is_not_made_up_for(limited: Limited, clock: ManualClock) -> None:
    """After an idle minute, the rate begins anew: there is no burst."""
    permits = limited(submit_rate=2.0)
    moments(permits, 1)
    clock.advance(60.0)
    now = clock.now()
    assert moments(permits, 3) == pytest.approx([now, now + 0.5, now + 1.0], abs=1e-3)


def test_workers_never_share_a_moment(redis_server: RedisServer, settings: Settings) -> None:
    """Eight workers that reserve at the same time, on a real server, get eighty different moments, evenly apart."""
    limits = settings.model_copy(update={"submit_rate": 100.0})
    clock = ManualClock(1_800_000_000.0)
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()

    def reserve(_worker: int) -> list[float]:
        store = open_job_store(limits, patience=TIMEKEEPER, client=connect(redis_server.url, TIMEKEEPER), clock=clock)
        try:
            return moments(store.permits, 10)
        finally:
            store.client.close()

    with ThreadPoolExecutor(8) as workers:
        reserved = sorted(moment for each in workers.map(reserve, range(8)) for moment in each)
    client.close()
    assert reserved == pytest.approx([clock.now() + number / 100 for number in range(80)], abs=1e-3)


def test_without_limits_everything_goes_and_nothing_is_kept(limited: Limited, store: Store) -> None:
    """No limit of ours leaves no key behind."""
    permits = limited()
    assert moments(permits, 3) == [store.clock.now()] * 3
    assert permits.take_queries(500) == (500, 0.0)
    assert permits.room_for_bulk(500, within_seconds=2.0) == 500
    assert list(store.client.scan_iter(f"{store.keys.prefix}:rate:*")) == []


def test_no_slot_is_no_moment_and_costs_none(limited: Limited, store: Store, clock: ManualClock) -> None:
    """While the provider is at as many jobs as it may be, nothing is reserved; one is done, and the next goes."""
    permits = limited(submit_rate=1.0, max_in_flight=2)
    first, _ = at_the_provider(store, 2)
    assert [permits.reserve_submission("job_X").moment for _ in range(3)] == [None] * 3
    job = store.jobs.load(first)
    assert job is not None
    assert store.jobs.transition(job, EVENTS["results"]) is not None
    assert permits.reserve_submission("job_X").moment == pytest.approx(clock.now(), abs=1e-3)


@pytest.mark.parametrize(("setting", "set_to"), [(3, None), (None, "3"), (1, "3")])
def test_slots_are_never_exceeded_by_workers_that_store_their_intents_at_once(
    redis_server: RedisServer, settings: Settings, clock: ManualClock, setting: int | None, set_to: str | None
) -> None:
    """Twelve intents for three slots, from eight threads on a real server: three are stored, whoever set the limit."""
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    limited = settings.model_copy(update={"max_in_flight": setting})
    store = open_job_store(limited, patience=TIMEKEEPER, client=client, clock=clock)
    if set_to is not None:
        LimitStore(client, store.keys, clock).set({"max_in_flight": set_to}, by="ann")
    jobs = [a_job() for _ in range(12)]
    for job in jobs:
        store.jobs.accept(job, publish=True)

    def intend(number: int) -> bool:
        try:
            return store.jobs.transition(jobs[number], EVENTS["intent"], guard=IntentGuard()) is not None
        except SlotsFullError:
            return False

    with ThreadPoolExecutor(8) as workers:
        stored = list(workers.map(intend, range(12)))
    counts = store.jobs.counts()
    client.close()
    assert sum(stored) == 3
    assert (counts[JobState.SUBMITTING], counts[JobState.QUEUED]) == (3, 9)


def test_bulk_jobs_get_what_urgent_ones_leave(limited: Limited, clock: ManualClock) -> None:
    """Room for two seconds of submissions, less what is reserved already."""
    permits = limited(submit_rate=4.0)
    assert permits.room_for_bulk(100, within_seconds=2.0) == 8
    moments(permits, 6)
    assert permits.room_for_bulk(100, within_seconds=2.0) == 2
    assert permits.room_for_bulk(1, within_seconds=2.0) == 1
    clock.advance(1.5)
    assert permits.room_for_bulk(100, within_seconds=2.0) == 8


def test_bulk_jobs_keep_a_tenth_when_urgent_ones_want_all(limited: Limited, clock: ManualClock) -> None:
    """With an endless queue of urgent jobs, bulk jobs still go out at a tenth of the rate."""
    permits = limited(submit_rate=10.0)
    moments(permits, 1000)
    out = 0
    for _ in range(100):
        out += permits.room_for_bulk(50, within_seconds=2.0)
        clock.advance(0.1)
    assert out == 10


def test_bulk_jobs_leave_slots_to_urgent_ones_that_wait(limited: Limited, store: Store, clock: ManualClock) -> None:
    """A job that was told that there is no slot has a claim to the next one, until it has got it."""
    permits = limited(max_in_flight=3)
    ids = at_the_provider(store, 3)
    assert permits.reserve_submission("job_urgent").moment is None
    for job_id in ids[:2]:
        job = store.jobs.load(job_id)
        assert job is not None
        assert store.jobs.transition(job, EVENTS["results"]) is not None
    assert permits.room_for_bulk(10, within_seconds=2.0) == 1
    assert permits.reserve_submission("job_urgent").moment == pytest.approx(clock.now(), abs=1e-3)
    assert permits.room_for_bulk(10, within_seconds=2.0) == 2


def test_a_claim_to_a_slot_ends_with_whoever_had_it(limited: Limited, store: Store, clock: ManualClock) -> None:
    """A job that does not ask again, because it was cancelled, keeps no slot from others."""
    permits = limited(max_in_flight=2)
    (job_id,) = at_the_provider(store, 1)
    assert permits.room_for_bulk(10, within_seconds=2.0) == 1
    at_the_provider(store, 1)
    assert permits.reserve_submission("job_gone").moment is None
    job = store.jobs.load(job_id)
    assert job is not None
    assert store.jobs.transition(job, EVENTS["results"]) is not None
    assert permits.room_for_bulk(10, within_seconds=2.0) == 0
    clock.advance(WAITING_SECONDS + 0.001)
    assert permits.room_for_bulk(10, within_seconds=2.0) == 1


def test_questions_are_as_many_as_the_rate_allows(limited: Limited, clock: ManualClock) -> None:
    """Half a second's worth at once, then no more than the rate, in ticks of any length."""
    permits = limited(query_rate=20.0)
    first, then = permits.take_queries(100), permits.take_queries(100)
    assert (first[0], then[0]) == (10, 0)
    assert (first[1], then[1]) == pytest.approx((0.05, 0.05))
    asked = 0
    for _ in range(100):
        clock.advance(0.1)
        asked += permits.take_queries(100)[0]
    assert asked == 200


def test_a_slow_rate_still_asks(limited: Limited, clock: ManualClock) -> None:
    """One question in four seconds is one in four seconds."""
    permits = limited(query_rate=0.25)
    answers: list[Any] = []
    for _ in range(8):
        answers.append(permits.take_queries(1)[0])
        clock.advance(1.0)
    assert answers == [1, 0, 0, 0, 1, 0, 0, 0]


def test_limits_are_those_of_the_settings(settings: Settings) -> None:
    """What the settings say is what holds."""
    given = settings.model_copy(update={"submit_rate": 3.0, "query_rate": 7.0, "max_in_flight": 11})
    assert Limits.from_settings(given) == Limits(submit_rate=3.0, query_rate=7.0, max_in_flight=11)
    assert Limits.from_settings(settings) == Limits()
