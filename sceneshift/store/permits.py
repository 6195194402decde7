"""The permits that all workers share: how often the provider is called, and how much of it is in use.

A job is in flight from the moment its intent is stored until the provider is done with it, not until our code returns:
that is, while it is in the state `submitting` or `rendering`. So the state indexes are the count of the slots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

QUERY_BURST_SECONDS = 0.5
"""Questions are handed out in ticks: so much of a pause may be made up for at once."""
BULK_SHARE = 0.1
"""Of the submissions, when urgent jobs want all of them: so that bulk jobs are slow then, and not stopped."""
WAITING_SECONDS = 60.0
"""A job that was told that there is no slot keeps its claim to the next one for so long; it asks more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the provider may be asked of; None is without limit.

    Attributes:
        submit_rate: submissions per second.
        query_rate: questions per second.
        max_in_flight: jobs that the provider is at.
    """

    submit_rate: float | None = None
    query_rate: float | None = None
    max_in_flight: int | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        return cls(
            submit_rate=settings.submit_rate,
            query_rate=settings.query_rate,
            max_in_flight=settings.max_in_flight,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The answer to one submission: it may be sent at this moment (unix seconds); None when all slots are taken."""

    moment: float | None


class Permits:
    """The permits of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock, limits: Limits) -> None:
        self.limits = limits
        self._client = client
        self._keys = keys
        self._clock = clock
        self._reserve = load_script(client, "reserve")
        self._take = load_script(client, "take")

    def reserve_submission(self, job_id: str) -> Permit:
        """The next free moment for a submission, which is this job's from now on."""
        rate, slots = self.limits.submit_rate, self.limits.max_in_flight
        if rate is None and slots is None:
            return Permit(moment=self._clock.now())
        answer = self._reserve(
            keys=[
                self._keys.rate("submit"),
                self._keys.jobs(JobState.SUBMITTING),
                self._keys.jobs(JobState.RENDERING),
                self._keys.waiting_for_slot,
            ],
            args=[
                f"{self._clock.now():.6f}",
                "" if rate is None else 1 / rate,
                "" if slots is None else slots,
                job_id,
                WAITING_SECONDS,
            ],
        )
        return Permit(moment=None if answer == "full" else float(answer))

    def room_for_bulk(self, wanted: int, *, within_seconds: float) -> int:
        """How many of so many bulk jobs may be handed out, to be submitted within this time behind all urgent ones."""
        rate, slots = self.limits.submit_rate, self.limits.max_in_flight
        if rate is None and slots is None:
            return wanted
        now = self._clock.now()
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(self._keys.rate("submit"))
            pipeline.zcard(self._keys.jobs(JobState.SUBMITTING))
            pipeline.zcard(self._keys.jobs(JobState.RENDERING))
            pipeline.zcount(self._keys.waiting_for_slot, now, "+inf")
            moment, submitting, rendering, waiting = pipeline.execute()
        room = wanted
        if slots is not None:
            room = min(room, max(0, slots - submitting - rendering - waiting))
        if rate is not None and room:
            ahead_seconds = max(0.0, float(moment or 0) - now)
            free = math.ceil((within_seconds - ahead_seconds) * rate)
            room = min(room, free) if free > 0 else self._take_now("bulk", rate * BULK_SHARE, burst=1, wanted=1)[0]
        return room

    def take_queries(self, wanted: int) -> tuple[int, float]:
        """How many of so many questions may be asked now, and the seconds until the next one after them may be."""
        rate = self.limits.query_rate
        if rate is None:
            return wanted, 0.0
        return self._take_now("query", rate, burst=max(1, math.ceil(rate * QUERY_BURST_SECONDS)), wanted=wanted)

    def _take_now(self, name: str, rate: float, *, burst: int, wanted: int) -> tuple[int, float]:
        taken, wait_seconds = self._take(
            keys=[self._keys.rate(name)], args=[f"{self._clock.now():.6f}", 1 / rate, burst, wanted]
        )
        return int(taken), float(wait_seconds)
