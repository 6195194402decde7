"""When to ask the provider about a job, and what its answers to such questions mean.

Questions follow the measured times of such jobs: the first comes when the quickest are done, each further one after a
tenth of the job's age. A failed question never fails a job; only a verdict on the job itself that is repeated does.
"""

from __future__ import annotations

from typing import assert_never

from sceneshift.identifiers import step_kind
from sceneshift.jobs import events
from sceneshift.jobs.faults import WAITS_FOR, fault_of
from sceneshift.jobs.latency import Latency, between_polls
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

POLL_PAUSE_MIN_SECONDS = 0.1
"""A timekeeper looks no more often by default."""
WAKE_SECONDS = 0.12
"""A poll comes up to so much later than it is due: the timekeeper's interval, and the way through the queue."""
UNANSWERED_PAUSE_SECONDS = 4.0
"""After a question without a proper answer the next waits at least so long, however young the job is."""
_SPREAD_SHARE = 0.1
"""The part of a pause that is spread: a spread of the whole would cost more delay than the schedule allows."""

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


def first_poll_seconds(job: JobRecord, policy: Policy, latency: Latency | None = None) -> float:
    """The time from the acceptance of a job to the first question about it."""
    seconds = policy.poll_first_seconds if latency is None else latency.soonest_seconds
    return _spread_a_little(job, _within(policy, seconds))


def poll_pause_seconds(age_seconds: float, policy: Policy, latency: Latency | None = None) -> float:
    """The pause after a question about a job of this age that was not finished, before it is spread.

    While nothing is known of such jobs, the age at the next question is `poll_growth` times this one.
    """
    if latency is None:
        return _within(policy, age_seconds * (policy.poll_growth - 1))
    return _within(policy, latency.pause_seconds(age_seconds) - WAKE_SECONDS)


def measured_seconds(job: JobRecord, policy: Policy, now: float, latency: Latency | None = None) -> float | None:
    """What the provider took for a job that it is now found to have finished; None when nobody can tell.

    The time of the question before is not kept. It is taken from the schedule as it is now, which is right to a few
    hundredths of the age as long as polls are punctual; after an outage of the workers the age is all that is known.
    """
    if job.submitted_at is None or job.rendered_at is not None or job.blocked_by:
        return None
    age = now - job.submitted_at
    # An acceptance that was stored late, from the spool of a dead worker, says little of when the provider began.
    if age <= 0 or job.submitted_at - (job.intent_at or job.submitted_at) > age:
        return None
    match step_kind(job.parent_step):
        case "submit":
            return between_polls(0.0, age)
        case "poll":
            pause = policy.poll_overdue_seconds if job.overdue else poll_pause_seconds(0.9 * age, policy, latency)
            return between_polls(age - pause, age)
    # A person had it asked about anew.
    return None


def _within(policy: Policy, seconds: float) -> float:
    return min(policy.poll_max_seconds, max(POLL_PAUSE_MIN_SECONDS, seconds))


def _spread_a_little(job: JobRecord, seconds: float) -> float:
    return seconds * (1 - _SPREAD_SHARE) + spread(job, seconds * _SPREAD_SHARE)


def after_query(
    job: JobRecord, outcome: QueryOutcome, policy: Policy, now: float, latency: Latency | None = None
) -> events.Event:
    """The event that this answer to a question about the job means for it."""
    match outcome:
        case Pending():
            return _poll_again(job, policy, now, latency)
        case Succeeded():
            return _after_success(job, outcome, now)
        case RenderFailed():
            return events.RenderingFailed(fault=fault_of(outcome.error))
        case QueryFailed():
            return _after_failed_query(job, outcome.error, policy, now, latency)
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


def _after_failed_query(
    job: JobRecord, error: ProviderError, policy: Policy, now: float, latency: Latency | None
) -> events.Event:
    """A failed question never fails the job; only a verdict on the job that is repeated does."""
    if error.kind not in _VERDICTS:
        blocked_by = WAITS_FOR.get(error.kind, "provider_configuration")
        return _poll_again(
            job, policy, now, latency, blocked_by=blocked_by, at_least_seconds=error.retry_after_seconds or 0.0
        )
    unknown_key = error.kind is ErrorKind.NO_RECORD
    if unknown_key and now - (job.submitted_at or now) < NO_RECORD_GRACE_SECONDS:
        return _poll_again(job, policy, now, latency, blocked_by=VERDICT)
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
    job: JobRecord,
    policy: Policy,
    now: float,
    latency: Latency | None,
    *,
    blocked_by: str = "",
    at_least_seconds: float = 0.0,
) -> events.Event:
    """The next question; `blocked_by` says why this one had no proper answer, if it had none."""
    age = now - (job.submitted_at or now)
    if age > policy.provider_retention_seconds:
        return events.RenderingFailed(
            fault=JobFault(
                code="abandoned_by_provider", message="not finished when the provider's retention of results ended"
            )
        )
    overdue = _is_overdue(job, now)
    if overdue:
        pause = spread(job, policy.poll_overdue_seconds)
    else:
        pause = poll_pause_seconds(age, policy, latency)
        if blocked_by:
            pause = max(pause, min(policy.poll_max_seconds, UNANSWERED_PAUSE_SECONDS))
        pause = _until_deadline(job, _spread_a_little(job, pause), now)
    return events.PollScheduled(
        poll_in_seconds=max(pause, at_least_seconds), blocked_by=blocked_by, overdue=overdue, answered=not blocked_by
    )


def _is_overdue(job: JobRecord, now: float) -> bool:
    return job.deadline_at is not None and now > job.deadline_at


def _until_deadline(job: JobRecord, pause: float, now: float) -> float:
    """The pause, cut short where the deadline is: so it is told on time, however old the job is."""
    if job.deadline_at is None:
        return pause
    return min(pause, max(POLL_PAUSE_MIN_SECONDS, job.deadline_at - now))
