"""Every single kill point of every canonical course, and all pairs of them on the way of a submission."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sceneshift.jobs.states import JobState
from tests.faults.kernel import KillPoint
from tests.faults.scenarios import LOSSY, SCENARIOS, Scenario, pairs, single_kills

pytestmark = pytest.mark.timeout(1200)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
IN_EVERY_RUN = {
    "happy path",
    "answer lost, hold",
    "answer lost, fail",
    "answer lost, resubmit",
    "request lost, probe",
    "partial",
    "cancelled while rendering",
    "receiver down",
    "late result",
}
"""The others are killed at every effect by `python3 run.py nightly`."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_course_ends_as_it_should_when_nobody_is_killed(scenario: Scenario) -> None:
    """The courses are what their names say, and no promise is broken in them."""
    outcome = scenario.play()
    [job] = outcome.evidence.jobs.values()
    assert outcome.problems == []
    assert job.state is scenario.ends


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, id=scenario.name, marks=() if scenario.name in IN_EVERY_RUN else pytest.mark.slow)
        for scenario in SCENARIOS
    ],
)
def test_a_kill_at_any_effect_breaks_no_promise(scenario: Scenario) -> None:
    """Whichever process dies just before or after whatever it does, nothing is lost, paid twice or left over."""
    for kills in single_kills(scenario):
        outcome = scenario.play(*kills)
        assert outcome.counts["kill"] == 1, kills
        assert outcome.problems == [], f"{kills} at {outcome.effects[kills[0].number - 1]}"


def test_a_kill_in_the_happy_course_holds_a_job_only_where_its_answer_may_be_lost() -> None:
    """From the intent until the answer is on disk nobody can know; a kill anywhere else costs time alone."""
    scenario = BY_NAME["happy path"]
    effects = scenario.play().effects
    intent, kept = effects.index("redis advance") + 1, effects.index("spool keep") + 1
    for number in range(1, len(effects) + 1):
        outcome = scenario.play(KillPoint(number, after=True))
        [job] = outcome.evidence.jobs.values()
        expected = JobState.NEEDS_ATTENTION if intent <= number < kept else JobState.SUCCEEDED
        assert job.state is expected, f"killed after effect {number}, {effects[number - 1]}"


@pytest.mark.parametrize("policy", ["hold", pytest.param("probe", marks=pytest.mark.slow)])
def test_two_kills_on_the_way_of_a_submission_break_no_promise(policy: str) -> None:
    """The worker that was to mend it is killed too, at each of its effects, for each at which the first one died."""
    scenario = BY_NAME["happy path" if policy == "hold" else f"answer lost, {policy}"]
    effects = scenario.play().effects
    way = range(effects.index("broker sceneshift.submit") + 1, effects.index("redis note_submission") + 2)
    for kills in pairs(scenario, way):
        outcome = scenario.play(*kills)
        assert outcome.problems == [], kills


@pytest.mark.parametrize("name", ["happy path"])
def test_a_message_that_dies_with_its_worker_changes_nothing(name: str) -> None:
    """The same kills, while the broker hands nothing out a second time: the due index alone brings the job back."""
    scenario = BY_NAME[name]
    for kills in single_kills(scenario):
        plan = replace(scenario.plan, carriage=LOSSY)
        outcome = scenario.play(*kills, plan=plan)
        assert outcome.problems == [], kills
