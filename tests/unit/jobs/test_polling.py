"""When the provider is asked about a job: by what has been measured, by the settings, and by nobody's impatience."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist
from typing import Any

import pytest

from sceneshift.jobs import events
from sceneshift.jobs.decisions import next_step
from sceneshift.jobs.latency import Latency, between_polls
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.polling import first_poll_seconds, measured_seconds, poll_pause_seconds
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Accepted, ErrorKind, Pending, ProviderError, QueryFailed, Succeeded
from tests.factories import NOW, a_job

POLICY = Policy()
A_MINUTE = Latency(median_seconds=60.0, deviation=0.5)
RUNNING = Pending(provider_status="RUNNING")


def rendering(age_seconds: float, **values: Any) -> JobRecord:
    """A job that the provider accepted so long ago, and that was asked about before."""
    defaults: dict[str, Any] = {
        "state": JobState.RENDERING,
        "step": "poll-003",
        "parent_step": "poll-002",
        "polls": 2,
        "submitted_at": NOW - age_seconds,
        "intent_at": NOW - age_seconds,
        "result_key": "K",
        "deadline_at": None,
    }
    return a_job(**{**defaults, **values})


def pause_after(
    outcome: Any, job: JobRecord, latency: Latency | None = A_MINUTE, policy: Policy = POLICY
) -> events.PollScheduled:
    event = next_step(job, outcome, policy, NOW, latency)
    assert isinstance(event, events.PollScheduled)
    return event


def failed(kind: ErrorKind = ErrorKind.TRANSIENT, **values: Any) -> QueryFailed:
    return QueryFailed(error=ProviderError(kind=kind, message="no", request_id=None, **values))


def spread(seconds: float) -> Any:
    """Within ±2 % of this."""
    return pytest.approx(seconds, rel=0.0201)


def test_the_first_question_comes_when_the_quickest_jobs_are_done() -> None:
    """That is when one in twenty is: 1.7 deviations below the median."""
    event = next_step(rendering(0.0), Accepted(result_key="K", request_id=None), POLICY, NOW, A_MINUTE)
    assert isinstance(event, events.SubmissionAccepted)
    assert event.first_poll_in_seconds == spread(60.0 * math.exp(-1.7 * 0.5))


def test_further_questions_come_after_a_tenth_of_the_age() -> None:
    """A little less, so that with the timekeeper's own interval a result is late by no more than a tenth."""
    for age in (10.0, 60.0, 150.0):
        pause = poll_pause_seconds(age, POLICY, A_MINUTE)
        assert 0.08 * age < pause < pause + 0.12 <= 0.1 * age
        assert pause_after(RUNNING, rendering(age)).poll_in_seconds == spread(pause)


def test_a_job_that_takes_far_longer_than_others_is_asked_about_half_as_often() -> None:
    """From where one job in a hundred still runs, the pauses are a fifth of the age."""
    last_usual = 60.0 * math.exp(2.33 * 0.5)
    usual = poll_pause_seconds(0.999 * last_usual, POLICY, A_MINUTE)
    late = poll_pause_seconds(1.001 * last_usual, POLICY, A_MINUTE)
    assert late == pytest.approx(2 * usual, rel=0.01)


def test_what_is_not_known_yet_is_found_out_by_growing_ages() -> None:
    """Without a measured job the first question comes by the settings, and each at 1.25 times the age of the last."""
    assert first_poll_seconds(rendering(0.0), POLICY) == spread(2.0)
    ages = [2.0]
    while ages[-1] < 600.0:
        ages.append(ages[-1] + poll_pause_seconds(ages[-1], POLICY))
    assert [later / age for age, later in itertools.pairwise(ages)] == [pytest.approx(1.25)] * (len(ages) - 1)
    assert len(ages) == 27
    assert pause_after(RUNNING, rendering(40.0), None).poll_in_seconds == spread(10.0)


@pytest.mark.parametrize("latency", [None, Latency(median_seconds=9000.0, deviation=0.3)])
def test_the_longest_pause_is_the_operator_s(latency: Latency | None) -> None:
    """Whatever was measured, and for the first question too, and after one that failed."""
    policy = Policy(poll_first_seconds=50.0, poll_max_seconds=3.0)
    assert first_poll_seconds(rendering(0.0), policy, latency) == spread(3.0)
    assert poll_pause_seconds(5000.0, policy, latency) == 3.0
    assert pause_after(failed(), rendering(5000.0), latency, policy).poll_in_seconds == spread(3.0)


@pytest.mark.parametrize("latency", [None, Latency(median_seconds=0.001, deviation=0.1)])
def test_no_job_is_asked_about_more_often_than_a_timekeeper_looks(latency: Latency | None) -> None:
    """However quick the provider seems to be, and at any age, there is a tenth of a second between two questions."""
    policy = Policy(poll_first_seconds=0.05)
    assert first_poll_seconds(rendering(0.0), policy, latency) == spread(0.1)
    assert [poll_pause_seconds(age, policy, latency) for age in (0.0, -1.0, 0.01)] == [0.1] * 3


@pytest.mark.parametrize(("deviation", "counts_as"), [(0.0, 0.1), (7.0, 1.5)])
def test_a_run_of_odd_jobs_does_not_make_the_schedule_absurd(deviation: float, counts_as: float) -> None:
    """All alike or all different: the first question is neither just before the median nor at once."""
    latency = Latency(median_seconds=60.0, deviation=deviation)
    assert first_poll_seconds(rendering(0.0), POLICY, latency) == spread(60.0 * math.exp(-1.7 * counts_as))


def test_jobs_do_not_march_in_step() -> None:
    """Pauses of one length differ by up to ±2 %, and the same step of the same job always has the same."""
    jobs = [rendering(100.0) for _ in range(500)]
    pauses = [pause_after(RUNNING, job).poll_in_seconds for job in jobs]
    assert min(pauses) < 9.78 * 0.985
    assert max(pauses) > 9.78 * 1.015
    assert all(pause == spread(9.78) for pause in pauses)
    assert pauses == [pause_after(RUNNING, job).poll_in_seconds for job in jobs]


def test_a_young_job_s_failed_question_is_not_repeated_at_once() -> None:
    """A provider that is in trouble gets four seconds, or what it asks for; an older job's pause is longer anyway."""
    young = pause_after(failed(), rendering(3.0))
    assert (young.poll_in_seconds, young.answered) == (spread(4.0), False)
    assert pause_after(RUNNING, rendering(3.0)).poll_in_seconds < 0.5
    assert pause_after(failed(retry_after_seconds=9.0), rendering(3.0)).poll_in_seconds == 9.0
    assert pause_after(failed(), rendering(100.0)).poll_in_seconds == spread(9.78)


def test_a_deadline_is_noticed_when_it_comes() -> None:
    """A pause does not reach beyond it, so that the owner hears of it at once; afterwards the slow pauses begin."""
    assert pause_after(RUNNING, rendering(100.0, deadline_at=NOW + 3.0)).poll_in_seconds == pytest.approx(3.0)
    assert pause_after(RUNNING, rendering(100.0, deadline_at=NOW)).poll_in_seconds == pytest.approx(0.1)
    assert pause_after(RUNNING, rendering(100.0, deadline_at=NOW + 60.0)).poll_in_seconds == spread(9.78)
    late = pause_after(RUNNING, rendering(100.0, deadline_at=NOW - 0.001))
    assert late.overdue
    assert late.poll_in_seconds == pytest.approx(600.0, rel=0.2)


def test_what_a_job_took_lies_between_its_last_two_questions() -> None:
    """Their geometric mean; the earlier one is where the schedule has put it."""
    assert measured_seconds(rendering(110.0), POLICY, NOW, A_MINUTE) == pytest.approx(104.8, rel=0.01)
    assert measured_seconds(rendering(125.0), POLICY, NOW) == pytest.approx(110.0, rel=0.02)
    slow = Policy(poll_max_seconds=20.0)
    assert measured_seconds(rendering(500.0), slow, NOW) == pytest.approx(490.0, rel=0.001)
    overdue = rendering(3600.0, overdue=True)
    assert measured_seconds(overdue, POLICY, NOW, A_MINUTE) == pytest.approx(math.sqrt(3600.0 * 3000.0))


def test_a_job_that_is_finished_at_its_first_question_took_less() -> None:
    """Its age is an upper bound: three fifths of it are taken, and that is the least for any job."""
    first = rendering(50.0, step="poll-001", parent_step="submit-2")
    assert measured_seconds(first, POLICY, NOW, A_MINUTE) == pytest.approx(30.0)
    early = rendering(100.0, overdue=True)
    assert measured_seconds(early, POLICY, NOW, A_MINUTE) == pytest.approx(60.0)
    assert between_polls(0.0, 50.0) == pytest.approx(30.0)
    assert between_polls(80.0, 125.0) == pytest.approx(100.0)


@pytest.mark.parametrize(
    "values",
    [
        {"submitted_at": None},
        {"submitted_at": NOW, "intent_at": NOW},
        {"rendered_at": NOW - 5.0},
        {"blocked_by": "provider_unavailable"},
        {"parent_step": "resolve-7"},
        {"intent_at": NOW - 25.0},
    ],
    ids=["never accepted", "no age", "found before", "question failed", "asked anew", "key stored late"],
)
def test_nothing_is_learned_from_a_job_of_unknown_times(values: dict[str, Any]) -> None:
    """Where the age or the time of the question before says nothing of the provider, there is no measurement."""
    assert measured_seconds(rendering(10.0), POLICY, NOW, A_MINUTE) is not None
    assert measured_seconds(rendering(10.0, **values), POLICY, NOW, A_MINUTE) is None


def test_a_result_is_taken_whatever_was_expected() -> None:
    """The expectation only says when to ask."""
    ready = next_step(rendering(1.0), Succeeded(urls=("a",)), POLICY, NOW, A_MINUTE)
    assert ready == events.ResultsReady(urls=("a",))


def test_nearly_all_such_jobs_are_done_when_a_lost_one_is_taken_to_be() -> None:
    """Not one in five hundred takes longer, by the distribution that is learned."""
    latency = Latency(median_seconds=10.0, deviation=0.35)
    assert math.log(latency.done_seconds / 10.0) / 0.35 > NormalDist().inv_cdf(1 - 1 / 500)
