"""One accident of the job store at every effect of the happy course."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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
