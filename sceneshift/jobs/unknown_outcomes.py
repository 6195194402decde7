"""What the policy for unknown outcomes makes of a lost answer, and of the answer to a repeated request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sceneshift.jobs.events import SubmissionDelayed, SubmissionLost
from sceneshift.jobs.pauses import spread
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.unknown_outcome_policy import UnknownOutcomePolicy
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    Refused,
    SubmitOutcome,
)

PROBE_FIRST_SECONDS = 10.0
RESUBMIT_SECONDS = 10.0
"""What broke one submission may break the next one at once."""
UNKNOWN_SHARE_MAX = 0.02
"""With more unknown outcomes than this among the submissions of five minutes, something is broken: nothing is
resubmitted by itself."""
UNKNOWN_MIN = 5
"""Fewer unknown outcomes than this in five minutes are no incident."""

Grant = Literal["granted", "budget", "incident"]
"""Whether the policy may resubmit now: its budget of the day is spent, or too many outcomes are unknown."""


def after_loss(
    job: JobRecord, fault: JobFault, policy: UnknownOutcomePolicy, now: float, *, may_spend: Callable[[], Grant]
) -> SubmissionLost:
    """What the policy makes of a lost answer. `may_spend` is asked only when the answer would be to resubmit."""
    lost = SubmissionLost(fault=fault, then="hold", by=policy.name)
    if policy.action == "probe" and may_probe(job, policy, now):
        return _probe(job, fault, policy)
    if policy.action == "fail":
        return SubmissionLost(fault=fault, then="fail", by=policy.name)
    if policy.action == "resubmit" and job.resubmits < policy.resubmits_max and not job.cancel:
        grant = may_spend()
        if grant == "granted":
            return SubmissionLost(
                fault=fault, then="resubmit", by=policy.name, retry_in_seconds=spread(job, RESUBMIT_SECONDS)
            )
        why = "its budget of the day is spent" if grant == "budget" else "too many outcomes are unknown at present"
        return SubmissionLost(fault=fault, then="hold", by=f"{policy.name}: {why}")
    return lost


def may_probe(job: JobRecord, policy: UnknownOutcomePolicy, now: float) -> bool:
    """Whether the provider surely still refuses the job's nonce, if it has seen it; and a result is wanted."""
    if policy.action != "probe" or job.cancel or job.intent_at is None:
        return False
    return now - job.intent_at < policy.probe_seconds


def _probe(job: JobRecord, fault: JobFault, policy: UnknownOutcomePolicy) -> SubmissionLost:
    pause = spread(job, PROBE_FIRST_SECONDS * 2.0 ** min(max(0, job.submits - 1), 6))
    return SubmissionLost(fault=fault, then="probe", by=policy.name, retry_in_seconds=pause)


def after_probe(
    job: JobRecord, outcome: SubmitOutcome, policy: UnknownOutcomePolicy, now: float
) -> SubmissionLost | None:
    """What the answer to a repeated request tells of the first one; None when it was accepted now.

    Only the refusal of the nonce tells anything: the first one arrived. Every other refusal may have come before the
    provider looked at the nonce.
    """
    kind: ErrorKind | None = None
    match outcome:
        case Accepted():
            return None
        case Refused(error=error):
            reason, request_id, kind = error.message, error.request_id, error.kind
        case OutcomeUnknown(error=ProviderError() as error):
            reason, request_id, kind = outcome.reason, error.request_id, error.kind
        case OutcomeUnknown() | NotSent():
            reason, request_id = outcome.reason, None
    if kind is ErrorKind.NONCE_USED:
        reason = "the provider has seen this request before: it may have been accepted and charged"
        fault = JobFault(code="outcome_unknown", message=reason, request_id=request_id)
        return SubmissionLost(fault=fault, then="hold", by=policy.name)
    fault = JobFault(code="outcome_unknown", message=f"asked again, without an answer: {reason}", request_id=request_id)
    if may_probe(job, policy, now):
        return _probe(job, fault, policy)
    return SubmissionLost(fault=fault, then="hold", by=policy.name)


def probe_later(delay: SubmissionDelayed, policy: UnknownOutcomePolicy) -> SubmissionLost:
    """The same wait, of a job whose request may have been accepted: it must not go back to the queue."""
    fault = JobFault(code="outcome_unknown", message=f"to be asked again, and waits for {delay.blocked_by}")
    return SubmissionLost(
        fault=fault,
        then="probe",
        by=policy.name,
        retry_in_seconds=delay.retry_in_seconds,
        blocked_by=delay.blocked_by,
    )
