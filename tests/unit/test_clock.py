"""Time comes from one clock, whatever the machines think."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from sceneshift.clock import ManualClock, RedisClock, SystemClock, elapsed


class FakeServer:
    """The one command that the clock asks for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked = 0

    def time(self) -> tuple[int, int]:
        self.asked += 1
        return int(self.seconds), int(self.seconds % 1 * 1e6)


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The seconds of this machine, moved by the test."""
    clock = ManualClock(1000.0)
    monkeypatch.setattr("sceneshift.clock.elapsed", clock.now)
    return clock


def test_workers_agree_with_the_server(monotonic: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's time counts, to the microsecond, however wrong this machine's is."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    server = FakeServer(1_795_392_000.25)
    clock = RedisClock(server)  # type: ignore[arg-type]  # only `time` is asked for
    assert clock.now() == pytest.approx(1_795_392_000.25, abs=1e-5)
    monotonic.advance(1.5)
    assert clock.now() == pytest.approx(1_795_392_001.75, abs=1e-5)


def test_the_server_is_asked_now_and_then(monotonic: ManualClock) -> None:
    """Between readings nothing is sent, and drift is mended at the next one."""
    server = FakeServer(5000.0)
    clock = RedisClock(server)  # type: ignore[arg-type]  # only `time` is asked for
    for _ in range(31):
        clock.now()
        monotonic.advance(1.0)
    assert server.asked == 1
    server.seconds = 6000.0
    assert clock.now() == pytest.approx(6000.0)
    assert server.asked == 2


def test_a_clock_that_is_read_anew_knows_at_once_that_it_was_set(monotonic: ManualClock) -> None:
    """Whether forward or back; what it says from then on is carried on from there."""
    server = FakeServer(5000.0)
    clock = RedisClock(server)  # type: ignore[arg-type]  # only `time` is asked for
    clock.now()
    for seconds in (4000.0, 9000.0):
        before, server.seconds = clock.now(), seconds
        assert clock.now() == before
        assert clock.read() == pytest.approx(seconds)
        monotonic.advance(2.0)
        assert clock.now() == pytest.approx(seconds + 2.0)


def test_time_goes_on_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of sleep is an hour, though the clock that is called monotonic stood still."""
    suspended = {7: 1000.0}
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "clock_gettime", suspended.__getitem__, raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    clock = RedisClock(FakeServer(5000.0), refresh_seconds=7200.0)  # type: ignore[arg-type]  # only `time` is asked for
    began, now = elapsed(), clock.now()
    suspended[7] += 3600.0
    assert (elapsed() - began, clock.now() - now) == pytest.approx((3600.0, 3600.0))


def test_a_platform_without_such_a_clock_has_its_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the best that there is."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    assert elapsed() == 50.0


def test_a_real_server_s_time_is_about_ours(redis_client: Redis) -> None:
    """On one machine the two clocks are the same."""
    assert RedisClock(redis_client).now() == pytest.approx(SystemClock().now(), abs=2.0)


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    """For tests and simulations."""
    clock = ManualClock(5.0)
    assert (clock.now(), clock.now()) == (5.0, 5.0)
    clock.advance(0.5)
    assert clock.now() == 5.5
