"""The steps that this process is at, so that their leases are renewed while they run, and no longer when they hang.

Since when a lease is certain to last is remembered too: who was asleep for longer must not do what others do by now.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from sceneshift.jobs.order import NUM_OUTPUT_RANGE
from sceneshift.settings import Settings
from sceneshift.store.due import Hold

HANG_MIN_SECONDS = 3600.0
FETCHES_PER_IMAGE = 4
"""A result image is fetched twice at the most, and storing it takes no longer than that."""


def hang_seconds(settings: Settings) -> float:
    """After this time a step is believed to hang: every client that it uses would have given up before."""
    return max(HANG_MIN_SECONDS, FETCHES_PER_IMAGE * NUM_OUTPUT_RANGE[1] * settings.result_timeout_seconds)


class Holds:
    """The held steps, which several threads share. The clock is this machine's, in seconds."""

    def __init__(self, hang_seconds: float = HANG_MIN_SECONDS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._hang_seconds = hang_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: dict[Hold, float] = {}
        self._renewed_at: dict[Hold, float] = {}

    @contextmanager
    def keeping(self, hold: Hold, *, taken_at: float = -math.inf) -> Iterator[None]:
        """The step's lease is renewed as long as this context lasts, unless it hangs.

        `taken_at` is a moment before the lease began, on the clock `elapsed`.
        """
        with self._lock:
            self._since[hold] = self._monotonic()
            self._renewed_at[hold] = taken_at
        try:
            yield
        finally:
            with self._lock:
                self._since.pop(hold, None)
                self._renewed_at.pop(hold, None)

    def note_renewed(self, holds: Iterable[Hold], at: float) -> None:
        """The leases of these steps, as far as they are still held, began anew after this moment (`elapsed`)."""
        with self._lock:
            self._renewed_at.update({hold: at for hold in holds if hold in self._renewed_at})

    def renewed_at(self, subject_id: str) -> float:
        """A moment (`elapsed`) before the latest lease of this job's step began; minus infinity when it is not held."""
        with self._lock:
            times = [at for hold, at in self._renewed_at.items() if hold.subject_id == subject_id]
        return max(times, default=-math.inf)

    def current(self) -> list[Hold]:
        """The steps that run at this moment and do not hang."""
        return self._held(hang=False)

    def hanging(self) -> list[Hold]:
        """The steps that have been held for so long that nothing more is expected of them."""
        return self._held(hang=True)

    def _held(self, *, hang: bool) -> list[Hold]:
        hangs_since = self._monotonic() - self._hang_seconds
        with self._lock:
            return [hold for hold, since in self._since.items() if (since < hangs_since) is hang]
