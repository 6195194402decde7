"""The faults of a storm, drawn from a seed: what strikes when, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What the run does to the parts of the deployment. The values are for people."""

    WORKER_KILLED = "worker killed"
    WORKER_OUT_OF_MEMORY = "worker out of memory"
    WORKER_FROZEN = "worker frozen"
    WORKERS_ROLLED = "workers rolled"
    STATE_KILLED = "job store killed"
    BROKER_KILLED = "broker killed"
    BROKER_FLUSHED = "broker flushed"
    PROVIDER_HANGS = "provider hangs"
    PROVIDER_FAILS = "provider fails"
    SHOP_DOWN = "shop down"

    @property
    def meaning(self) -> str:
        """What is done, as a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Fault.WORKER_KILLED: "SIGKILL of a worker; another one starts.",
    Fault.WORKER_OUT_OF_MEMORY: "A worker that has just started gets no more memory (RLIMIT_DATA); then this run kills "
    "it, in place of the system's out-of-memory killer.",
    Fault.WORKER_FROZEN: "SIGSTOP of a worker for longer than its lease, then SIGCONT.",
    Fault.WORKERS_ROLLED: "SIGTERM of one worker after the other, each replaced before; it must exit with 0 in time.",
    Fault.STATE_KILLED: "SIGKILL of the job store, started again on its append-only file.",
    Fault.BROKER_KILLED: "SIGKILL of the broker, started again on its append-only file.",
    Fault.BROKER_FLUSHED: "FLUSHALL of the broker.",
    Fault.PROVIDER_HANGS: "The provider is stopped: calls hang, and are worked on when nobody waits any more.",
    Fault.PROVIDER_FAILS: "The provider fails every call, in ways that say nothing about whether it was worked on.",
    Fault.SHOP_DOWN: "Nothing listens where webhooks go.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One fault: it begins so many seconds after the storm does, and lasts so long; 0 for one that only happens."""

    at_seconds: float
    fault: Fault
    lasts_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Faults that take turns, one about every so often; each of them at least once in any storm."""

    faults: Sequence[Fault]
    every_seconds: float
    lasts_seconds: tuple[float, float] = (0.0, 0.0)

    def strikes(self, seconds: float, random: Random) -> list[Strike]:
        """The strikes of a storm of this length: one somewhere in each of its equal parts, over before it is."""
        turns = len(self.faults)
        count = max(turns, int(seconds / self.every_seconds) // turns * turns)
        part_seconds = seconds / count
        strikes = []
        for number in range(count):
            lasts = random.uniform(*self.lasts_seconds)
            at = part_seconds * (number + random.uniform(0.1, 0.9))
            at = max(0.0, min(at, seconds - lasts))
            strikes.append(Strike(at_seconds=at, fault=self.faults[number % turns], lasts_seconds=lasts))
        return strikes


def rhythms(*, kill_every_seconds: float, lease_seconds: float) -> tuple[Rhythm, ...]:
    """What strikes how often. A worker is frozen for longer than its lease."""
    return (
        Rhythm(faults=[Fault.WORKER_KILLED], every_seconds=kill_every_seconds),
        Rhythm(
            faults=[Fault.STATE_KILLED, Fault.BROKER_KILLED],
            every_seconds=30.0,
            lasts_seconds=(0.5, 2.0),
        ),
        Rhythm(
            faults=[Fault.WORKER_FROZEN],
            every_seconds=25.0,
            lasts_seconds=(1.3 * lease_seconds, 2.2 * lease_seconds),
        ),
        Rhythm(faults=[Fault.WORKER_OUT_OF_MEMORY], every_seconds=40.0, lasts_seconds=(3.0, 5.0)),
        Rhythm(faults=[Fault.WORKERS_ROLLED], every_seconds=60.0),
        Rhythm(faults=[Fault.BROKER_FLUSHED], every_seconds=45.0),
        Rhythm(faults=[Fault.PROVIDER_HANGS, Fault.PROVIDER_FAILS], every_seconds=60.0, lasts_seconds=(4.0, 7.0)),
        Rhythm(faults=[Fault.SHOP_DOWN], every_seconds=90.0, lasts_seconds=(6.0, 10.0)),
    )


def schedule(seed: int, seconds: float, parts: Sequence[Rhythm]) -> list[Strike]:
    """All strikes of a storm of this length in the order of their times; the same for the same seed."""
    random = Random(seed)
    strikes = [strike for rhythm in parts for strike in rhythm.strikes(seconds, random)]
    return sorted(strikes, key=lambda strike: strike.at_seconds)
