"""Time as a port, because due times, leases and timelines of many workers must come from one clock: the job store's."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from redis import Redis


def elapsed() -> float:
    """Seconds since some moment, on a clock that nobody sets and that goes on while the machine is suspended.

    The latter only where the platform has `CLOCK_BOOTTIME`, as Linux does: its `time.monotonic` stands still meanwhile.
    """
    boot_time: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def read(self) -> float:
        """The same, as its source has it at this moment, whatever it said before."""
        ...


class SystemClock:
    """This machine's clock, for what never meets another machine's."""

    def now(self) -> float:
        return time.time()

    def read(self) -> float:
        return time.time()


class RedisClock:
    """The clock of the job store's server (Redis `TIME`), so that workers with wrong clocks agree.

    Between readings it is carried on by `elapsed`, which no time adjustment moves and no suspension stops.
    """

    def __init__(self, client: Redis, *, refresh_seconds: float = 30.0) -> None:
        self._client = client
        self._refresh_seconds = refresh_seconds
        self._lock = threading.Lock()
        self._offset_seconds = 0.0
        self._read_at = float("-inf")

    def now(self) -> float:
        moment = elapsed()
        if moment - self._read_at > self._refresh_seconds:
            return self.read()
        return moment + self._offset_seconds

    def read(self) -> float:
        seconds, microseconds = self._client.time()
        now: float = seconds + microseconds / 1e6
        with self._lock:
            moment = elapsed()
            self._offset_seconds = now - moment
            self._read_at = moment
        return now


class ManualClock:
    """A clock that stands until it is moved, for tests and simulations."""

    def __init__(self, now: float = 1_795_392_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def read(self) -> float:
        return self.now()

    def advance(self, seconds: float) -> None:
        """Time has moved on by this much."""
        self._now += seconds
