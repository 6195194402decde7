"""Time as a port, because due times, leases and timelines of many workers must come from one clock: the job store's."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from redis import Redis


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...


class SystemClock:
    """This machine's clock, for what never meets another machine's."""

    def now(self) -> float:
        return time.time()


class RedisClock:
    """The clock of the job store's server (Redis `TIME`), so that workers with wrong clocks agree.

    Between readings it is carried on by the local monotonic clock, which no time adjustment moves.
    """

    def __init__(self, client: Redis, *, refresh_seconds: float = 30.0) -> None:
        self._client = client
        self._refresh_seconds = refresh_seconds
        self._lock = threading.Lock()
        self._offset_seconds = 0.0
        self._read_at = float("-inf")

    def now(self) -> float:
        monotonic = time.monotonic()
        if monotonic - self._read_at > self._refresh_seconds:
            seconds, microseconds = self._client.time()
            with self._lock:
                monotonic = time.monotonic()
                self._offset_seconds = seconds + microseconds / 1e6 - monotonic
                self._read_at = monotonic
        return monotonic + self._offset_seconds


class ManualClock:
    """A clock that stands until it is moved, for tests and simulations."""

    def __init__(self, now: float = 1_795_392_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Time has moved on by this much."""
        self._now += seconds
