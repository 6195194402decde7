"""What is learned of the provider's pace: two numbers per kind of job, kept by one script, which nobody waits for."""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.latency import Latency
from sceneshift.settings import Settings
from sceneshift.store.connection import NOTES, SERVICE, TIMEKEEPER, connect
from sceneshift.store.latencies import Latencies
from sceneshift.store.opening import Store, open_job_store
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer

if TYPE_CHECKING:
    from redis import Redis


def another_worker(store: Store) -> Latencies:
    """The latencies as a process sees them that has read none yet."""
    return Latencies(store.client, store.keys, store.clock)


def expected(store: Store, steps: int = 50, outputs: int = 1) -> Latency:
    latency = another_worker(store).expected(steps, outputs)
    assert latency is not None
    return latency


def learn(store: Store, *seconds: float, prefix: str = "job") -> None:
    for number, each in enumerate(seconds):
        store.latencies.learn(f"{prefix}_{number}", 50, 1, each)


def lognormal(count: int, median: float, sigma: float = 0.5) -> list[float]:
    draw = random.Random(5)
    return [median * math.exp(draw.gauss(0.0, sigma)) for _ in range(count)]


def test_before_the_first_job_nothing_is_expected(store: Store) -> None:
    """Then the settings say when to ask."""
    assert store.latencies.expected(50, 1) is None


def test_the_first_job_says_about_what_to_expect(store: Store) -> None:
    """Its time is the median, with the wide deviation of somebody who knows one job."""
    learn(store, 40.0)
    latency = expected(store)
    assert (latency.median_seconds, latency.deviation) == pytest.approx((40.0, math.sqrt(0.5)), rel=1e-5)


def test_median_and_deviation_are_those_of_the_jobs(store: Store) -> None:
    """After some hundred of them, as well as an average over the last sixty can tell."""
    learn(store, *lognormal(300, 80.0))
    latency = expected(store)
    assert latency.median_seconds == pytest.approx(80.0, rel=0.15)
    assert latency.deviation == pytest.approx(0.5, rel=0.2)


def test_the_first_jobs_count_alike(store: Store) -> None:
    """Their median is the geometric mean of them all, and not what the first of them happened to be."""
    learn(store, 10.0, 20.0, 40.0)
    assert expected(store).median_seconds == pytest.approx(20.0, rel=1e-4)


def test_kinds_of_jobs_are_learned_apart(store: Store) -> None:
    """Steps and number of images tell them apart; the sizes and prompts of the orders do not."""
    store.latencies.learn("job_1", 50, 1, 10.0)
    store.latencies.learn("job_2", 50, 4, 40.0)
    store.latencies.learn("job_3", 20, 1, 4.0)
    medians = [expected(store, *kind).median_seconds for kind in ((50, 1), (50, 4), (20, 1))]
    assert medians == pytest.approx([10.0, 40.0, 4.0], rel=1e-4)
    assert store.latencies.expected(20, 4) is None


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_new_pace_is_learned_in_a_hundred_jobs(store: Store, factor: float) -> None:
    """Of what was before them, a twentieth is left in the median."""
    learn(store, *[60.0] * 200)
    learn(store, *[60.0 * factor] * 100, prefix="new")
    assert math.log(expected(store).median_seconds / (60.0 * factor)) == pytest.approx(
        -(0.97**100) * math.log(factor), abs=0.001
    )


def test_an_outage_of_the_workers_spoils_little(store: Store) -> None:
    """Twenty jobs that were found an hour late: the next are asked about no later, and soon all is as it was."""
    usual = lognormal(200, 60.0)
    learn(store, *usual)
    before = expected(store).soonest_seconds
    learn(store, *[3600.0] * 20, prefix="late")
    assert expected(store).soonest_seconds < 1.1 * before
    learn(store, *usual, prefix="again")
    assert expected(store).soonest_seconds == pytest.approx(before, rel=0.1)


def test_one_odd_job_hardly_counts(store: Store) -> None:
    """However long it took, it moves the median as one does that took 4.5 times as long as usual."""
    learn(store, *[60.0] * 200)
    learn(store, 86_400.0, prefix="odd")
    assert expected(store).median_seconds == pytest.approx(60.0 * math.exp(0.03 * 1.5), rel=0.001)


def test_a_repeated_lesson_counts_once(store: Store) -> None:
    """The call may be sent again when its answer was lost."""
    learn(store, 60.0)
    for _ in range(5):
        store.latencies.learn("job_again", 50, 1, 90.0)
    assert expected(store).median_seconds == pytest.approx(math.sqrt(60.0 * 90.0), rel=1e-4)
    assert store.client.hget(store.keys.latency(50, 1), "count") == "2"


def test_what_is_kept_is_small_and_stays_small(store: Store) -> None:
    """Four short fields, however many jobs there were."""
    learn(store, *lognormal(150, 60.0))
    fields: dict[str, str] = store.client.hgetall(store.keys.latency(50, 1))  # type: ignore[assignment]  # redis-py: maybe awaitable
    assert sorted(fields) == ["count", "latest", "mean", "variance"]
    assert all(len(value) < 40 for value in fields.values())


def test_it_is_read_once_in_five_seconds(store: Store, clock: ManualClock) -> None:
    """Each process goes by what it read for that long, also when that was nothing; then by what others learned."""
    assert store.latencies.expected(50, 1) is None
    learn(store, 60.0)
    clock.advance(4.9)
    assert store.latencies.expected(50, 1) is None
    clock.advance(0.1)
    assert store.latencies.expected(50, 1) == expected(store)


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of the real server, which a test may cut off."""
    with closing(connect(redis_server.url, TIMEKEEPER)) as client:
        client.flushdb()
        yield client


def test_a_job_store_that_is_away_leaves_what_was_known(
    server: Redis, settings: Settings, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not asked again for five seconds, each time that it does not answer is one line in the log."""
    store = open_job_store(settings, patience=TIMEKEEPER, client=server, clock=clock)
    learn(store, 60.0)
    known = store.latencies.expected(50, 1)
    assert known is not None
    connection = server.connection_pool.connection_kwargs
    right_port, connection["port"] = connection["port"], free_port()
    server.connection_pool.reset()
    clock.advance(5.0)
    with caplog.at_level(logging.WARNING):
        assert [store.latencies.expected(50, 1) for _ in range(10)] == [known] * 10
        assert [store.latencies.expected(20, 1) for _ in range(10)] == [None] * 10
    assert [record.message for record in caplog.records] == ["latency.not_read"] * 2
    connection["port"] = right_port
    clock.advance(5.0)
    assert store.latencies.expected(50, 1) == known


def test_threads_of_one_worker_read_once_and_learn_all(server: Redis, settings: Settings, clock: ManualClock) -> None:
    """Sixteen threads at once: one question to the job store, and no lesson is lost."""
    store = open_job_store(settings, patience=TIMEKEEPER, client=server, clock=clock)
    learn(store, 60.0)
    server.config_resetstat()
    together = threading.Barrier(16)
    seen: list[Latency | None] = []

    def work(number: int) -> None:
        together.wait(20.0)
        seen.append(store.latencies.expected(50, 1))
        for each in range(10):
            store.latencies.learn(f"job_{number}_{each}", 50, 1, 60.0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    # The script reads with one call of its own each time.
    assert server.info("commandstats")["cmdstat_hmget"]["calls"] == 1 + 160
    assert server.hget(store.keys.latency(50, 1), "count") == "161"


def test_nobody_waits_for_it() -> None:
    """In a worker, whose store has the patience of half a minute, it has a connection that is tried once."""
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    store = open_job_store(settings, patience=SERVICE, clock=ManualClock())
    with closing(store.client), closing(store.latencies._client) as client:
        options = client.connection_pool.connection_kwargs
        assert (options["socket_timeout"], options["retry"]._retries) == (NOTES.timeout_seconds, 0)
        assert store.latencies.expected(50, 1) is None
