"""The steps that this process is at, so that their leases are renewed while they run, and no longer when they hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
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

    @contextmanager
    def keeping(self, hold: Hold) -> Iterator[None]:
        """The step's lease is renewed as long as this context lasts, unless it hangs."""
        with self._lock:
            self._since[hold] = self._monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._since.pop(hold, None)

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
