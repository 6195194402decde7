"""What to do next, decided from an answer: `next_step(job, outcome, policy, now)` returns an event and does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from sceneshift.jobs import events
from sceneshift.jobs.faults import WAITS_FOR, fault_of
from sceneshift.jobs.latency import Latency
from sceneshift.jobs.pauses import (
    STRIKES_MAX,
    SUBMIT_RETRY_FIRST_SECONDS,
    spread,
    store_backoff_seconds,
    strike_pause_seconds,
    submit_backoff_seconds,
)
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.polling import after_query, first_poll_seconds
from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput, OutputImage
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

THROTTLE_RETRY_MAX_SECONDS = 30.0
ACCOUNT_RETRY_SECONDS = 60.5
"""A refused account or a wrong setting is looked at once a minute: people mend those. The breaker, which learns of the
refusal a moment later, lets one job through then."""

SOURCE_RETRY_AFTER_MAX_SECONDS = 3600.0
"""A source's server may ask for patience, but not for so much that the job looks forgotten."""

STARTS_MAX = 3
"""So many workers may die of the same step before it is left to a person."""

_ACCOUNT = frozenset({ErrorKind.CREDITS_EXHAUSTED, ErrorKind.UNAUTHORIZED, ErrorKind.MISCONFIGURED})
_LOST = frozenset({ErrorKind.NONCE_USED, ErrorKind.NO_RECORD, ErrorKind.EXECUTION_FAILED})


def next_step(
    job: JobRecord,
    outcome: SubmitOutcome | QueryOutcome,
    policy: Policy,
    now: float,
    latency: Latency | None = None,
) -> events.Event:
    """The event that this answer of the provider means for this job."""
    match outcome:
        case Accepted():
            return events.SubmissionAccepted(
                result_key=outcome.result_key,
                request_id=outcome.request_id,
                first_poll_in_seconds=first_poll_seconds(job, policy, latency),
            )
        case NotSent():
            return events.SubmissionDelayed(
                blocked_by="provider_unreachable",
                retry_in_seconds=submit_backoff_seconds(job),
                new_epoch=False,
                strike=None,
            )
        case Refused():
            return _after_refusal(job, outcome.error)
        case OutcomeUnknown():
            request_id = outcome.error.request_id if outcome.error else None
            return events.SubmissionLost(
                fault=JobFault(code="outcome_unknown", message=outcome.reason, request_id=request_id)
            )
        case Pending() | Succeeded() | RenderFailed() | QueryFailed():
            return after_query(job, outcome, policy, now, latency)
        case _:
            assert_never(outcome)


def _after_refusal(job: JobRecord, error: ProviderError) -> events.Event:
    if error.kind in _LOST:
        return events.SubmissionLost(fault=replace(fault_of(error), code="outcome_unknown"))
    blocked_by = WAITS_FOR.get(error.kind)
    if blocked_by is None:
        return events.JobRefused(fault=fault_of(error))
    # A refusal without a reason may mean this very picture: waiting for ever would not help it.
    unexplained = error.kind is ErrorKind.THROTTLED and error.is_guess
    if unexplained and job.refusals + 1 >= STRIKES_MAX:
        return events.JobRefused(
            fault=JobFault(code="refused_unexplained", message=error.message, request_id=error.request_id)
        )
    return events.SubmissionDelayed(
        blocked_by=blocked_by,
        retry_in_seconds=_pause_after_refusal(job, error, unexplained=unexplained),
        new_epoch=True,
        strike="refusal" if unexplained else "none",
    )


def _pause_after_refusal(job: JobRecord, error: ProviderError, *, unexplained: bool) -> float:
    """The provider's own wish, a little spread, where it has one; otherwise by what is to be waited for."""
    wished = error.retry_after_seconds or 0.0
    if unexplained:
        return max(strike_pause_seconds(job, job.refusals), wished)
    if error.kind in _ACCOUNT:
        return max(ACCOUNT_RETRY_SECONDS, wished)
    if error.kind is ErrorKind.THROTTLED:
        # Our own rate bounds how often all jobs together come back, so each may come back soon.
        longest = spread(job, SUBMIT_RETRY_FIRST_SECONDS if wished else THROTTLE_RETRY_MAX_SECONDS)
        return max(min(submit_backoff_seconds(job), longest), wished)
    return max(submit_backoff_seconds(job), wished)


def after_bad_source(
    job: JobRecord, fault: JobFault, *, may_pass: bool, retry_after_seconds: float | None = None
) -> events.SubmissionDelayed | events.JobRefused:
    """What follows when `image` or `mask` cannot be rendered, before anything was sent: the end, or another look later.

    What may pass by itself is believed after as many looks in a row as a lost result is, over the same 40 minutes.
    """
    if not may_pass or job.strikes + 1 >= STRIKES_MAX:
        return events.JobRefused(fault=fault)
    asked_for_seconds = min(retry_after_seconds or 0.0, SOURCE_RETRY_AFTER_MAX_SECONDS)
    return events.SubmissionDelayed(
        blocked_by=fault.code,
        message=fault.message,
        retry_in_seconds=max(strike_pause_seconds(job, job.strikes), asked_for_seconds),
        new_epoch=False,
        strike="source",
    )


def after_copying(
    job: JobRecord,
    *,
    outputs: tuple[OutputImage, ...],
    urls: tuple[str, ...],
    lost: tuple[MissingOutput, ...],
    delayed: JobFault | None,
    policy: Policy,
    now: float,
) -> events.StoringDelayed | events.ImagesStored:
    """What follows from one run of copying: later again while an image may still be had, otherwise the end.

    What is paid for is tried until the provider's retention ends; then what is delayed is lost.
    """
    outputs = tuple(sorted(outputs, key=lambda output: output.index))
    if delayed is None:
        return events.ImagesStored(outputs=outputs, missing=lost)
    if now - (job.submitted_at or now) <= policy.provider_retention_seconds:
        return events.StoringDelayed(
            outputs=outputs, urls=urls, fault=delayed, retry_in_seconds=store_backoff_seconds(job)
        )
    known = {output.index for output in outputs} | {missing.index for missing in lost}
    late = tuple(
        MissingOutput(index=index, code=delayed.code, message=delayed.message)
        for index in range(job.order.num_output)
        if index not in known
    )
    return events.ImagesStored(outputs=outputs, missing=tuple(sorted(lost + late, key=lambda item: item.index)))


def is_poisoned(starts: int) -> bool:
    """Whether so many workers have started the step without finishing it that nobody should try again."""
    return starts > STARTS_MAX


def poison_fault(step: str, starts: int) -> JobFault:
    """What is said of a step that keeps killing its worker, or keeps failing in a way that nobody foresaw."""
    return JobFault(code="poison", message=f"{step} was started {starts - 1} times and never came to an end")
