"""What an open breaker means to the timekeeper: submissions are parked at the due index, without messages.

Each parked job is looked at again within a few seconds, so that it goes on soon after the provider is back; and the
looks lie as far apart as submissions may, so that they go on without a burst, and an outage with many jobs costs no
more work per second than one with few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sceneshift.jobs.states import JobState
from sceneshift.store.breaker import BreakerState
from sceneshift.store.due import DueStep
from sceneshift.store.opening import Store

LOOK_SECONDS = 2.0
"""Parked jobs are looked at again so soon: a breaker may close before it was said to."""
PROBE_APART_SECONDS = 2.0
"""A job that was let through gets so long to reach the provider before another is."""
UNLIMITED_PER_SECOND = 500.0
"""Where submissions have no rate, jobs that wait for something else come back at this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """Steps that are not published now.

    Attributes:
        blocked_by: what their jobs wait for.
        pause_seconds: when the first of them is looked at again.
        apart_seconds: how much later each of the others is than the one before it.
        longer_seconds: how much longer than until that look the wait is expected to last.
    """

    steps: Sequence[DueStep]
    blocked_by: str
    pause_seconds: float
    apart_seconds: float = 0.0
    longer_seconds: float = 0.0


class Line:
    """Those that wait stand one behind the other, whenever they came."""

    def __init__(self) -> None:
        self._ends_at = float("-inf")

    def join(self, count: int, *, at: float, apart_seconds: float) -> float:
        """So many more stand in it, so far apart; returns when the first of them is looked at, `at` the earliest."""
        first_at = max(at, self._ends_at)
        self._ends_at = first_at + count * apart_seconds
        return first_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """What a breaker makes of some submissions: these go on, this one shall find out, and those wait."""

    through: list[DueStep]
    probe: list[DueStep] = field(default_factory=list)
    put_off: list[PutOff] = field(default_factory=list)


class Parking:
    """The parked submissions of one timekeeper: who is let through, and when the others are looked at again."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._line = Line()
        self._probes_from = float("-inf")

    def sort(self, steps: list[DueStep]) -> Parked:
        """What an open breaker makes of these submissions.

        A job whose request may be at the provider already is never stopped: it must be recovered.
        """
        stoppable = [step for step in steps if step.state == JobState.QUEUED]
        if not stoppable or not (breaker := self._store.breaker.state()).is_open:
            return Parked(through=steps)
        probe: list[DueStep] = []
        if breaker.lets_one_through and self._monotonic() >= self._probes_from:
            self._probes_from = self._monotonic() + PROBE_APART_SECONDS
            probe, stoppable = stoppable[:1], stoppable[1:]
        return Parked(
            through=[step for step in steps if step.state != JobState.QUEUED],
            probe=probe,
            put_off=self._park(stoppable, breaker) if stoppable else [],
        )

    def _park(self, steps: list[DueStep], breaker: BreakerState) -> list[PutOff]:
        """Behind those that this timekeeper has parked before.

        Who is looked at before the breaker's own time only comes back to his place then; who is looked at later, goes.
        """
        rate = self._store.permits.effective().submit_rate
        now, apart_seconds = self._store.clock.now(), 1 / (rate or UNLIMITED_PER_SECOND)
        until = max(breaker.until or 0.0, now)
        look_at = until if now < until <= now + LOOK_SECONDS else now + LOOK_SECONDS
        first_at = self._line.join(len(steps), at=look_at, apart_seconds=apart_seconds)
        early = min(len(steps), max(0, math.ceil((until - first_at) / apart_seconds)))
        return [
            PutOff(
                steps=some,
                blocked_by=breaker.blocked_by,
                pause_seconds=some_at - now,
                apart_seconds=apart_seconds,
                longer_seconds=longer_seconds,
            )
            for some, some_at, longer_seconds in (
                (steps[:early], first_at, until - look_at),
                (steps[early:], first_at + early * apart_seconds, 0.0),
            )
            if some
        ]
