"""The bill of a small run under fire, one for each policy; `run.py spending` is the large one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.chaos.spending import FAULTS, Plan, run_spending

JOBS = 150
OFTEN = dict.fromkeys(FAULTS, 0.03)
SELDOM = dict.fromkeys(FAULTS, 0.01)
"""With many unknown outcomes nothing is resubmitted."""


@pytest.mark.parametrize(
    ("unknown_outcome", "faults"),
    [("hold", OFTEN), ("fail", OFTEN), ("probe", OFTEN), ("resubmit(1, 3)", SELDOM)],
    ids=["hold", "fail", "probe", "resubmit"],
)
def test_no_job_is_paid_more_often_than_its_policy_allows(unknown_outcome: str, faults: Mapping[str, float]) -> None:
    """Answers are lost, workers killed; the provider's account, our ledger and the records agree within the bound."""
    plan = Plan(jobs=JOBS, unknown_outcome=unknown_outcome, faults=faults, workers=2, limit_seconds=150)
    report = run_spending(plan, print)
    assert report["problems"] == []
    assert report["kills"] > 0, "no worker was killed"
    assert report["faults"], "no answer was lost"
    assert report["submitted_again"] > 0 or unknown_outcome in {"hold", "fail"}, "nothing was sent again"
