"""One accident of the job store at every effect of the happy course."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.faults.kernel import KillPoint
from tests.faults.message_broker import Carriage
from tests.faults.plan import Plan, StoreFault
from tests.faults.scenarios import SCENARIOS
from tests.faults.world import Outcome, run

TWO_WORKERS = 2
"""What one of them does not remember, the other may."""
KINDS_OF_LOSS = ("power cut", "stale copy", "recovery")


def course(kind: str, *, seconds: float, has_wait: bool = True, intent_log: str = "redis") -> Plan:
    """The happy course of one job in which this is to happen, at an effect that is still to be named."""
    [happy] = [scenario for scenario in SCENARIOS if scenario.name == "happy path"]
    return replace(
        happy.plan,
        workers=TWO_WORKERS,
        settings={**happy.plan.settings, "intent_log": intent_log},
        store_faults=(StoreFault(kind=kind, seconds=seconds, loses_all=True),),
        has_wait=has_wait,
    )


def courses_with(kind: str) -> list[Plan]:
    """With each intent log, a store that loses a second of writes, or half a minute."""
    spans = (1.0, 30.0) if kind == "stale copy" else (1.0,)
    return [course(kind, seconds=seconds, intent_log=log) for log in ("redis", "storage") for seconds in spans]


def struck_everywhere(plan: Plan, *, seed: str = "store") -> Iterator[tuple[str, Outcome]]:
    """Where it happened, and what came of it, for every effect of the undisturbed course."""
    [fault] = plan.store_faults
    effects = run(replace(plan, store_faults=()), seed).effects
    for number in range(1, len(effects) + 1):
        struck = replace(plan, store_faults=(replace(fault, at_effect=number),))
        yield f"{fault.kind} before effect {number}, {effects[number - 1]}", run(struck, seed)


def struck_with_a_worker(plan: Plan, *, seed: str = "store") -> Iterator[tuple[str, Outcome]]:
    """The same where it also takes the worker that was at that effect, with all that it remembered."""
    [fault] = plan.store_faults
    effects = run(replace(plan, store_faults=()), seed).effects
    for number in range(1, len(effects)):
        struck = replace(plan, store_faults=(replace(fault, at_effect=number + 1),))
        killed = (KillPoint(number, after=True),)
        yield f"{fault.kind} and kill after effect {number}, {effects[number - 1]}", run(struck, seed, kills=killed)


LOST_SECONDS = 0.9
"""Less than the time from an order to its submission: the order is kept, and what its worker did is forgotten."""


def repeated_after_a_loss(seeds: int) -> Iterator[tuple[str, Outcome]]:
    """The job store forgets what its only worker did with a job, and the job's message comes once more at once."""
    happy = course("stale copy", seconds=LOST_SECONDS)
    plan = replace(happy, workers=1, carriage=Carriage(repeated=1.0, delay_seconds=1.0))
    [fault] = plan.store_faults
    for seed in range(seeds):
        for tenths in range(10, 21):
            at = tenths / 10
            struck = replace(plan, store_faults=(replace(fault, at_seconds=at),))
            yield f"stale copy after {at} s, seed {seed}", run(struck, f"repeated {seed}")
