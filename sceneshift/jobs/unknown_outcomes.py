"""What the policy for unknown outcomes makes of a lost answer, and of the answer to a repeated request."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
CLOCKS_APART_MAX_SECONDS = 60.0
"""With more between the job store's clock and the worker's, one of them is wrong: nobody knows how old an intent is."""
CLOCKS_APART_SHARE = 1 / 8
"""No more than this share of the time for probes either. A quarter is left behind that: half of it for the clock at the
probe, half for the clock at the intent."""

Grant = Literal["granted", "budget", "incident"]
"""Whether the policy may resubmit now: its budget of the day is spent, or too many outcomes are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReadings:
    """Two clocks at one moment (unix seconds): the job store's, by which intents are dated, and this machine's."""

    store: float
    machine: float


def after_loss(
    job: JobRecord,
    fault: JobFault,
    policy: UnknownOutcomePolicy,
    clocks: ClockReadings,
    *,
    may_spend: Callable[[], Grant],
) -> SubmissionLost:
    """What the policy makes of a lost answer. `may_spend` is asked only when the answer would be to resubmit."""
    if policy.action == "probe" and may_probe(job, policy, clocks):
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
    return _hold(fault, policy, clocks)


def may_probe(job: JobRecord, policy: UnknownOutcomePolicy, clocks: ClockReadings) -> bool:
    """Whether the provider surely still refuses the job's nonce, if it has seen it; and a result is wanted.

    Intents are kept in whole seconds, rounded down, so an age below 0 is that of a clock that was set back.
    """
    if policy.action != "probe" or job.cancel or job.intent_at is None or not _agree(clocks, policy):
        return False
    return 0 <= clocks.store - math.floor(job.intent_at) < policy.probe_seconds


def _agree(clocks: ClockReadings, policy: UnknownOutcomePolicy) -> bool:
    apart_max = min(CLOCKS_APART_MAX_SECONDS, CLOCKS_APART_SHARE * policy.probe_seconds)
    return abs(clocks.store - clocks.machine) <= apart_max


def _hold(fault: JobFault, policy: UnknownOutcomePolicy, clocks: ClockReadings) -> SubmissionLost:
    by = policy.name
    if policy.action == "probe" and not _agree(clocks, policy):
        by = f"{by}: the job store's clock and the worker's differ"
    return SubmissionLost(fault=fault, then="hold", by=by)


def _probe(job: JobRecord, fault: JobFault, policy: UnknownOutcomePolicy) -> SubmissionLost:
    pause = spread(job, PROBE_FIRST_SECONDS * 2.0 ** min(max(0, job.submits - 1), 6))
    return SubmissionLost(fault=fault, then="probe", by=policy.name, retry_in_seconds=pause)


def after_probe(
    job: JobRecord, outcome: SubmitOutcome, policy: UnknownOutcomePolicy, clocks: ClockReadings
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
    if may_probe(job, policy, clocks):
        return _probe(job, fault, policy)
    return _hold(fault, policy, clocks)


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
