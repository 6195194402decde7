"""What stops a job and for how long, and what an answer of the provider means for the gates that all jobs share."""

from __future__ import annotations

import pytest

from sceneshift.jobs import gates
from sceneshift.jobs.gates import ANSWERS, OUTAGE, UNCLEAR, WORKS, Permit
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    Pending,
    ProviderError,
    QueryFailed,
    QueryOutcome,
    Refused,
    RenderFailed,
    SubmitOutcome,
    Succeeded,
)
from tests.factories import NOW, a_job


def error(kind: ErrorKind, http_status: int | None = 400, *, is_guess: bool = False) -> ProviderError:
    return ProviderError(kind=kind, message="said", http_status=http_status, is_guess=is_guess)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Accepted(result_key="k"), WORKS),
        (NotSent(reason="refused"), OUTAGE),
        (Refused(error=error(ErrorKind.TRANSIENT, 503)), OUTAGE),
        (Refused(error=error(ErrorKind.CREDITS_EXHAUSTED)), "provider_credits"),
        (Refused(error=error(ErrorKind.UNAUTHORIZED)), "provider_authorization"),
        (Refused(error=error(ErrorKind.MISCONFIGURED)), "provider_configuration"),
        (Refused(error=error(ErrorKind.INVALID_INPUT)), ANSWERS),
        (Refused(error=error(ErrorKind.CONTENT_REJECTED)), ANSWERS),
        (Refused(error=error(ErrorKind.THROTTLED, 429)), ANSWERS),
        (Refused(error=error(ErrorKind.THROTTLED, 403, is_guess=True)), UNCLEAR),
        (OutcomeUnknown(reason="silence"), OUTAGE),
        (OutcomeUnknown(reason="502", error=error(ErrorKind.TRANSIENT, 502)), OUTAGE),
        (OutcomeUnknown(reason="408", error=error(ErrorKind.TRANSIENT, 408)), OUTAGE),
        (OutcomeUnknown(reason="500", error=error(ErrorKind.EXECUTION_FAILED, 500)), OUTAGE),
        (OutcomeUnknown(reason="unreadable", error=error(ErrorKind.TRANSIENT, 200)), UNCLEAR),
        (OutcomeUnknown(reason="nonce", error=error(ErrorKind.NONCE_USED, 403)), UNCLEAR),
    ],
)
def test_a_submission_tells_whether_the_next_would_be_stopped_too(outcome: SubmitOutcome, verdict: str) -> None:
    """What lies in the provider stops all jobs, what lies in the job only itself; a throttled answer stops nothing."""
    assert gates.verdict_of(outcome) == verdict


@pytest.mark.parametrize(
    ("outcome", "answered"),
    [
        (Pending(provider_status="RUNNING"), True),
        (Succeeded(urls=()), True),
        (RenderFailed(error=error(ErrorKind.EXECUTION_FAILED)), True),
        (QueryFailed(error=error(ErrorKind.NO_RECORD)), True),
        (QueryFailed(error=error(ErrorKind.THROTTLED)), True),
        (QueryFailed(error=error(ErrorKind.UNAUTHORIZED)), True),
        (QueryFailed(error=error(ErrorKind.TRANSIENT, 503)), False),
        (QueryFailed(error=error(ErrorKind.TRANSIENT, None)), False),
    ],
)
def test_any_answer_to_a_question_shows_that_the_provider_is_there(outcome: QueryOutcome, *, answered: bool) -> None:
    """That it knows no such key, too: only no answer, or a server's own fault, is silence."""
    assert gates.is_answered(outcome) is answered


def test_only_a_throttled_answer_that_says_so_lowers_a_rate() -> None:
    """A refusal that may mean the content of a picture is no reason to slow all others down."""
    explained, guessed = error(ErrorKind.THROTTLED), error(ErrorKind.THROTTLED, is_guess=True)
    assert gates.throttled_by(Refused(error=explained)) is explained
    assert gates.throttled_by(QueryFailed(error=explained)) is explained
    assert gates.throttled_by(Refused(error=guessed)) is None
    assert gates.throttled_by(Refused(error=error(ErrorKind.CREDITS_EXHAUSTED))) is None
    assert gates.throttled_by(Pending(provider_status="RUNNING")) is None


@pytest.mark.parametrize(
    ("permit", "blocked_by", "seconds"),
    [
        (Permit(moment=NOW + 7.5), "submit_rate", 7.5),
        (Permit(moment=None, blocked_by=OUTAGE, until=NOW + 2.5), "provider_unavailable", 2.5),
        (Permit(moment=None, blocked_by="provider_credits", until=NOW - 1.0), "provider_credits", 0.0),
    ],
)
def test_a_job_waits_until_the_gate_is_looked_at_again(permit: Permit, blocked_by: str, seconds: float) -> None:
    """It says which gate it is and until when, keeps its epoch, and has no mark against it."""
    delay = gates.without_permit(a_job(), permit, NOW)
    assert delay is not None
    assert (delay.blocked_by, delay.new_epoch, delay.strike) == (blocked_by, False, None)
    assert delay.retry_in_seconds == pytest.approx(seconds)


def test_a_job_without_a_slot_looks_again_within_seconds() -> None:
    """Nobody can say when a slot is free."""
    delay = gates.without_permit(a_job(), Permit(moment=None, blocked_by="in_flight"), NOW)
    assert delay is not None
    assert (delay.blocked_by, 0 < delay.retry_in_seconds <= gates.SLOT_RETRY_MAX_SECONDS) == ("in_flight", True)


@pytest.mark.parametrize("is_probe", [False, True])
def test_a_moment_that_is_now_is_no_wait(*, is_probe: bool) -> None:
    """Waiting for it would take longer than it is away."""
    assert gates.without_permit(a_job(), Permit(moment=NOW + 0.01, is_probe=is_probe), NOW) is None


def test_a_job_that_was_parked_before_anybody_took_it_is_looked_at() -> None:
    """What stops all jobs is written on a job's record without a look at its sources, or after a bad one."""
    assert not gates.has_fit_sources(a_job(blocked_by=OUTAGE, step="submit-1"))
    assert not gates.has_fit_sources(a_job(blocked_by=OUTAGE, step="submit-4", strikes=2))
    assert gates.has_fit_sources(a_job(blocked_by=OUTAGE, step="submit-4"))
