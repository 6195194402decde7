"""A clock that a test, or a developer who will not wait, can put forward."""

from __future__ import annotations

from collections.abc import Callable


class MovingClock:
    """Another clock, and what was added to it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead_seconds = 0.0

    def __call__(self) -> float:
        """Unix seconds."""
        return self._clock() + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        """It is so much later from now on."""
        self._ahead_seconds += seconds
