"""Backlog is not loss: how a timekeeper tells a message that waits in a long queue from one that is gone.

A step whose message nobody has taken within its lease is published again. When the broker's queue is longer than a
lease takes to drain, the message is probably still in there, and publishing another would only make the queue longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

DUPLICATES_ALLOWED = 50
"""In a queue this short a few duplicates do no harm, and nothing is measured."""

PAUSE_MAX_SECONDS = 600.0
"""The longest that a step waits before its message is given up for lost after all."""

WINDOW_SECONDS = 15.0


def pause_for_backlog(queue_length: int, begun_per_second: float, lease_seconds: float) -> float | None:
    """How long to wait before publishing into this queue, or None to publish now."""
    if queue_length <= max(DUPLICATES_ALLOWED, begun_per_second * lease_seconds):
        return None
    if begun_per_second <= 0:
        return lease_seconds
    return min(max(queue_length / begun_per_second, lease_seconds), PAUSE_MAX_SECONDS)


class BeginRates:
    """How many steps of each task the whole fleet begins per second, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque()

    def note(self, at: float, counts: Mapping[str, int]) -> None:
        """The counters stood so at this time (any clock, in seconds)."""
        self._samples.append((at, counts))
        while at - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self, task: str) -> float:
        """The rate over the window; 0 before two samples were taken."""
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        if last_at <= first_at:
            return 0.0
        return max(0, last.get(task, 0) - first.get(task, 0)) / (last_at - first_at)
