"""The canonical courses of a job, in each of which a process is killed at every single effect.

In each of them one thing happens that is not a fault of ours: an answer is lost, an image is missing, somebody cancels.
What it must come to without a kill stands beside it; with kills, the checkers judge, and what is said here of charges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sceneshift.jobs.states import JobState
from tests.faults.kernel import KillPoint
from tests.faults.message_broker import Carriage
from tests.faults.outside import Weather
from tests.faults.plan import Plan
from tests.faults.provider import Wire
from tests.faults.world import Outcome, run

BASE = Plan(
    workers=1,
    outputs_max=2,
    fault_seconds=3600.0,
    latency_seconds=0.002,
    restart_seconds=2.0,
    settings={"lease_seconds": 5.0, "poll_first_seconds": 5.0, "poll_growth": 2.0},
    provider={"nonces": "ignored"},
)
"""One worker, so that whoever is killed was alone; another one starts soon. The provider takes a nonce twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One course: its plan, and the state to which the job comes when nobody is killed."""

    name: str
    plan: Plan
    ends: JobState

    def play(self, *kills: KillPoint, plan: Plan | None = None, keep_trace: bool = False) -> Outcome:
        """The run of this course with these kills."""
        return run(plan or self.plan, f"scenario {self.name}", kills=kills, keep_trace=keep_trace)


def _scenario(name: str, ends: JobState, *rules: str, settings: dict[str, Any] | None = None, **plan: Any) -> Scenario:
    changed = replace(BASE, **{"rules": rules, **plan}, settings={**BASE.settings, **(settings or {})})
    if changed.settings.get("nonce_contract") == "verified":
        changed = replace(changed, provider={"nonces": "enforced"})
    return Scenario(name=name, plan=changed, ends=ends)


def _lost(policy: str) -> dict[str, Any]:
    return {"unknown_outcome": policy, "nonce_contract": "verified" if policy == "probe" else "unverified"}


SCENARIOS: tuple[Scenario, ...] = (
    _scenario("happy path", JobState.SUCCEEDED),
    _scenario("happy path with all gates", JobState.SUCCEEDED,
              settings={"submit_rate": 1.0, "query_rate": 5.0, "max_in_flight": 1, "intent_log": "storage",
                        "preflight": True}),
    _scenario("happy path with labels and thumbnails", JobState.SUCCEEDED,
              settings={"provenance": "embed", "renditions": ("thumbnail", "webp")}),
    _scenario("answer lost, hold", JobState.NEEDS_ATTENTION, "submit-accept-then-drop@1"),
    _scenario("answer lost, fail", JobState.FAILED, "submit-accept-then-500@1", settings=_lost("fail")),
    _scenario("answer lost, resubmit", JobState.SUCCEEDED, "submit-accept-then-timeout@1",
              settings=_lost("resubmit(1, 5)")),
    _scenario("answer lost, probe", JobState.NEEDS_ATTENTION, "submit-accept-then-drop@1", settings=_lost("probe")),
    _scenario("error answer, probe", JobState.NEEDS_ATTENTION, "submit-500@1", settings=_lost("probe")),
    _scenario("request lost, probe", JobState.SUCCEEDED, settings=_lost("probe"), wire=Wire(lost_requests=1.0),
              fault_seconds=10.0),
    _scenario("answer lost, probe, too late", JobState.NEEDS_ATTENTION, "submit-accept-then-drop@1",
              settings=_lost("probe"), restart_seconds=1300.0),
    _scenario("partial", JobState.PARTIAL, lasting_rules=("task-with-fewer-results",)),
    _scenario("cancelled while rendering", JobState.CANCELLED, cancels=((0, 6.0, False),)),
    _scenario("cancelled and kept", JobState.CANCELLED, cancels=((0, 6.0, True),)),
    _scenario("result address expired", JobState.SUCCEEDED, "download-expired@1"),
    _scenario("receiver down", JobState.SUCCEEDED, outages=(("receiver", 0.0, 1200.0),)),
    _scenario("receiver refuses", JobState.SUCCEEDED, weather=Weather(refusals=1.0), fault_seconds=30.0),
    _scenario("late result", JobState.SUCCEEDED, lasting_rules=("task-late",),
              settings={"job_deadline_seconds": 60.0, "poll_growth": 4.0, "poll_overdue_seconds": 3600.0}),
)  # fmt: skip

BEYOND_SUBMISSION = ("broker sceneshift.poll", "broker sceneshift.notify")
"""The first message of a job whose submission is over, whatever came of it."""
LOSSY = Carriage(returns=0.0)
"""The broker does not hand out again what a killed worker was at: only the due index brings it back."""


def single_kills(scenario: Scenario) -> Iterator[tuple[KillPoint, ...]]:
    """A kill before and after every effect of the undisturbed course.

    Where an activity goes straight on from one effect to the next, a kill before the next is that after the one before.
    """
    for number, is_continued in enumerate(scenario.play().continued, start=1):
        if not is_continued:
            yield (KillPoint(number, after=False),)
        yield (KillPoint(number, after=True),)


def pairs(scenario: Scenario, way: Iterable[int]) -> Iterator[tuple[KillPoint, ...]]:
    """Two kills: after each of these effects, and after each that follows until the job has left its submission."""
    for number in way:
        first = KillPoint(number, after=True)
        effects = scenario.play(first).effects
        left = (later for later in range(number + 1, len(effects) + 1) if effects[later - 1] in BEYOND_SUBMISSION)
        for later in range(number + 1, next(left, len(effects)) + 1):
            yield (first, KillPoint(later, after=True))
