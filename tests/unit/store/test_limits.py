"""Limits that operators set while the system runs, and rates that throttled answers lower."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import pytest

from sceneshift.clock import ManualClock
from sceneshift.errors import InvalidRequestError
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Endpoint
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.limits import LimitStore, Override, read_limit
from sceneshift.store.opening import Store, open_job_store
from sceneshift.store.permits import RETRY_AFTER_MAX_SECONDS, Limits, Permits
from tests.factories import a_job
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place


@pytest.fixture
def limits(store: Store) -> LimitStore:
    """What the command line writes to."""
    return LimitStore(store.client, store.keys, store.clock)


def with_settings(store: Store, **limits: float) -> Permits:
    """A worker's permits, with these settings."""
    return Permits(store.client, store.keys, store.clock, Limits(**limits))  # type: ignore[arg-type]  # one is whole


def moments(permits: Permits, count: int) -> list[float]:
    return [permits.reserve_submission(f"job_{number}").moment or 0.0 for number in range(count)]


def test_a_limit_holds_at_once_for_workers_that_run(store: Store, limits: LimitStore, clock: ManualClock) -> None:
    """Workers with a setting, with another one and with none: from the next permit on all keep the same rate."""
    workers = [with_settings(store, submit_rate=2.0), with_settings(store, submit_rate=50.0), with_settings(store)]
    limits.set({"submit_rate": "5"}, by="ann")
    given = [worker.reserve_submission("job_1").moment for worker in (*workers, *workers)]
    assert given == pytest.approx([clock.now() + 0.2 * number for number in range(6)], abs=1e-3)


def test_none_takes_a_limit_away_and_reset_brings_the_setting_back(
    store: Store, limits: LimitStore, clock: ManualClock
) -> None:
    """`none` is a limit that was set like any other: it hides the setting until it is reset."""
    worker = with_settings(store, submit_rate=2.0)
    limits.set({"submit_rate": "none"}, by="ann")
    assert moments(worker, 4) == [clock.now()] * 4
    assert worker.effective() == Limits()
    limits.reset(["submit_rate"])
    assert moments(worker, 3) == pytest.approx([clock.now(), clock.now() + 0.5, clock.now() + 1.0], abs=1e-3)
    assert limits.overrides() == {}


def test_slots_can_be_limited_and_freed_while_jobs_run(store: Store, limits: LimitStore) -> None:
    """A worker whose settings know no limit gives no permit while the provider is at as many jobs as it may be."""
    worker = with_settings(store)
    for _ in range(2):
        place(store, SITUATIONS["rendering"].evolve(id=a_job().id))
    limits.set({"max_in_flight": "2"}, by="ann")
    assert worker.reserve_submission("job_1").blocked_by == "in_flight"
    assert worker.room_for_bulk(10, within_seconds=2.0) == 0
    limits.set({"max_in_flight": "6"}, by="ann")
    assert worker.reserve_submission("job_1").moment == store.clock.now()
    assert worker.room_for_bulk(10, within_seconds=2.0) == 4
    assert worker.in_flight() == store.jobs.counts()[JobState.RENDERING] == 2


def test_questions_and_bulk_jobs_keep_the_limits_that_were_set(
    store: Store, limits: LimitStore, clock: ManualClock
) -> None:
    """The query rate and the room for bulk jobs follow what was set, too."""
    worker = with_settings(store, query_rate=100.0)
    limits.set({"query_rate": "20", "submit_rate": "4"}, by="ann")
    assert worker.take_queries(100)[0] == 10
    assert worker.room_for_bulk(100, within_seconds=2.0) == 8
    clock.advance(60.0)
    limits.set({"query_rate": "none"}, by="ann")
    assert worker.take_queries(5000) == (5000, 0.0)


def test_a_higher_rate_does_not_wait_for_the_end_of_a_queue_that_the_lower_one_made(
    store: Store, limits: LimitStore, clock: ManualClock
) -> None:
    """A hundred moments lie ahead, over 1,000 s; the next job after the change goes now."""
    worker = with_settings(store, submit_rate=0.1)
    moments(worker, 100)
    limits.set({"submit_rate": "5"}, by="ann")
    assert worker.reserve_submission("job_next").moment == clock.now()


def test_moments_that_a_higher_rate_gave_are_not_used_at_a_lower_one(
    store: Store, limits: LimitStore, clock: ManualClock
) -> None:
    """Of two hundred jobs that hold moments of 100 a second, those beyond the new rate get new ones."""
    worker = with_settings(store, submit_rate=100.0)
    held = moments(worker, 200)
    limits.set({"submit_rate": "5"}, by="ann")
    sent = 0
    for moment in held:
        clock.advance(max(0.0, moment - clock.now()))
        permit = worker.reserve_submission("job_held", holds_moment=True)
        assert permit.moment is not None
        sent += permit.moment <= clock.now()
    assert 10 <= sent <= 17  # two seconds at five a second, and what may be sent ahead in a second


def test_moments_that_are_used_late_and_all_at_once_are_no_burst(store: Store, clock: ManualClock) -> None:
    """All workers stood still for nine seconds: of the ninety jobs whose moments passed, a second's worth goes."""
    worker = with_settings(store, submit_rate=10.0)
    moments(worker, 90)
    clock.advance(9.0)
    given = [worker.reserve_submission(f"job_{n}", holds_moment=True).moment or 0.0 for n in range(90)]
    assert sum(moment <= clock.now() for moment in given) == 12
    later = [moment for moment in given if moment > clock.now()]
    assert min(b - a for a, b in pairwise(later)) == pytest.approx(0.1, abs=1e-3)


def test_it_is_kept_who_set_a_limit_and_when(limits: LimitStore, clock: ManualClock) -> None:
    """Each limit has the last one who set it, and a reset forgets both."""
    limits.set({"submit_rate": "5", "query_rate": "none"}, by="ann")
    clock.advance(60.0)
    limits.set({"query_rate": "7"}, by="bob")
    assert limits.overrides() == {
        "submit_rate": Override(value="5", by="ann", at=clock.now() - 60.0),
        "query_rate": Override(value="7", by="bob", at=clock.now()),
    }
    limits.reset(["submit_rate"])
    assert set(limits.overrides()) == {"query_rate"}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("submit_rate=5", ("submit_rate", "5")),
        ("submit_rate=0.25", ("submit_rate", "0.25")),
        ("query_rate = NONE", ("query_rate", "none")),
        ("max_in_flight=20", ("max_in_flight", "20")),
    ],
)
def test_a_limit_is_read_as_its_setting_is(text: str, read: tuple[str, str]) -> None:
    """What a setting may be, a limit may be."""
    assert read_limit(text) == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("submit_rate", "'submit_rate': write NAME=VALUE"),
        ("submitrate=5", "'submitrate' is not a limit; the nearest is submit_rate"),
        ("submit_rate=0", "submit_rate=0: that is no value for it; give a number per second above 0"),
        ("submit_rate=10001", "at most 10000, or none"),
        ("query_rate=nan", "query_rate=nan: that is no value"),
        ("query_rate=", "query_rate=: that is no value"),
        ("max_in_flight=2.5", "a whole number from 1 up, or none"),
        ("max_in_flight=-1", "a whole number from 1 up, or none"),
        ("key_prefix=x", "'key_prefix' is not a limit"),
    ],
)
def test_a_wrong_limit_is_told_with_its_name_its_value_and_the_remedy(text: str, said: str) -> None:
    """Nothing is guessed, and nothing but limits can be set."""
    with pytest.raises(InvalidRequestError) as caught:
        read_limit(text)
    assert said in caught.value.message


def test_a_throttled_answer_halves_the_rate_once_a_second(store: Store, clock: ManualClock) -> None:
    """Answers to calls that were under way together lower it once; a later one lowers what is left."""
    worker = with_settings(store, submit_rate=8.0)
    first = worker.slow_down(Endpoint.SUBMIT)
    assert first == (8.0, 4.0)
    assert worker.slow_down(Endpoint.SUBMIT) is None
    clock.advance(1.0)
    second = worker.slow_down(Endpoint.SUBMIT)
    assert second == pytest.approx((4.16, 2.08))


def test_a_lowered_rate_comes_back_by_itself(store: Store, clock: ManualClock) -> None:
    """Two per cent of the limit a second: after a halving, all of it in 25 seconds, and never more."""
    worker = with_settings(store, submit_rate=8.0, query_rate=100.0)
    worker.slow_down(Endpoint.SUBMIT)
    rates = []
    for _ in range(4):
        rates.append(worker.effective().submit_rate)
        clock.advance(10.0)
    assert rates == pytest.approx([4.0, 5.6, 7.2, 8.0])
    assert worker.effective().query_rate == 100.0


def test_a_rate_is_never_lowered_to_nothing(store: Store, clock: ManualClock) -> None:
    """However many throttled answers: a thirty-second of the limit is left."""
    worker = with_settings(store, submit_rate=32.0)
    for _ in range(20):
        worker.slow_down(Endpoint.SUBMIT)
        clock.advance(1.0)
    worker.slow_down(Endpoint.SUBMIT)
    assert worker.effective().submit_rate == pytest.approx(1.0)


def test_moments_keep_the_lowered_rate_while_it_grows(store: Store, clock: ManualClock) -> None:
    """The first moments lie twice as far apart, the later ones less and less, and the last as far as ever."""
    worker = with_settings(store, submit_rate=10.0)
    worker.slow_down(Endpoint.SUBMIT)
    given = moments(worker, 300)
    assert given[1] - given[0] == pytest.approx(0.2, abs=0.005)
    assert given[299] - given[298] == pytest.approx(0.1, abs=1e-3)
    assert sum(moment < clock.now() + 10.0 for moment in given) == pytest.approx(60, abs=2)


def test_the_query_rate_is_lowered_by_itself(store: Store, clock: ManualClock) -> None:
    """Throttled questions slow questions down, and no submission."""
    worker = with_settings(store, submit_rate=10.0, query_rate=20.0)
    worker.take_queries(100)
    assert worker.slow_down(Endpoint.QUERY) == (20.0, 10.0)
    asked = 0
    for _ in range(20):
        clock.advance(0.1)
        asked += worker.take_queries(100)[0]
    assert 18 <= asked <= 26
    assert worker.effective().submit_rate == 10.0


def test_bulk_jobs_find_room_for_the_lowered_rate(store: Store) -> None:
    """Half the rate is half the room."""
    worker = with_settings(store, submit_rate=10.0)
    worker.slow_down(Endpoint.SUBMIT)
    assert worker.room_for_bulk(100, within_seconds=2.0) == 10


@pytest.mark.parametrize(("wished", "waited"), [(20.0, 20.0), (86_400.0, RETRY_AFTER_MAX_SECONDS)])
def test_nothing_is_submitted_before_the_provider_wants_it(
    store: Store, clock: ManualClock, wished: float, waited: float
) -> None:
    """Retry-After holds for all jobs within bounds, those included that hold a moment before it."""
    worker = with_settings(store, submit_rate=10.0)
    moments(worker, 3)
    worker.slow_down(Endpoint.SUBMIT, wished)
    free_at = clock.now() + waited
    assert worker.reserve_submission("job_new").moment == pytest.approx(free_at, abs=1e-3)
    clock.advance(0.1)
    assert (worker.reserve_submission("job_1", holds_moment=True).moment or 0.0) >= free_at
    clock.advance(waited)
    assert worker.reserve_submission("job_2", holds_moment=True).moment == pytest.approx(clock.now(), abs=1e-3)


def test_without_a_limit_there_is_nothing_to_lower(store: Store) -> None:
    """`none` is no rate, so that half of it is none; the job itself waits for as long as it was told."""
    worker = with_settings(store)
    assert worker.slow_down(Endpoint.SUBMIT, 20.0) is None
    assert worker.reserve_submission("job_1").moment == store.clock.now()
    assert not store.client.exists(store.keys.pace("submit"))


def test_nothing_is_written_when_a_call_is_not_throttled(store: Store, clock: ManualClock) -> None:
    """A rate grows by what is worked out, not by what is stored."""
    worker = with_settings(store, submit_rate=10.0, query_rate=10.0)
    worker.slow_down(Endpoint.SUBMIT)
    before = store.client.hgetall(store.keys.pace("submit"))
    clock.advance(5.0)
    moments(worker, 5)
    worker.effective()
    assert store.client.hgetall(store.keys.pace("submit")) == before


def test_a_store_knows_the_limits_of_its_settings(store: Store, settings: Settings) -> None:
    """What nobody has changed is what the settings say."""
    given = settings.model_copy(update={"submit_rate": 3.0, "query_rate": 7.0, "max_in_flight": 11})
    opened = open_job_store(given, patience=TIMEKEEPER, client=store.client, clock=store.clock)
    assert asdict(opened.permits.effective()) == {"submit_rate": 3.0, "query_rate": 7.0, "max_in_flight": 11}


def throttle(worker: Permits, retry_after_seconds: float | None = None) -> None:
    """Both calls are throttled now."""
    for endpoint in Endpoint:
        worker.slow_down(endpoint, retry_after_seconds)


def test_a_clock_that_is_set_back_after_throttling_stops_nothing(store: Store, clock: ManualClock) -> None:
    """Six throttled answers, then a server whose clock is three seconds behind: all goes on, at the lowered rates."""
    worker = with_settings(store, submit_rate=10.0, query_rate=10.0)
    for _ in range(6):
        throttle(worker)
        clock.advance(1.0)
    clock.advance(-3.0)
    lowered = worker.effective()
    assert lowered.submit_rate == lowered.query_rate == pytest.approx(10.0 / 32, rel=0.2)
    assert [moment - clock.now() for moment in moments(worker, 3)] == pytest.approx([0.0, 3.0, 4.8], abs=0.3)
    assert worker.take_queries(1)[0] == worker.room_for_bulk(1, within_seconds=0.0) == 1
    assert worker.take_queries(1)[1] < 4.0
    clock.advance(40.0)
    assert worker.room_for_bulk(1, within_seconds=-60.0) == 1


def test_what_was_kept_before_a_clock_was_set_back_by_days_counts_for_nothing(store: Store, clock: ManualClock) -> None:
    """Moments, patience and lowered rates of a time that is days away: all begins anew, and can be lowered anew."""
    worker = with_settings(store, submit_rate=10.0, query_rate=10.0)
    throttle(worker, 20.0)
    moments(worker, 30)
    worker.take_queries(100)
    worker.room_for_bulk(1, within_seconds=-60.0)
    clock.advance(30.0)
    worker.reserve_submission("job_1")
    clock.advance(-2 * 86_400.0)
    assert worker.effective() == Limits(submit_rate=10.0, query_rate=10.0)
    assert worker.take_queries(100)[0] == 5
    assert worker.room_for_bulk(1, within_seconds=-60.0) == 1
    assert [moment - clock.now() for moment in moments(worker, 3)] == pytest.approx([0.0, 0.1, 0.2], abs=1e-3)
    assert worker.slow_down(Endpoint.SUBMIT, 20.0) == (10.0, 5.0)
    assert worker.reserve_submission("job_next").moment == pytest.approx(clock.now() + 20.0, abs=1e-3)


@pytest.mark.parametrize("seconds", [1.0, 50.0])
def test_a_rate_that_was_lowered_stays_so_when_a_clock_is_set_back(
    store: Store, clock: ManualClock, seconds: float
) -> None:
    """It is half of the limit, as it was when it was lowered: no less, and no more."""
    worker = with_settings(store, submit_rate=10.0, query_rate=10.0)
    throttle(worker)
    clock.advance(-seconds)
    assert worker.effective() == Limits(submit_rate=5.0, query_rate=5.0)
    assert worker.slow_down(Endpoint.SUBMIT) is None
    given = moments(worker, 2)
    assert given[1] - given[0] == pytest.approx(0.2, abs=0.01)
    assert worker.take_queries(100)[0] == 3


def test_a_clock_that_is_set_back_by_less_than_a_minute_is_waited_for(store: Store, clock: ManualClock) -> None:
    """The provider's patience is kept, and a question that was taken is not given out twice."""
    worker = with_settings(store, submit_rate=10.0, query_rate=10.0)
    free_at = clock.now() + RETRY_AFTER_MAX_SECONDS
    worker.slow_down(Endpoint.SUBMIT, RETRY_AFTER_MAX_SECONDS)
    worker.take_queries(100)
    clock.advance(-50.0)
    worker.slow_down(Endpoint.SUBMIT, 20.0)
    assert worker.reserve_submission("job_1").moment == pytest.approx(free_at, abs=1e-3)
    assert worker.take_queries(100)[0] == 0


def test_a_rate_that_was_lowered_under_a_lower_limit_is_a_share_of_the_new_one(
    store: Store, limits: LimitStore, clock: ManualClock
) -> None:
    """No less than a thirty-second, for submissions, questions and the next throttled answer alike."""
    worker = with_settings(store, submit_rate=0.01, query_rate=0.01)
    throttle(worker)
    limits.set({"submit_rate": "32", "query_rate": "32"}, by="ann")
    assert worker.effective() == Limits(submit_rate=1.0, query_rate=1.0)
    given = moments(worker, 2)
    assert given[1] - given[0] == pytest.approx(1.0, abs=0.01)
    assert worker.take_queries(100)[0] == 1
    assert worker.take_queries(100)[1] == pytest.approx(1.0)
    clock.advance(1.0)
    assert worker.slow_down(Endpoint.SUBMIT) == (1.0, 1.0)


@pytest.mark.parametrize("change", ["set", "reset"])
def test_questions_and_bulk_jobs_do_not_wait_for_the_moments_of_the_rate_before(
    store: Store, limits: LimitStore, change: str
) -> None:
    """At the old rates the next question would come after 50 s, and the next bulk job after 100."""
    worker = with_settings(store, submit_rate=5.0, query_rate=5.0)
    limits.set({"submit_rate": "0.1", "query_rate": "0.02"}, by="ann")
    assert worker.take_queries(100)[0] == worker.room_for_bulk(1, within_seconds=-60.0) == 1
    assert worker.take_queries(100)[0] == worker.room_for_bulk(1, within_seconds=-60.0) == 0
    if change == "set":
        limits.set({"submit_rate": "5", "query_rate": "5"}, by="ann")
    else:
        limits.reset(["submit_rate", "query_rate"])
    assert worker.take_queries(100)[0] == 3
    assert worker.room_for_bulk(1, within_seconds=-60.0) == 1
