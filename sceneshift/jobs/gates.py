"""What stops a job before it is submitted, and until when: each gate's words, and the wait that it means.

And what an answer of the provider means for the gates, which all jobs share.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from sceneshift.identifiers import step_number
from sceneshift.jobs import events
from sceneshift.jobs.faults import WAITS_FOR
from sceneshift.jobs.pauses import submit_backoff_seconds
from sceneshift.jobs.record import JobRecord
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    QueryFailed,
    QueryOutcome,
    Refused,
    SubmitOutcome,
)

SLOT_RETRY_MAX_SECONDS = 20.0
"""When all slots are taken nobody can say until when: a job that waits for one looks again so often at the least."""
PERMIT_EARLY_SECONDS = 0.02
"""What lies nearer than this is now: waiting for it would take longer."""
PERMIT_SECONDS = 10.0
"""A moment that was reserved for a submission is good for so long; whoever oversleeps it takes another."""

LOOKS_APART_STEPS = 30

SUBMIT_RATE = "submit_rate"
IN_FLIGHT = "in_flight"
"""What stops a job at our own limits, as `blocked_by`."""
OUTAGE = WAITS_FOR[ErrorKind.TRANSIENT]
"""What stops all jobs while the provider is away, as `blocked_by`."""

WORKS = "works"
ANSWERS = "answers"
UNCLEAR = "unclear"
"""Verdicts on the provider that stop nothing; the others are what stops all jobs, as `blocked_by`."""

_ACCOUNT = frozenset({ErrorKind.CREDITS_EXHAUSTED, ErrorKind.UNAUTHORIZED, ErrorKind.MISCONFIGURED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The answer of all gates to one submission.

    Attributes:
        moment: when it may be sent (unix seconds), which is this job's alone; None when something stops it.
        blocked_by: what stops it then, as on the job's record.
        until: when that is looked at next; None when nobody can say.
        is_probe: the breaker is open, and this submission is to show whether the provider works again.
    """

    moment: float | None
    blocked_by: str = ""
    until: float | None = None
    is_probe: bool = False


def has_fit_sources(job: JobRecord) -> bool:
    """Whether the job's sources were looked at and only something else has put it off since.

    URLs expire, so after every thirty such delays they are looked at again. A job that was put off before anybody took
    it, because the breaker is open, was not looked at, nor was one whose last look was a bad one.
    """
    passed_the_look = job.blocked_by in {SUBMIT_RATE, IN_FLIGHT} or job.blocked_by.startswith("provider_")
    number = step_number(job.step)
    return passed_the_look and not job.strikes and number > 1 and number % LOOKS_APART_STEPS != 0


def holds_permit(job: JobRecord, now: float) -> bool:
    """Whether the job has waited for a moment that was reserved for it, and that is now."""
    if job.blocked_by != SUBMIT_RATE or job.blocked_until is None:
        return False
    return job.blocked_until <= now + PERMIT_EARLY_SECONDS and now <= job.blocked_until + PERMIT_SECONDS


def without_permit(job: JobRecord, permit: Permit, now: float) -> events.SubmissionDelayed | None:
    """The wait for the moment that was reserved for a submission, None when that is now; or for what stops it."""
    if permit.moment is None:
        return slot_delay(job) if permit.until is None else _delay(permit.blocked_by, permit.until - now)
    if permit.moment <= now + PERMIT_EARLY_SECONDS:
        return None
    return _delay(SUBMIT_RATE, permit.moment - now)


def slot_delay(job: JobRecord) -> events.SubmissionDelayed:
    """Another look for a slot, later."""
    return _delay(IN_FLIGHT, min(SLOT_RETRY_MAX_SECONDS, submit_backoff_seconds(job)))


def _delay(blocked_by: str, seconds: float) -> events.SubmissionDelayed:
    return events.SubmissionDelayed(
        blocked_by=blocked_by, retry_in_seconds=max(0.0, seconds), new_epoch=False, strike=None
    )


def verdict_of(outcome: SubmitOutcome) -> str:
    """What a submission tells of the provider's ability to work for us, apart from its own job.

    `works`: it accepted. `answers`: it refused, for a reason that lies in the job or in our pace. `unclear`: it
    answered in a way that says neither. Otherwise what would stop the next job too, as `blocked_by`.
    """
    match outcome:
        case Accepted():
            return WORKS
        case NotSent():
            return OUTAGE
        case Refused():
            return _verdict_of_refusal(outcome.error)
        case OutcomeUnknown():
            return OUTAGE if outcome.error is None or _is_away(outcome.error) else UNCLEAR
        case _:
            assert_never(outcome)


def _verdict_of_refusal(error: ProviderError) -> str:
    if error.kind is ErrorKind.TRANSIENT or error.kind in _ACCOUNT:
        return WAITS_FOR[error.kind]
    # A throttled answer without a reason may mean an empty account as well.
    return UNCLEAR if error.kind is ErrorKind.THROTTLED and error.is_guess else ANSWERS


def _is_away(error: ProviderError) -> bool:
    """Whether this error stands for a provider that is not there, rather than for an answer of it."""
    if error.http_status is None:
        return True
    is_2xx = HTTPStatus.OK <= error.http_status < HTTPStatus.MULTIPLE_CHOICES
    return error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR or (error.kind is ErrorKind.TRANSIENT and not is_2xx)


def is_answered(outcome: QueryOutcome) -> bool:
    """Whether a question shows that the provider is there, whatever its answer was."""
    return not isinstance(outcome, QueryFailed) or outcome.error.kind is not ErrorKind.TRANSIENT


def throttled_by(outcome: SubmitOutcome | QueryOutcome) -> ProviderError | None:
    """The provider's word that it is asked too often; None when it said something else, or may have."""
    if not isinstance(outcome, Refused | QueryFailed):
        return None
    error = outcome.error
    return error if error.kind is ErrorKind.THROTTLED and not error.is_guess else None
