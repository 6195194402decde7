"""Backlog is not loss: how a timekeeper tells a message that waits in a long queue from one that is gone.

A step whose message nobody has taken within its lease is published again. When the broker's queue is longer than a
lease takes to drain, the message is probably still in there, and publishing another would only make the queue longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

DUPLICATES_ALLOWED = 50
"""In a queue this short a few duplicates do no harm, and nothing is measured."""

PAUSE_MAX_SECONDS = 600.0
"""The longest that a step waits before its message is given up for lost after all."""

PAUSE_MIN_SECONDS = 1.0

SPEED_SHOWN_PER_SECOND = 1.0
"""Below this, the fleet's speed says more about what it had to do than about what it can do."""

WINDOW_SECONDS = 15.0

FRESH_SECONDS = 2.0
"""So much work of the fleet may wait in the queue of first submissions before more of it is published."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What may be published into a queue now.

    Attributes:
        waiting: steps whose earlier message nobody has taken may be published again.
        fresh: how many other steps may be published; None sets no limit.
    """

    waiting: bool
    fresh: int | None


def admit(*, queue_length: int | None, begun_per_second: float, lease_seconds: float, filled_slowly: bool) -> Admission:
    """What a queue of this length takes, when the fleet begins so many of its messages per second.

    A message of more than a lease ago cannot be in a queue that drains within a lease. A queue that is filled slowly
    gets two seconds of work at the most. Without a length (the broker does not say), only what was never published and
    needs no limit goes out.
    """
    if queue_length is None:
        return Admission(waiting=False, fresh=0 if filled_slowly else None)
    room = _fresh_max(begun_per_second) - queue_length
    return Admission(
        waiting=queue_length <= max(DUPLICATES_ALLOWED, begun_per_second * lease_seconds),
        fresh=max(0, room) if filled_slowly else None,
    )


def pause_for_backlog(queue_length: int, begun_per_second: float, lease_seconds: float) -> float:
    """How long to wait before looking at this queue again: until it should have drained, within bounds.

    A fleet that has begun next to nothing, because it was away or dying, is not believed to stay so slow: its jobs are
    looked at again after a lease.
    """
    if begun_per_second < SPEED_SHOWN_PER_SECOND:
        return lease_seconds
    return min(max(queue_length / begun_per_second, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)


def pause_for_room(queue_length: int, begun_per_second: float, lease_seconds: float) -> float:
    """How long to wait before looking for room in this queue again: until it should have some, within bounds.

    A fleet that had little to do has not shown how fast it is, so its queue is not believed to stay long.
    """
    excess = queue_length - _fresh_max(begun_per_second)
    if excess <= 0:
        return PAUSE_MIN_SECONDS
    if begun_per_second < SPEED_SHOWN_PER_SECOND:
        return lease_seconds
    return min(max(excess / begun_per_second, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)


def _fresh_max(begun_per_second: float) -> int:
    return max(DUPLICATES_ALLOWED, int(begun_per_second * FRESH_SECONDS))


class BeginRates:
    """How many messages of each task the whole fleet begins per second, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque()

    def note(self, at: float, counts: Mapping[str, int]) -> None:
        """The counters stood so at this time (any clock, in seconds)."""
        self._samples.append((at, counts))
        while at - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self, task: str) -> float:
        """The rate over the window; 0 before two samples were taken."""
        if not self._samples:
            return 0.0
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        if last_at <= first_at:
            return 0.0
        return max(0, last.get(task, 0) - first.get(task, 0)) / (last_at - first_at)
