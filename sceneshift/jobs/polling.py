"""When to ask the provider about a job, and what its answers to such questions mean.

A failed question never fails a job; only a verdict on the job itself that is repeated does.
"""

from __future__ import annotations

from typing import assert_never

from sceneshift.jobs import events
from sceneshift.jobs.faults import WAITS_FOR, fault_of
from sceneshift.jobs.pauses import STRIKES_MAX, spread, strike_pause_seconds
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.provider.protocol import (
    ErrorKind,
    Pending,
    ProviderError,
    QueryFailed,
    QueryOutcome,
    RenderFailed,
    Succeeded,
)

NO_RECORD_GRACE_SECONDS = 300.0
"""So long after submission an unknown key may only be a provider that has not caught up with itself."""

VERDICT = "provider_verdict"
"""As `blocked_by`: what the provider says of the job is grave enough to be asked for again before it is believed."""

_VERDICTS = frozenset(
    {
        ErrorKind.NO_RECORD,
        ErrorKind.EXECUTION_FAILED,
        ErrorKind.CONTENT_REJECTED,
        ErrorKind.SOURCE_UNREACHABLE,
        ErrorKind.SOURCE_UNFIT,
    }
)
"""What a query may be answered with that speaks of the job and not of the question."""


def after_query(job: JobRecord, outcome: QueryOutcome, policy: Policy, now: float) -> events.Event:
    """The event that this answer to a question about the job means for it."""
    match outcome:
        case Pending():
            return _poll_again(job, policy, now)
        case Succeeded():
            return _after_success(job, outcome, now)
        case RenderFailed():
            return events.RenderingFailed(fault=fault_of(outcome.error))
        case QueryFailed():
            return _after_failed_query(job, outcome.error, policy, now)
        case _:
            assert_never(outcome)


def _after_success(job: JobRecord, outcome: Succeeded, now: float) -> events.Event:
    if outcome.urls:
        return events.ResultsReady(urls=outcome.urls)
    if job.strikes + 1 >= STRIKES_MAX:
        return events.RenderingFailed(
            fault=JobFault(code="empty_result", message="the provider says SUCCESS and names no images")
        )
    return _struck(job, now)


def _after_failed_query(job: JobRecord, error: ProviderError, policy: Policy, now: float) -> events.Event:
    """A failed question never fails the job; only a verdict on the job that is repeated does."""
    if error.kind not in _VERDICTS:
        blocked_by = WAITS_FOR.get(error.kind, "provider_configuration")
        return _poll_again(job, policy, now, blocked_by=blocked_by, at_least_seconds=error.retry_after_seconds or 0.0)
    unknown_key = error.kind is ErrorKind.NO_RECORD
    if unknown_key and now - (job.submitted_at or now) < NO_RECORD_GRACE_SECONDS:
        return _poll_again(job, policy, now, blocked_by=VERDICT)
    if job.strikes + 1 >= STRIKES_MAX:
        code = "result_lost" if unknown_key else str(error.kind)
        return events.RenderingFailed(fault=JobFault(code=code, message=error.message, request_id=error.request_id))
    return _struck(job, now)


def _struck(job: JobRecord, now: float) -> events.PollScheduled:
    return events.PollScheduled(
        poll_in_seconds=strike_pause_seconds(job, job.strikes),
        blocked_by=VERDICT,
        strike=True,
        overdue=_is_overdue(job, now),
    )


def _poll_again(
    job: JobRecord, policy: Policy, now: float, *, blocked_by: str = "", at_least_seconds: float = 0.0
) -> events.Event:
    """The next question; `blocked_by` says why this one had no proper answer, if it had none."""
    if now - (job.submitted_at or now) > policy.provider_retention_seconds:
        return events.RenderingFailed(
            fault=JobFault(
                code="abandoned_by_provider", message="not finished when the provider's retention of results ended"
            )
        )
    overdue = _is_overdue(job, now)
    pause = spread(job, policy.poll_overdue_seconds if overdue else poll_pause_seconds(job.polls + 1, policy))
    return events.PollScheduled(
        poll_in_seconds=max(pause, at_least_seconds), blocked_by=blocked_by, overdue=overdue, answered=not blocked_by
    )


def _is_overdue(job: JobRecord, now: float) -> bool:
    return job.deadline_at is not None and now > job.deadline_at


def poll_pause_seconds(polls: int, policy: Policy) -> float:
    """The pause after so many polls, before it is spread: from the first pause, growing, to the longest."""
    # Beyond sixty doublings no pause differs from the longest, and a power would overflow.
    return min(policy.poll_max_seconds, policy.poll_first_seconds * policy.poll_growth ** min(polls - 1, 60))
