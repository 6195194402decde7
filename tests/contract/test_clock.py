"""What every clock promises: unix seconds that do not go back; and whose time it is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import pytest
from redis import Redis

from sceneshift.clock import Clock, ManualClock, RedisClock, SystemClock
from tests.factories import NOW
from workers.embedded.redis_server import RedisServer

TOLERANCE_SECONDS = 2.0


class LyingMachine:
    """This machine's wall clock, set to any time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set_to(self, now: float) -> None:
        self._monkeypatch.setattr(time, "time", lambda: now)


@pytest.fixture(params=["manual", "system", "fakeredis", "server"])
def any_clock(request: pytest.FixtureRequest) -> Clock:
    """Every implementation in turn; the one of the job store with the imitation and with a real server."""
    if request.param == "manual":
        return ManualClock(time.time())
    if request.param == "system":
        return SystemClock()
    if request.param == "fakeredis":
        return RedisClock(fakeredis.FakeRedis())
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisClock(Redis.from_url(server.url), refresh_seconds=0.0)


def test_a_clock_tells_unix_seconds(any_clock: Clock) -> None:
    """Seconds since 1970 as a float, with their fraction."""
    now = any_clock.now()
    assert isinstance(now, float)
    assert now == pytest.approx(time.time(), abs=TOLERANCE_SECONDS)


def test_a_clock_does_not_go_back(any_clock: Clock) -> None:
    """However often it is looked at, whether or not it reads its source anew."""
    readings = [any_clock.now() for _ in range(300)]
    assert readings == sorted(readings)


def test_a_clock_can_be_read_anew(any_clock: Clock) -> None:
    """It is the same time, from its source: no earlier than before, and no later than afterwards."""
    readings = [any_clock.now(), any_clock.read(), any_clock.now(), any_clock.read()]
    assert readings == sorted(readings)
    assert readings[0] == pytest.approx(time.time(), abs=TOLERANCE_SECONDS)


def test_many_threads_may_look_at_one_clock(any_clock: Clock) -> None:
    """Each of them sees the same time, and none sees it go back."""
    barrier = threading.Barrier(8)

    def look() -> list[float]:
        barrier.wait(timeout=30)
        return [any_clock.now() for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        readings = [future.result() for future in [pool.submit(look) for _ in range(8)]]
    assert all(each == pytest.approx(time.time(), abs=TOLERANCE_SECONDS) for thread in readings for each in thread)


@pytest.mark.parametrize("minutes", [-10, 10])
def test_the_job_store_s_time_counts_and_not_the_machine_s(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """A worker whose clock is wrong by minutes agrees with the others, because it asks the server."""
    client = Redis.from_url(redis_server.url)
    right = SystemClock().now()
    LyingMachine(monkeypatch).set_to(right + minutes * 60.0)
    assert RedisClock(client).now() == pytest.approx(right, abs=TOLERANCE_SECONDS)
    assert SystemClock().now() == pytest.approx(right + minutes * 60.0)


def test_an_adjustment_of_the_machine_s_clock_moves_nothing(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two readings of the server the time is carried on by a clock that nobody sets."""
    clock = RedisClock(Redis.from_url(redis_server.url))
    before = clock.now()
    LyingMachine(monkeypatch).set_to(0.0)
    assert clock.now() == pytest.approx(before, abs=TOLERANCE_SECONDS)


def test_a_manual_clock_moves_as_far_as_it_is_moved() -> None:
    """It is the clock of the other tests, so it must not move by itself."""
    clock = ManualClock(NOW)
    assert clock.now() == clock.now() == NOW
    clock.advance(1.5)
    assert clock.now() == NOW + 1.5
