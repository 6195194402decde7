"""What a provider lends only so much of: calls per second, tasks at once, and credits."""

from __future__ import annotations

from collections import deque

from sceneshift.simulator.answers import Fault, FaultError


class RateLimit:
    """So many calls per second, in any window of a second (or of one call's share, for rates below one)."""

    def __init__(self, per_second: float | None) -> None:
        self._calls = max(1, int(per_second)) if per_second else 0
        self._window_seconds = self._calls / per_second if per_second else 0.0
        self._times: deque[float] = deque()

    def admits(self, now: float) -> bool:
        """Whether one more call is within the limit; if so, it is counted."""
        if not self._calls:
            return True
        while self._times and now - self._times[0] >= self._window_seconds:
            self._times.popleft()
        if len(self._times) >= self._calls:
            return False
        self._times.append(now)
        return True


class Credits:
    """The balance of the account; None is without end."""

    def __init__(self, balance: int | None) -> None:
        self.balance = balance

    def spend(self, items: int) -> None:
        """So many items are paid for.

        Raises:
            FaultError: there is not enough for them.
        """
        if self.balance is None:
            return
        if self.balance < items:
            raise FaultError(Fault.CREDITS_EXHAUSTED)
        self.balance -= items

    def give_back(self, items: int) -> None:
        """So many items were not accepted after all."""
        if self.balance is not None:
            self.balance += items
