"""When a task waits, runs and ends: decided at its submission, so that no timer has to run.

A status is a pure function of that decision and of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from sceneshift.simulator.config import SimulatorConfig
from sceneshift.simulator.scenarios.scenario import ORDINARY, Fate

_SPREAD: Final = 0.35
"""Sigma of the lognormal: one task in twenty takes longer than 1.8 times the median."""


class TaskStatus(StrEnum):
    """The four words of the provider's document."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The whole life of a task, in seconds on the simulator's clock. `ends_at` is infinite for one that never ends."""

    starts_at: float
    ends_at: float
    fails: bool

    def status(self, now: float) -> TaskStatus:
        if now < self.starts_at:
            return TaskStatus.WAITING
        if now < self.ends_at:
            return TaskStatus.RUNNING
        return TaskStatus.FAILED if self.fails else TaskStatus.SUCCESS


def plan_timeline(
    random: Random, config: SimulatorConfig, *, steps: int, num_output: int, now: float, fate: Fate = ORDINARY
) -> Timeline:
    """The life of a task that is accepted now; more steps and more images take mildly longer."""
    work = (0.6 + 0.4 * steps / 50) * (0.8 + 0.2 * num_output)
    total_seconds = config.median_seconds * work * math.exp(random.gauss(0, _SPREAD))
    waiting_share = random.uniform(0.1, 0.35)
    fails = random.random() < config.failure_rate
    return Timeline(
        starts_at=now + total_seconds * waiting_share,
        ends_at=now + total_seconds + fate.late_seconds,
        fails=fails or bool(fate.message),
    )
