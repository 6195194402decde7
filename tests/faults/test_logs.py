"""What workers log while everything goes wrong, errors and tracebacks included, is fit for others to read."""

from __future__ import annotations

import json

import pytest

from tests.faults.plan import drawn_plan
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import Outcome, run

SEEDS = 100


def assert_fit_for_others(outcome: Outcome) -> None:
    """Each line is one event, and no secret, prompt or signed address is in it (which a checker looks for)."""
    lines = outcome.evidence.captured["the log"].decode().splitlines()
    assert lines
    assert all(json.loads(line)["event"] for line in lines)
    assert [problem for problem in outcome.problems if "no_secret" in problem] == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_course_logs_a_secret(scenario: Scenario) -> None:
    """Whatever comes of a job."""
    assert_fit_for_others(run(scenario.plan, f"scenario {scenario.name}", keep_log=True))


def test_no_accident_logs_a_secret() -> None:
    """Whatever goes wrong."""
    for seed in range(SEEDS):
        assert_fit_for_others(run(drawn_plan(seed), seed, keep_log=True))
