"""The permits that all workers share: how often the provider is called, and how much of it is in use.

A job is in flight from the moment its intent is stored until the provider is done with it, not until our code returns:
that is, while it is in the state `submitting` or `rendering`. So the state indexes are the count of the slots, with the
submissions whose answers were lost: each of them has a slot for as long as such jobs take.

The limits are those of the settings, unless an operator has set others while the system runs (`store/limits.py`). The
scripts read these themselves, so that they hold for all workers at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from sceneshift.jobs.gates import IN_FLIGHT, PERMIT_EARLY_SECONDS, Permit
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Endpoint
from sceneshift.settings import Settings
from sceneshift.store.breaker import PROBE_SECONDS, next_look
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

LOWERED_SHARE = 0.5
"""What a throttled answer leaves of a rate."""
LOWEST_SHARE = 1 / 32
"""The least that throttled answers leave of a limit."""
RECOVERY_PER_SECOND = 0.02
"""The share of the limit by which a lowered rate grows in a second."""
LOWERED_APART_SECONDS = 1.0
"""Answers to calls that were under way together lower the rate once."""
RETRY_AFTER_MAX_SECONDS = 300.0
"""A provider may ask all submissions for patience, but not for more than this."""
SET_BACK_SECONDS = 60.0
"""A clock that was set back by up to so much is waited for. A time in the store that lies further ahead than it can, by
more than this, counts for nothing."""
MOMENTS_AHEAD_MAX_SECONDS = 86_400.0
"""So long may a queue of moments be. A longer one was made before a clock was set back, and counts for nothing."""

RATE_LIMITS = {Endpoint.SUBMIT: "submit_rate", Endpoint.QUERY: "query_rate"}
"""Which limit is the rate of which call."""


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


LIMITS = tuple(each.name for each in fields(Limits))
"""The names of all limits, which are those of their settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a throttled answer has left of a rate (per second), and when (unix seconds)."""

    rate: float
    lowered_at: float

    def at(self, now: float, limit: float) -> float:
        """The rate that holds now, as the scripts work it out."""
        if self.lowered_at > now + SET_BACK_SECONDS:
            return limit
        grown = self.rate + limit * RECOVERY_PER_SECOND * max(0.0, now - self.lowered_at)
        return max(limit * LOWEST_SHARE, min(limit, grown))


class Lowered(NamedTuple):
    """A rate was lowered, by a throttled answer."""

    from_rate: float
    to_rate: float


class Permits:
    """The permits of one deployment. `limits` are those of the settings."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock, limits: Limits) -> None:
        self.limits = limits
        self._client = client
        self._keys = keys
        self._clock = clock
        self._reserve = load_script(client, "reserve")
        self._take = load_script(client, "take")
        self._slow_down = load_script(client, "slow_down")

    def reserve_submission(self, job_id: str, *, holds_moment: bool = False, holds_slot: bool = False) -> Permit:
        """The next free moment for a submission, which is this job's from now on; or what stops it.

        `holds_slot`: the job is in flight, and is to be asked about once more.
        `holds_moment`: the job has waited for its moment, and that is now (`gates.holds_permit`). It is good, unless
        something has come between: the breaker, a full provider, a wish for patience, a lower limit.
        """
        now = self._clock.now()
        answer: list[str] = self._reserve(
            keys=[
                self._keys.rate("submit"),
                self._keys.jobs(JobState.SUBMITTING),
                self._keys.jobs(JobState.RENDERING),
                self._keys.waiting_for_slot,
                self._keys.limits,
                self._keys.pace(Endpoint.SUBMIT),
                self._keys.breaker,
                self._keys.rate("sent"),
                self._keys.lost_submissions,
            ],
            args=[
                f"{now:.6f}",
                self._setting("submit_rate"),
                self._setting("max_in_flight"),
                job_id,
                WAITING_SECONDS,
                "1" if holds_moment else "0",
                RECOVERY_PER_SECOND,
                PROBE_SECONDS,
                PERMIT_EARLY_SECONDS,
                "1" if holds_slot else "0",
                LOWEST_SHARE,
                SET_BACK_SECONDS,
                RETRY_AFTER_MAX_SECONDS,
                MOMENTS_AHEAD_MAX_SECONDS,
            ],
        )
        return _permit(answer, now)

    def room_for_bulk(self, wanted: int, *, within_seconds: float) -> int:
        """How many of so many bulk jobs may be handed out, to be submitted within this time behind all urgent ones."""
        now = self._clock.now()
        with self._client.pipeline(transaction=False) as pipeline:
            self._ask_limits(pipeline)
            pipeline.get(self._keys.rate("submit"))
            self._ask_slots(pipeline, now)
            pipeline.zcount(self._keys.waiting_for_slot, now, "+inf")
            *about_limits, moment, submitting, rendering, lost, waiting = pipeline.execute()
        limits = self._effective(about_limits, now)
        rate, slots = limits.submit_rate, limits.max_in_flight
        room = wanted
        if slots is not None:
            room = min(room, max(0, slots - submitting - rendering - lost - waiting))
        if rate is not None and room:
            ahead_seconds = max(0.0, float(moment or 0) - now)
            free = math.ceil((within_seconds - ahead_seconds) * rate)
            room = min(room, free if free > 0 else self._take_bulk())
        return room

    def take_queries(self, wanted: int) -> tuple[int, float]:
        """How many of so many questions may be asked now, and the seconds until the next one after them may be."""
        return self._take_now("query", Endpoint.QUERY, share=1.0, burst_seconds=QUERY_BURST_SECONDS, wanted=wanted)

    def effective(self) -> Limits:
        """The limits that hold now: those that were set, or the settings, and what throttled answers left of a rate."""
        with self._client.pipeline(transaction=False) as pipeline:
            self._ask_limits(pipeline)
            return self._effective(pipeline.execute(), self._clock.now())

    def in_flight(self) -> int:
        """How many jobs the provider is at, or may be at."""
        with self._client.pipeline(transaction=False) as pipeline:
            self._ask_slots(pipeline, self._clock.now())
            return sum(pipeline.execute())

    def _ask_slots(self, pipeline: Any, now: float) -> None:
        """The three numbers of which the taken slots are the sum."""
        pipeline.zcard(self._keys.jobs(JobState.SUBMITTING))
        pipeline.zcard(self._keys.jobs(JobState.RENDERING))
        pipeline.zcount(self._keys.lost_submissions, f"({now}", "+inf")

    def slow_down(self, endpoint: Endpoint, retry_after_seconds: float | None = None) -> Lowered | None:
        """The provider has throttled this call: its rate is halved, unless it was within the last second.

        No submission gets a moment before the time that the provider asks for, within bounds. Without a limit there is
        nothing to lower, and no moment to move.
        """
        now, name = self._clock.now(), RATE_LIMITS[endpoint]
        patience_seconds = min(retry_after_seconds or 0.0, RETRY_AFTER_MAX_SECONDS)
        not_before = now + patience_seconds if endpoint is Endpoint.SUBMIT and patience_seconds > 0 else None
        answer: list[str] = self._slow_down(
            keys=[self._keys.pace(endpoint), self._keys.limits],
            args=[
                f"{now:.6f}",
                name,
                self._setting(name),
                LOWERED_SHARE,
                LOWEST_SHARE,
                RECOVERY_PER_SECOND,
                LOWERED_APART_SECONDS,
                "" if not_before is None else f"{not_before:.6f}",
                SET_BACK_SECONDS,
                RETRY_AFTER_MAX_SECONDS,
            ],
        )
        return Lowered(*(float(rate) for rate in answer)) if answer else None

    def _take_bulk(self) -> int:
        return self._take_now("bulk", Endpoint.SUBMIT, share=BULK_SHARE, burst_seconds=0.0, wanted=1)[0]

    def _take_now(
        self, name: str, endpoint: Endpoint, *, share: float, burst_seconds: float, wanted: int
    ) -> tuple[int, float]:
        limit = RATE_LIMITS[endpoint]
        taken, wait_seconds = self._take(
            keys=[self._keys.rate(name), self._keys.limits, self._keys.pace(endpoint)],
            args=[
                f"{self._clock.now():.6f}",
                limit,
                self._setting(limit),
                share,
                burst_seconds,
                wanted,
                RECOVERY_PER_SECOND,
                LOWEST_SHARE,
                SET_BACK_SECONDS,
            ],
        )
        return int(taken), float(wait_seconds)

    def _setting(self, name: str) -> float | str:
        value: float | None = getattr(self.limits, name)
        return "" if value is None else value

    def _ask_limits(self, pipeline: Any) -> None:
        pipeline.hmget(self._keys.limits, LIMITS)
        for endpoint in RATE_LIMITS:
            pipeline.hmget(self._keys.pace(endpoint), ["rate", "at"])

    def _effective(self, answers: list[Any], now: float) -> Limits:
        """What `_ask_limits` was answered, as the limits that hold."""
        texts, *paces = answers
        values: dict[str, float | None] = {
            name: getattr(self.limits, name) if text is None else limit_value(text)
            for name, text in zip(LIMITS, texts, strict=True)
        }
        for name, (rate, lowered_at) in zip(RATE_LIMITS.values(), paces, strict=True):
            limit = values[name]
            if limit is not None and rate is not None:
                values[name] = Pace(rate=float(rate), lowered_at=float(lowered_at)).at(now, limit)
        slots = values["max_in_flight"]
        return Limits(
            submit_rate=values["submit_rate"],
            query_rate=values["query_rate"],
            max_in_flight=None if slots is None else int(slots),
        )


def limit_value(text: str) -> float | None:
    """A limit as it is kept: a number, or `none`."""
    if text == "none":
        return None
    return int(text) if text.isdecimal() else float(text)


def _permit(answer: list[str], now: float) -> Permit:
    match answer:
        case ["go", moment, is_probe]:
            return Permit(moment=float(moment), is_probe=is_probe == "1")
        case ["blocked", reason, probe_at, question_at]:
            until = next_look(reason, probe_at=float(probe_at), question_at=float(question_at), now=now)
            return Permit(moment=None, blocked_by=reason, until=until)
        case _:
            return Permit(moment=None, blocked_by=IN_FLIGHT)
