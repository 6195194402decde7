"""Jobs at a provider on a virtual clock, asked about by the real decisions, with the real store of latencies.

What is imitated is only what lies between a due time and its question: the timekeeper looks ten times a second, and the
way through the queue and to the provider takes a little.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import fakeredis

from sceneshift.clock import ManualClock
from sceneshift.jobs.decisions import next_step
from sceneshift.jobs.latency import Latency
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.polling import measured_seconds
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.jobs.transitions import advance
from sceneshift.provider.protocol import Accepted, Pending, QueryOutcome, Succeeded
from sceneshift.settings import Settings
from sceneshift.store.keys import Keys
from sceneshift.store.latencies import Latencies
from tests.factories import NOW, a_job, an_order

TICK_SECONDS = Settings().timekeeper_interval_seconds
DELIVERY_SECONDS = 0.02
IN_FLIGHT = 35
DEADLINE_SECONDS = Settings().job_deadline_seconds
ACCEPTED = Accepted(result_key="K", request_id=None)
RUNNING = Pending(provider_status="RUNNING")
FINISHED = Succeeded(urls=("https://result.example/0.png",))


@dataclass(frozen=True, slots=True)
class Detection:
    """One job that was found finished: what it took, how many questions that cost, and how late it was found."""

    number: int
    seconds: float
    polls: int
    lag_seconds: float

    @property
    def lag_share(self) -> float:
        return self.lag_seconds / self.seconds


class Strategy(Protocol):
    """When to ask."""

    def accepted(self, job: JobRecord, now: float) -> tuple[JobRecord, float]:
        """The job as it waits for its first question, and when that is due."""
        ...

    def asked(self, job: JobRecord, outcome: QueryOutcome, now: float) -> tuple[JobRecord, float | None]:
        """The job after a question, and when the next is due; None when the job has left the provider."""
        ...


@dataclass
class Learned:
    """What the workers do, with the default settings."""

    clock: ManualClock
    policy: Policy = field(default_factory=lambda: Policy.from_settings(Settings()))

    def __post_init__(self) -> None:
        self.latencies = Latencies(fakeredis.FakeRedis(decode_responses=True), Keys("{sceneshift}"), self.clock)

    def _expected(self, job: JobRecord) -> Latency | None:
        return self.latencies.expected(job.order.steps, job.order.num_output)

    def accepted(self, job: JobRecord, now: float) -> tuple[JobRecord, float]:
        change = advance(job, next_step(job, ACCEPTED, self.policy, now, self._expected(job)), now)
        return change.after, change.due_at or now

    def asked(self, job: JobRecord, outcome: QueryOutcome, now: float) -> tuple[JobRecord, float | None]:
        latency = self._expected(job)
        change = advance(job, next_step(job, outcome, self.policy, now, latency), now)
        if change.after.state is JobState.RENDERING:
            return change.after, change.due_at
        seconds = measured_seconds(job, self.policy, now, latency)
        if seconds is not None:
            self.latencies.learn(job.id, job.order.steps, job.order.num_output, seconds)
        return change.after, None


@dataclass
class ByAge:
    """Questions by a rule that knows nothing but the job's age."""

    pause_seconds: Callable[[float], float]

    def accepted(self, job: JobRecord, now: float) -> tuple[JobRecord, float]:
        return job.evolve(submitted_at=now), now + self.pause_seconds(0.0)

    def asked(self, job: JobRecord, outcome: QueryOutcome, now: float) -> tuple[JobRecord, float | None]:
        after = job.evolve(polls=job.polls + 1)
        age = now - (job.submitted_at or now)
        return after, None if isinstance(outcome, Succeeded) else now + self.pause_seconds(age)


def lognormal(medians: Sequence[float], sigma: float, seed: int) -> list[float]:
    """A time for each of these medians, the same for the same seed."""
    draw = random.Random(seed)
    return [median * math.exp(draw.gauss(0.0, sigma)) for median in medians]


def simulate(
    seconds: Sequence[float],
    strategy: Strategy,
    clock: ManualClock,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    seed: int = 7,
) -> list[Detection]:
    """How each of these jobs was found finished, in the order of their submission.

    They are submitted at random moments, as often as keeps about `IN_FLIGHT` of them at the provider.
    """
    draw = random.Random(seed)
    found: list[Detection] = []
    due: list[tuple[float, int, JobRecord]] = []
    moment = NOW
    for number, each in enumerate(seconds):
        moment += draw.expovariate(IN_FLIGHT / each)
        job = a_job(
            id=f"job_{seed}_{number}",  # the spread of its pauses depends on it
            state=JobState.SUBMITTING,
            submits=1,
            created_at=moment,
            deadline_at=moment + deadline_seconds,
            intent_at=moment,
            order=an_order(webhook_url=None),
        )
        heapq.heappush(due, (moment, number, job))
    while due:
        moment, number, job = heapq.heappop(due)
        clock.advance(moment - clock.now())
        if job.state is JobState.SUBMITTING:
            job, next_at = strategy.accepted(job, moment)
            job = job.evolve(state=JobState.RENDERING)
        else:
            age = moment - (job.submitted_at or moment)
            outcome = FINISHED if age >= seconds[number] else RUNNING
            job, asked_next_at = strategy.asked(job, outcome, moment)
            if asked_next_at is None:
                found.append(Detection(number, seconds[number], job.polls, age - seconds[number]))
                continue
            next_at = asked_next_at
        heapq.heappush(due, (_asked_at(next_at), number, job))
    return sorted(found, key=lambda detection: detection.number)


def _asked_at(due_at: float) -> float:
    return math.ceil(due_at / TICK_SECONDS) * TICK_SECONDS + DELIVERY_SECONDS


def mean_polls(found: Sequence[Detection]) -> float:
    return sum(detection.polls for detection in found) / len(found)


def p95(values: Sequence[float]) -> float:
    """The value that nineteen in twenty do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def p95_lag_share(found: Sequence[Detection]) -> float:
    return p95([detection.lag_share for detection in found])
