"""How many of this process's threads endpoints may hold that are slow, failing or unknown, so that some are left."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sceneshift.jobs.lanes import LaneKind, in_flight_limits

DEFAULT_THREADS = 16
SLOW_SHARE = 4
"""One in so many threads may wait for slow and failing endpoints."""
UNKNOWN_SHARE = 2
"""One in so many may wait for those, and for endpoints that were never tried, together."""

PAUSE_SECONDS = 1.0
PAUSE_MAX_SECONDS = 30.0
LOOKS_PER_SECOND = 20.0
"""A lane for which no thread is left is looked at again after a second; when there are many, one after the other."""


class ThreadShares:
    """The threads of one process, shared by its attempts at webhooks."""

    def __init__(self, threads: int = DEFAULT_THREADS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.threads = threads
        self.limits: Mapping[LaneKind, int] = in_flight_limits(threads)
        self._slow_max = max(1, threads // SLOW_SHARE)
        self._unknown_max = max(1, threads // UNKNOWN_SHARE)
        self._lock = threading.Lock()
        self._held: Counter[LaneKind] = Counter()
        self._monotonic = monotonic
        self._back_at = 0.0

    @contextmanager
    def taking(self, kind: LaneKind) -> Iterator[bool]:
        """Whether there is a thread for such an endpoint; it is held until the context ends."""
        with self._lock:
            granted = self._has_room(kind)
            if granted:
                self._held[kind] += 1
        try:
            yield granted
        finally:
            if granted:
                with self._lock:
                    self._held[kind] -= 1

    def pause_seconds(self) -> float:
        """After so long, the lane that has got no thread is looked at again."""
        with self._lock:
            now = self._monotonic()
            next_at = max(self._back_at + 1 / LOOKS_PER_SECOND, now + PAUSE_SECONDS)
            self._back_at = min(next_at, now + PAUSE_MAX_SECONDS)
            return self._back_at - now

    def _has_room(self, kind: LaneKind) -> bool:
        if kind is LaneKind.QUICK:
            return True
        slow = self._held[LaneKind.SLOW] + self._held[LaneKind.FAILING]
        if kind is LaneKind.UNTRIED:
            return slow + self._held[LaneKind.UNTRIED] < self._unknown_max
        return slow < self._slow_max
