"""What to do next, decided from an answer: `next_step(job, outcome, policy, now)` returns an event and does nothing.

Every wait is computed here, spread by a factor that depends only on the job and its step, so that a fleet does not
march in step and a replay takes the same times.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import assert_never

from sceneshift.identifiers import step_number
from sceneshift.jobs import events
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
from sceneshift.settings import Settings

JITTER = 0.2

SUBMIT_RETRY_FIRST_SECONDS = 2.0
SUBMIT_RETRY_MAX_SECONDS = 120.0
THROTTLE_RETRY_MAX_SECONDS = 30.0
ACCOUNT_RETRY_SECONDS = 60.0
"""A refused account or a wrong setting is looked at once a minute: people mend those."""

NO_RECORD_GRACE_SECONDS = 300.0
"""So long after submission an unknown key may only be a provider that has not caught up with itself."""
STRIKES_MAX = 6
"""So many bad answers in a row are believed; with their growing pauses they span 40 minutes."""
STRIKE_RETRY_FIRST_SECONDS = 20.0
STRIKE_RETRY_GROWTH = 3.0

SOURCE_RETRY_AFTER_MAX_SECONDS = 3600.0
"""A source's server may ask for patience, but not for so much that the job looks forgotten."""

SLOT_RETRY_MAX_SECONDS = 20.0
"""When all slots are taken nobody can say until when: a job that waits for one looks again so often at the least."""
PERMIT_EARLY_SECONDS = 0.02
"""What lies nearer than this is now: waiting for it would take longer."""
PERMIT_SECONDS = 10.0
"""A moment that was reserved for a submission is good for so long; whoever oversleeps it takes another."""

STORE_RETRY_FIRST_SECONDS = 2.0
STORE_RETRY_MAX_SECONDS = 300.0

STARTS_MAX = 3
"""So many workers may die of the same step before it is left to a person."""

LOOKS_APART_STEPS = 30

VERDICT = "provider_verdict"
"""As `blocked_by`: what the provider says of the job is grave enough to be asked for again before it is believed."""

SUBMIT_RATE = "submit_rate"
IN_FLIGHT = "in_flight"
"""What stops a job at our own limits, as `blocked_by`."""

_DELAYS = {
    ErrorKind.THROTTLED: "provider_throttled",
    ErrorKind.CREDITS_EXHAUSTED: "provider_credits",
    ErrorKind.UNAUTHORIZED: "provider_authorization",
    ErrorKind.MISCONFIGURED: "provider_configuration",
    ErrorKind.TRANSIENT: "provider_unavailable",
}
_ACCOUNT = frozenset({ErrorKind.CREDITS_EXHAUSTED, ErrorKind.UNAUTHORIZED, ErrorKind.MISCONFIGURED})
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
_LOST = frozenset({ErrorKind.NONCE_USED, ErrorKind.NO_RECORD, ErrorKind.EXECUTION_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that decisions depend on."""

    poll_first_seconds: float = 4.0
    poll_growth: float = 1.5
    poll_max_seconds: float = 15.0
    poll_overdue_seconds: float = 600.0
    provider_retention_seconds: float = 86_400.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Policy:
        return cls(
            poll_first_seconds=settings.poll_first_seconds,
            poll_growth=settings.poll_growth,
            poll_max_seconds=settings.poll_max_seconds,
            poll_overdue_seconds=settings.poll_overdue_seconds,
            provider_retention_seconds=settings.provider_retention_seconds,
        )


def next_step(  # noqa: PLR0911  # one line per kind of answer reads best
    job: JobRecord, outcome: SubmitOutcome | QueryOutcome, policy: Policy, now: float
) -> events.Event:
    """The event that this answer of the provider means for this job."""
    match outcome:
        case Accepted():
            return events.SubmissionAccepted(
                result_key=outcome.result_key,
                request_id=outcome.request_id,
                first_poll_in_seconds=spread(job, policy.poll_first_seconds),
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


def _after_refusal(job: JobRecord, error: ProviderError) -> events.Event:
    if error.kind in _LOST:
        return events.SubmissionLost(fault=replace(fault_of(error), code="outcome_unknown"))
    blocked_by = _DELAYS.get(error.kind)
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
        return max(_strike_pause_seconds(job, job.refusals), wished)
    if error.kind in _ACCOUNT:
        return max(spread(job, ACCOUNT_RETRY_SECONDS), wished)
    if error.kind is ErrorKind.THROTTLED:
        # Our own rate bounds how often all jobs together come back, so each may come back soon.
        longest = spread(job, SUBMIT_RETRY_FIRST_SECONDS if wished else THROTTLE_RETRY_MAX_SECONDS)
        return max(min(submit_backoff_seconds(job), longest), wished)
    return max(submit_backoff_seconds(job), wished)


def has_fit_sources(job: JobRecord) -> bool:
    """Whether the job's sources were looked at and only something else has put it off since.

    URLs expire, so after every thirty such delays they are looked at again.
    """
    passed_the_look = job.blocked_by in {SUBMIT_RATE, IN_FLIGHT} or job.blocked_by.startswith("provider_")
    return passed_the_look and step_number(job.step) % LOOKS_APART_STEPS != 0


def holds_permit(job: JobRecord, now: float) -> bool:
    """Whether the job has waited for a moment that was reserved for it, and that is now."""
    if job.blocked_by != SUBMIT_RATE or job.blocked_until is None:
        return False
    return job.blocked_until <= now + PERMIT_EARLY_SECONDS and now <= job.blocked_until + PERMIT_SECONDS


def without_permit(job: JobRecord, moment: float | None, now: float) -> events.SubmissionDelayed | None:
    """The wait for the moment that was reserved for a submission, None when that is now; or for a slot, without one."""
    if moment is None:
        return slot_delay(job)
    if moment <= now + PERMIT_EARLY_SECONDS:
        return None
    return events.SubmissionDelayed(blocked_by=SUBMIT_RATE, retry_in_seconds=moment - now, new_epoch=False, strike=None)


def slot_delay(job: JobRecord) -> events.SubmissionDelayed:
    """Another look for a slot, later."""
    pause = min(SLOT_RETRY_MAX_SECONDS, submit_backoff_seconds(job))
    return events.SubmissionDelayed(blocked_by=IN_FLIGHT, retry_in_seconds=pause, new_epoch=False, strike=None)


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
        retry_in_seconds=max(_strike_pause_seconds(job, job.strikes), asked_for_seconds),
        new_epoch=False,
        strike="source",
    )


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
        blocked_by = _DELAYS.get(error.kind, "provider_configuration")
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
        poll_in_seconds=_strike_pause_seconds(job, job.strikes),
        blocked_by=VERDICT,
        strike=True,
        overdue=_is_overdue(job, now),
    )


def _strike_pause_seconds(job: JobRecord, strikes: int) -> float:
    return spread(job, STRIKE_RETRY_FIRST_SECONDS * STRIKE_RETRY_GROWTH**strikes)


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


def _is_overdue(job: JobRecord, now: float) -> bool:
    return job.deadline_at is not None and now > job.deadline_at


def poll_pause_seconds(polls: int, policy: Policy) -> float:
    """The pause after so many polls, before it is spread: from the first pause, growing, to the longest."""
    # Beyond sixty doublings no pause differs from the longest, and a power would overflow.
    return min(policy.poll_max_seconds, policy.poll_first_seconds * policy.poll_growth ** min(polls - 1, 60))


def submit_backoff_seconds(job: JobRecord) -> float:
    """The pause before a job is submitted again, doubling with the steps that it was put off."""
    exponent = min(step_number(job.step) - 1, 10)
    return spread(job, min(SUBMIT_RETRY_MAX_SECONDS, SUBMIT_RETRY_FIRST_SECONDS * 2.0**exponent))


def store_backoff_seconds(job: JobRecord) -> float:
    """The pause before a copy is tried again, doubling with the attempts."""
    exponent = min(job.store_attempts, 12)
    return spread(job, min(STORE_RETRY_MAX_SECONDS, STORE_RETRY_FIRST_SECONDS * 2.0**exponent))


def is_poisoned(starts: int) -> bool:
    """Whether so many workers have started the step without finishing it that nobody should try again."""
    return starts > STARTS_MAX


def poison_fault(step: str, starts: int) -> JobFault:
    """What is said of a step that keeps killing its worker, or keeps failing in a way that nobody foresaw."""
    return JobFault(code="poison", message=f"{step} was started {starts - 1} times and never came to an end")


def fault_of(error: ProviderError) -> JobFault:
    """The provider's error as a job's fault, under our stable code."""
    return JobFault(code=str(error.kind), message=error.message, request_id=error.request_id)


def spread(job: JobRecord, seconds: float) -> float:
    """The time, moved by up to ±20 % in a way that depends only on the job and its step."""
    share = zlib.crc32(f"{job.id}:{job.step}".encode()) / 0xFFFFFFFF
    return seconds * (1 + JITTER * (2 * share - 1))
