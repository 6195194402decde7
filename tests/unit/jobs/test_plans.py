"""Plans are never too cheap: what would be done to each job, from where it goes on, and the most that it can cost."""

from __future__ import annotations

import pytest

from sceneshift.jobs import events
from sceneshift.jobs.change import StaleEventError
from sceneshift.jobs.plans import Plan, PlannedDecision, plan_of
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.jobs.transitions import advance
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import LATE_KEY, SITUATIONS

JOBS = {
    **SITUATIONS,
    "failed, refused": SITUATIONS["failed"].evolve(result_key="", charge=Charge.NOT_CHARGED),
    "failed, lost": SITUATIONS["failed"].evolve(result_key="", charge=Charge.UNKNOWN),
    "failed, given back": SITUATIONS["failed"].evolve(charge=Charge.REFUNDED_BY_HAND),
}


def event_of(decision: PlannedDecision, plan: Plan) -> events.Event:
    """What carries out this plan of one job."""
    if decision == "retry":
        return events.Retried(by="ann", from_submit=plan.submissions > 0)
    return events.Resolved(action=decision, by="ann", result_key=LATE_KEY if decision == "attach" else "")


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("decision", ["retry", "resubmit", "attach", "fail"])
def test_a_plan_is_what_the_transitions_do(decision: PlannedDecision, name: str) -> None:
    """A job that is in the plan moves to the planned phase; one that is left out would be refused."""
    job = JOBS[name]
    plan = plan_of([job], decision)
    if not plan.jobs:
        assert plan.left_out[0].id == job.id
        assert (plan.images, plan.submissions) == (0, 0)
        with pytest.raises(StaleEventError):
            advance(job, event_of(decision, plan), NOW)
        return
    (planned,) = plan.jobs
    after = advance(job, event_of(decision, plan), NOW).after
    phases = {JobState.QUEUED: "submit", JobState.RENDERING: "query"}
    if decision != "attach" or job.cancel != "discard":
        assert planned.phase == phases.get(after.state, "end")
    assert planned.images == (2 if after.state is JobState.QUEUED else 0)


@pytest.mark.parametrize(
    ("name", "from_submit", "phase", "warning"),
    [
        ("failed", False, "query", ""),
        ("failed", True, "submit", ", which pays a second time"),
        ("failed, refused", False, "submit", ""),
        ("failed, lost", False, "submit", ", which may pay a second time"),
        ("failed, given back", True, "submit", ""),
    ],
)
def test_a_plan_warns_of_what_is_paid_for_a_second_time(
    name: str, phase: str, warning: str, *, from_submit: bool
) -> None:
    """What was never charged, or was given back, is paid for once; what costs nothing needs no warning."""
    (planned,) = plan_of([JOBS[name]], "retry", from_submit=from_submit).jobs
    assert (planned.phase, planned.warning) == (phase, warning)


def _lost_job(images: int) -> JobRecord:
    return a_job(state=JobState.FAILED, step="done-1", charge=Charge.UNKNOWN, order=an_order(num_output=images))


def test_the_most_that_a_plan_can_cost_is_the_sum_of_its_images() -> None:
    """Each submission counts with all images that it orders, and only what is submitted counts."""
    plan = plan_of([_lost_job(1), _lost_job(4), JOBS["failed"], JOBS["rendering"]], "retry")
    assert (plan.images, plan.submissions, plan.may_pay_twice) == (5, 2, 2)
    assert [plan.allows(spend) for spend in (None, 0, 4, 5, 6)] == [False, False, False, True, True]
    assert plan_of([JOBS["failed"]], "retry").allows(None)


def test_an_order_that_has_been_made_again_is_left_out() -> None:
    """Its idempotency key says so; another job with the same one would be rendered beside it."""
    job = JOBS["failed, refused"]
    plan = plan_of([job], "retry", ordered_again={job.id: "job_OTHER"})
    assert plan.jobs == ()
    assert "job_OTHER" in plan.left_out[0].why
