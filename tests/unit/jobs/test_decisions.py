"""What each answer of the provider means for a job, and how long every pause is."""

from __future__ import annotations

from typing import Any

import pytest

from sceneshift.jobs import decisions, events, gates, pauses
from sceneshift.jobs.decisions import after_copying, next_step
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    Pending,
    ProviderError,
    QueryFailed,
    Refused,
    RenderFailed,
    Succeeded,
)
from sceneshift.settings import Settings
from tests.factories import NOW, a_job, an_order, an_output

POLICY = Policy()
DELAYS = {
    ErrorKind.THROTTLED: "provider_throttled",
    ErrorKind.CREDITS_EXHAUSTED: "provider_credits",
    ErrorKind.UNAUTHORIZED: "provider_authorization",
    ErrorKind.MISCONFIGURED: "provider_configuration",
    ErrorKind.TRANSIENT: "provider_unavailable",
}
ACCOUNT = {ErrorKind.CREDITS_EXHAUSTED, ErrorKind.UNAUTHORIZED, ErrorKind.MISCONFIGURED}
UNTOLD = {ErrorKind.NONCE_USED, ErrorKind.NO_RECORD, ErrorKind.EXECUTION_FAILED}
VERDICTS = {
    ErrorKind.NO_RECORD,
    ErrorKind.CONTENT_REJECTED,
    ErrorKind.EXECUTION_FAILED,
    ErrorKind.SOURCE_UNFIT,
    ErrorKind.SOURCE_UNREACHABLE,
}
REFUSALS = set(ErrorKind) - set(DELAYS) - UNTOLD


def an_error(kind: ErrorKind, **values: Any) -> ProviderError:
    return ProviderError(kind=kind, message="the provider's words", request_id="REQ-9", **values)


def submitting(**values: Any) -> JobRecord:
    return a_job(state=JobState.SUBMITTING, submits=1, **values)


def rendering(**values: Any) -> JobRecord:
    defaults: dict[str, Any] = {"step": "poll-001", "submitted_at": NOW - 10.0, "result_key": "K"}
    return a_job(state=JobState.RENDERING, **{**defaults, **values})


def polled(outcome: Any, job: JobRecord | None = None, now: float = NOW) -> events.PollScheduled:
    event = next_step(job or rendering(), outcome, POLICY, now)
    assert isinstance(event, events.PollScheduled)
    return event


def about(seconds: float) -> Any:
    """Within ±20 % of this."""
    return pytest.approx(seconds, rel=0.2)


def test_an_acceptance_is_polled_first_when_a_result_is_likely() -> None:
    """Key and request id are passed on, and the first poll comes after the first pause of the policy."""
    event = next_step(submitting(), Accepted(result_key="K", request_id="R"), POLICY, NOW)
    assert isinstance(event, events.SubmissionAccepted)
    assert (event.result_key, event.request_id) == ("K", "R")
    assert event.first_poll_in_seconds == pytest.approx(2.0, rel=0.051)


def test_what_was_not_sent_is_sent_again_under_the_same_epoch() -> None:
    """No byte arrived, so the nonce is unused and nothing can have been charged."""
    event = next_step(submitting(), NotSent(reason="dns"), POLICY, NOW)
    assert isinstance(event, events.SubmissionDelayed)
    assert (event.blocked_by, event.new_epoch) == ("provider_unreachable", False)


@pytest.mark.parametrize("kind", DELAYS)
def test_a_passing_refusal_is_waited_for(kind: ErrorKind) -> None:
    """Each kind says by name what the job waits for, and the next request gets a new nonce."""
    event = next_step(submitting(), Refused(error=an_error(kind)), POLICY, NOW)
    assert isinstance(event, events.SubmissionDelayed)
    assert (event.blocked_by, event.new_epoch) == (DELAYS[kind], True)
    assert event.retry_in_seconds == about(60.0 if kind in ACCOUNT else 2.0)


@pytest.mark.parametrize("kind", DELAYS)
def test_a_refusal_s_own_pause_is_kept_when_it_is_longer(kind: ErrorKind) -> None:
    """The provider's `Retry-After` stretches a pause and never shortens it."""
    longer = next_step(submitting(), Refused(error=an_error(kind, retry_after_seconds=500.0)), POLICY, NOW)
    assert isinstance(longer, events.SubmissionDelayed)
    assert longer.retry_in_seconds == 500.0
    shorter = next_step(submitting(), Refused(error=an_error(kind, retry_after_seconds=0.1)), POLICY, NOW)
    assert isinstance(shorter, events.SubmissionDelayed)
    assert shorter.retry_in_seconds > 1.0


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_a_refusal_for_good_fails_the_job_with_its_code(kind: ErrorKind) -> None:
    """Bad input is told with the provider's words and request id, under our code."""
    event = next_step(submitting(), Refused(error=an_error(kind)), POLICY, NOW)
    assert event == events.JobRefused(
        fault=JobFault(code=str(kind), message="the provider's words", request_id="REQ-9")
    )


@pytest.mark.parametrize("kind", sorted(UNTOLD))
def test_a_refusal_that_hints_at_an_acceptance_is_held(kind: ErrorKind) -> None:
    """An answer that can follow an acceptance is an unknown outcome and not a refusal."""
    event = next_step(submitting(), Refused(error=an_error(kind)), POLICY, NOW)
    assert isinstance(event, events.SubmissionLost)
    assert (event.fault.code, event.fault.message) == ("outcome_unknown", "the provider's words")


@pytest.mark.parametrize("kind", sorted(UNTOLD))
def test_who_decides_about_a_held_job_gets_the_id_for_support(kind: ErrorKind) -> None:
    """The provider's request id is what its support asks for, so it is not lost with the answer."""
    event = next_step(submitting(), Refused(error=an_error(kind)), POLICY, NOW)
    assert isinstance(event, events.SubmissionLost)
    assert event.fault.request_id == "REQ-9"


@pytest.mark.parametrize(("error", "request_id"), [(an_error(ErrorKind.TRANSIENT), "REQ-9"), (None, None)])
def test_an_unknown_outcome_is_never_sent_again(error: ProviderError | None, request_id: str | None) -> None:
    """It becomes a lost submission with its reason, whatever error came with it."""
    event = next_step(submitting(), OutcomeUnknown(reason="timeout", error=error), POLICY, NOW)
    assert event == events.SubmissionLost(
        fault=JobFault(code="outcome_unknown", message="timeout", request_id=request_id)
    )


BUSY = JobFault(code="source_server_error", message="image: shop.example answered with status 503")


@pytest.mark.parametrize(("refusals", "ends"), [(0, False), (4, False), (5, True)])
def test_refusal_without_a_reason_is_not_waited_for_for_ever(refusals: int, ends: bool) -> None:
    """A 403 that may be throttling or may mean this picture is counted; the sixth in a row ends the job."""
    error = an_error(ErrorKind.THROTTLED, is_guess=True)
    event = next_step(a_job(refusals=refusals, strikes=5), Refused(error=error), POLICY, NOW)
    if ends:
        assert isinstance(event, events.JobRefused)
        assert event.fault.code == "refused_unexplained"
    else:
        assert isinstance(event, events.SubmissionDelayed)
        assert (event.blocked_by, event.strike, event.new_epoch) == ("provider_throttled", "refusal", True)


def test_a_throttled_job_comes_back_when_the_provider_wishes() -> None:
    """With a `Retry-After` it is soon after that, however often it was throttled; without one, within 40 seconds."""
    late = a_job(step="submit-9")
    wished = next_step(late, Refused(error=an_error(ErrorKind.THROTTLED, retry_after_seconds=3.0)), POLICY, NOW)
    silent = next_step(late, Refused(error=an_error(ErrorKind.THROTTLED)), POLICY, NOW)
    assert isinstance(wished, events.SubmissionDelayed)
    assert isinstance(silent, events.SubmissionDelayed)
    assert 3.0 <= wished.retry_in_seconds <= 4.0
    assert 20.0 <= silent.retry_in_seconds <= 40.0


def test_throttling_that_says_so_is_waited_for_without_end() -> None:
    """Plain throttling never strikes."""
    event = next_step(a_job(refusals=5), Refused(error=an_error(ErrorKind.THROTTLED)), POLICY, NOW)
    assert isinstance(event, events.SubmissionDelayed)
    assert event.strike == "none"


@pytest.mark.parametrize(
    ("blocked_by", "step", "fit"),
    [
        ("", "submit-1", False),
        ("provider_credits", "submit-2", True),
        ("provider_throttled", "submit-29", True),
        ("provider_throttled", "submit-30", False),
        ("submit_rate", "submit-2", True),
        ("in_flight", "submit-2", True),
        ("source_timeout", "submit-2", False),
        ("storage_unavailable", "submit-2", False),
    ],
)
def test_sources_are_looked_at_once_and_not_at_every_delay(blocked_by: str, step: str, *, fit: bool) -> None:
    """A parked job leaves the shop's servers alone, but for another look after thirty delays: URLs expire."""
    assert gates.has_fit_sources(a_job(blocked_by=blocked_by, step=step)) is fit


def looked_at(strikes: int = 0, **about: Any) -> events.SubmissionDelayed:
    job = a_job(strikes=strikes)
    event = decisions.after_bad_source(job, BUSY, may_pass=True, **about)
    assert isinstance(event, events.SubmissionDelayed)
    return event


def test_a_source_that_is_wrong_for_good_ends_the_job_at_once() -> None:
    """Nothing was sent, so its fault is a refusal like the provider's own."""
    event = decisions.after_bad_source(a_job(), BUSY, may_pass=False, retry_after_seconds=60.0)
    assert event == events.JobRefused(fault=BUSY)


def test_a_source_that_may_come_back_is_looked_at_again_over_forty_minutes() -> None:
    """The job says what is in the way, nothing was sent, and the sixth bad look in a row is believed."""
    looks = [looked_at(strikes) for strikes in range(5)]
    assert [event.retry_in_seconds for event in looks] == [
        about(seconds) for seconds in (20.0, 60.0, 180.0, 540.0, 1620.0)
    ]
    assert {(event.blocked_by, event.message, event.new_epoch, event.strike) for event in looks} == {
        (BUSY.code, BUSY.message, False, "source")
    }
    assert decisions.after_bad_source(a_job(strikes=5), BUSY, may_pass=True) == events.JobRefused(fault=BUSY)


@pytest.mark.parametrize(
    ("asked", "waited"), [(None, about(20.0)), (0.0, about(20.0)), (600.0, 600.0), (3601.0, 3600.0), (1e9, 3600.0)]
)
def test_a_source_s_server_may_ask_for_an_hour(asked: float | None, waited: float) -> None:
    """Its `Retry-After` stretches the pause, and an hour is the most that it gets."""
    assert looked_at(retry_after_seconds=asked).retry_in_seconds == waited


def test_a_result_is_stored_next() -> None:
    """The provider's URLs are passed on in their order."""
    assert next_step(rendering(), Succeeded(urls=("b", "a")), POLICY, NOW) == events.ResultsReady(urls=("b", "a"))


def test_a_failed_rendering_fails_the_job() -> None:
    """The provider's error becomes the job's, under our code."""
    event = next_step(rendering(), RenderFailed(error=an_error(ErrorKind.EXECUTION_FAILED)), POLICY, NOW)
    assert event == events.RenderingFailed(
        fault=JobFault(code="execution_failed", message="the provider's words", request_id="REQ-9")
    )


@pytest.mark.parametrize("status", ["WAITING", "RUNNING", "A WORD THAT NOBODY DOCUMENTED"])
def test_an_unfinished_job_is_asked_about_later(status: str) -> None:
    """Whatever word the provider has for it, it is an answer and no strike."""
    event = polled(Pending(provider_status=status))
    assert (event.strike, event.overdue, event.answered) == (False, False, True)


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - VERDICTS))
def test_a_failed_question_never_fails_the_job(kind: ErrorKind) -> None:
    """It is asked again, no sooner than the provider wants, and says nothing about earlier strikes."""
    event = polled(QueryFailed(error=an_error(kind, retry_after_seconds=77.0)), rendering(strikes=2))
    assert (event.poll_in_seconds, event.strike, event.answered) == (77.0, False, False)


@pytest.mark.parametrize("kind", sorted(VERDICTS - {ErrorKind.NO_RECORD}))
def test_a_verdict_in_place_of_an_answer_is_believed_when_it_is_repeated(kind: ErrorKind) -> None:
    """An error that speaks of the job itself is asked about five times more, and then fails it under our code."""
    verdict = QueryFailed(error=an_error(kind))
    assert all(polled(verdict, rendering(strikes=strikes)).strike for strikes in range(5))
    assert next_step(rendering(strikes=5), verdict, POLICY, NOW) == events.RenderingFailed(
        fault=JobFault(code=str(kind), message="the provider's words", request_id="REQ-9")
    )


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(urls=()), *(QueryFailed(error=an_error(kind)) for kind in sorted(VERDICTS))],
    ids=["empty success", *sorted(VERDICTS)],
)
def test_a_verdict_is_asked_about_again_over_forty_minutes(outcome: Any) -> None:
    """Each pause is three times the last, from 20 s on, so that a provider's bad half hour loses no paid image."""
    old = {"submitted_at": NOW - 400.0}
    pauses = [polled(outcome, rendering(strikes=strikes, **old)).poll_in_seconds for strikes in range(5)]
    assert pauses == [about(seconds) for seconds in (20.0, 60.0, 180.0, 540.0, 1620.0)]
    assert isinstance(next_step(rendering(strikes=5, **old), outcome, POLICY, NOW), events.RenderingFailed)


def test_a_young_key_may_be_unknown() -> None:
    """Within five minutes of the submission an unknown key is a provider that has not caught up."""
    missing = QueryFailed(error=an_error(ErrorKind.NO_RECORD))
    young = polled(missing, rendering(submitted_at=NOW - 299.0, strikes=2))
    assert (young.strike, young.answered) == (False, False)
    old = polled(missing, rendering(submitted_at=NOW - 300.0))
    assert old.strike
    assert old.poll_in_seconds == about(20.0)


def test_the_sixth_strike_for_an_unknown_key_is_believed() -> None:
    """A key that stays unknown is a lost result, told with the provider's request id."""
    missing = QueryFailed(error=an_error(ErrorKind.NO_RECORD))
    assert polled(missing, rendering(submitted_at=NOW - 400.0, strikes=4)).strike
    event = next_step(rendering(submitted_at=NOW - 400.0, strikes=5), missing, POLICY, NOW)
    assert event == events.RenderingFailed(
        fault=JobFault(code="result_lost", message="the provider's words", request_id="REQ-9")
    )


def test_the_sixth_empty_success_is_believed() -> None:
    """A success without images is asked about five times more before the job fails."""
    assert polled(Succeeded(urls=()), rendering(strikes=4)).strike
    event = next_step(rendering(strikes=5), Succeeded(urls=()), POLICY, NOW)
    assert isinstance(event, events.RenderingFailed)
    assert event.fault.code == "empty_result"


def test_an_overdue_job_is_asked_about_slowly() -> None:
    """Past its deadline it is marked and polled every ten minutes; on the deadline it is not late yet."""
    late = polled(Pending(provider_status="RUNNING"), rendering(deadline_at=NOW - 0.001))
    assert late.overdue
    assert late.poll_in_seconds == about(600.0)
    assert not polled(Pending(provider_status="RUNNING"), rendering(deadline_at=NOW)).overdue
    assert not polled(Pending(provider_status="RUNNING"), rendering(deadline_at=None)).overdue


@pytest.mark.parametrize(
    "outcome",
    [Pending(provider_status="RUNNING"), QueryFailed(error=an_error(ErrorKind.TRANSIENT))],
    ids=["unfinished", "no answer"],
)
def test_a_job_is_given_up_when_the_provider_s_retention_ends(outcome: Any) -> None:
    """It is paid for, so it is asked about until nothing can be had any more, and only then fails."""
    policy = Policy(provider_retention_seconds=1000.0)
    assert isinstance(next_step(rendering(submitted_at=NOW - 1000.0), outcome, policy, NOW), events.PollScheduled)
    event = next_step(rendering(submitted_at=NOW - 1000.5), outcome, policy, NOW)
    assert isinstance(event, events.RenderingFailed)
    assert event.fault.code == "abandoned_by_provider"


def test_a_result_is_taken_however_late_it_is() -> None:
    """Neither the deadline nor the end of the retention makes a finished job's images unwanted."""
    job = rendering(submitted_at=NOW - 10 * 86_400.0, deadline_at=NOW - 9 * 86_400.0)
    assert next_step(job, Succeeded(urls=("a",)), POLICY, NOW) == events.ResultsReady(urls=("a",))


def copied(job: JobRecord, **values: Any) -> events.StoringDelayed | events.ImagesStored:
    defaults: dict[str, Any] = {"outputs": (), "urls": ("a", "b"), "lost": (), "delayed": None}
    return after_copying(job, **{**defaults, **values}, policy=POLICY, now=NOW)


DELAYED = JobFault(code="s3_error", message="slow down")
GONE = MissingOutput(index=1, code="not_an_image", message="a web page")


def test_copied_images_are_told_in_their_order() -> None:
    """Whatever order they were copied in, the outputs are sorted by index."""
    event = copied(rendering(), outputs=(an_output(1), an_output(0)), lost=(GONE,))
    assert event == events.ImagesStored(outputs=(an_output(0), an_output(1)), missing=(GONE,))


def test_a_delayed_copy_is_tried_again() -> None:
    """As long as an image may still be had, what is stored is kept and the rest waits."""
    event = copied(rendering(), outputs=(an_output(0),), delayed=DELAYED)
    assert isinstance(event, events.StoringDelayed)
    assert (event.outputs, event.urls, event.fault) == ((an_output(0),), ("a", "b"), DELAYED)
    assert event.retry_in_seconds == about(2.0)


def test_a_copy_that_is_still_delayed_when_the_retention_ends_is_lost() -> None:
    """Then each image that is neither stored nor lost is missing for the reason of the delay."""
    job = rendering(submitted_at=NOW - 86_401.0, order=an_order(num_output=3))
    event = copied(job, outputs=(an_output(2),), lost=(GONE,), delayed=DELAYED)
    assert event == events.ImagesStored(
        outputs=(an_output(2),),
        missing=(MissingOutput(index=0, code="s3_error", message="slow down"), GONE),
    )


def test_pauses_before_a_new_submission_double_to_two_minutes() -> None:
    """2 s, 4 s, 8 s … 120 s, each ±20 %, for any number of steps, also of a job that was never sent."""
    expected = {1: 2.0, 2: 4.0, 3: 8.0, 6: 64.0, 7: 120.0, 10_000: 120.0}
    for number, seconds in expected.items():
        assert pauses.submit_backoff_seconds(a_job(step=f"submit-{number}", submits=0)) == about(seconds)


def test_pauses_before_a_new_copy_double_to_five_minutes() -> None:
    """2 s, 4 s … 300 s, each ±20 %, for any number of attempts."""
    for attempts, seconds in {0: 2.0, 1: 4.0, 7: 256.0, 8: 300.0, 10_000: 300.0}.items():
        assert pauses.store_backoff_seconds(a_job(store_attempts=attempts)) == about(seconds)


def test_pauses_are_spread_evenly_and_always_the_same_for_one_step() -> None:
    """Over many jobs the spread fills ±20 % and leaves the mean; the same job and step always get the same pause."""
    jobs = [a_job() for _ in range(2000)]
    spreads = [pauses.spread(job, 100.0) for job in jobs]
    assert all(80.0 <= pause <= 120.0 for pause in spreads)
    assert min(spreads) < 82.0
    assert max(spreads) > 118.0
    assert sum(spreads) / len(spreads) == pytest.approx(100.0, abs=2.0)
    assert spreads == [pauses.spread(job, 100.0) for job in jobs]
    assert pauses.spread(jobs[0].evolve(step="submit-2"), 100.0) != spreads[0]


def test_three_starts_are_tried_and_the_fourth_is_poison() -> None:
    """Three workers may die of one step; the fourth hands it to a person and says how many died."""
    assert [starts for starts in range(1, 6) if decisions.is_poisoned(starts)] == [4, 5]
    assert "poll-003 was started 3 times" in decisions.poison_fault("poll-003", 4).message


def test_the_policy_is_that_of_the_settings() -> None:
    """Every pause that can be set is read from its setting."""
    settings = Settings(
        poll_first_seconds=1.0,
        poll_growth=2.0,
        poll_max_seconds=3.0,
        poll_overdue_seconds=4.0,
        provider_retention_seconds=5.0,
    )
    assert Policy.from_settings(settings) == Policy(
        poll_first_seconds=1.0,
        poll_growth=2.0,
        poll_max_seconds=3.0,
        poll_overdue_seconds=4.0,
        provider_retention_seconds=5.0,
    )
    assert Policy.from_settings(Settings()) == Policy()
