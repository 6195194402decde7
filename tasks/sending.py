"""Sending a submission: the intent is stored, the request goes out once, and what came of it is stored.

Between the provider's answer and the spool there is nothing that can fail: what is needed is read before.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace

from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.decisions import next_step
from sceneshift.jobs.events import (
    Event,
    IntentStored,
    ProbeStarted,
    SubmissionDelayed,
    SubmissionLost,
)
from sceneshift.jobs.faults import INTENT_LOG, RECOVERY, STORE_DISK
from sceneshift.jobs.gates import slot_delay
from sceneshift.jobs.latency import Latency
from sceneshift.jobs.pauses import submit_backoff_seconds
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.unknown_outcomes import Grant, after_loss, after_probe, may_probe, probe_later
from sceneshift.provider.protocol import Accepted, SubmitOutcome
from sceneshift.store.jobs import IntentGuard, NotOnDiskError, RecoveringError, RolledBackError, SlotsFullError
from tasks.answers import note_answer
from tasks.gates import note_outcome
from tasks.intents import IntentNotWrittenError, IntentTakenError, write_intent
from tasks.services import Services
from tasks.spool import SpooledKey
from tasks.steps import Report, conclude, report_of

log = logging.getLogger(__name__)

LEASE_SHARE = 0.9
"""A worker that has slept for so much of its lease sends nothing any more: others are about to go on, or have."""
RETRY_MAX_SECONDS = 20.0
"""What stands between a job and its intent may be gone at any moment."""


def send(services: Services, job: JobRecord, body: bytes) -> Report:
    """The job was submitted once, or says what it waits for."""
    # What the answer is read by is there before the intent: nothing that can fail follows that, but the request.
    latency, now = _expected(services, job), services.store.clock.now()
    nonce = submission_nonce(job.id, job.epoch)
    intent = IntentStored(nonce=nonce, request_hash=hashlib.sha256(body).hexdigest())
    try:
        submitting = _store_intent(services, job, intent)
    except _IntentRefusedError as refused:
        return conclude(services, refused.job, refused.event)
    if submitting is None:
        return {"skipped": "stale"}
    try:
        _log_intent(services, submitting)
    except IntentNotWrittenError as error:
        log.warning("intent.not_written", extra={"job_id": job.id, "reason": str(error)})
        return conclude(services, submitting, later(job, INTENT_LOG))
    except IntentTakenError as error:
        return conclude_lost(services, submitting, _taken_fault(error))
    outcome = services.provider.submit(body, nonce=nonce, send_by=_lease_lasts_until(services, job))
    event = next_step(submitting, outcome, services.policy, now, latency)
    return _conclude(services, submitting, outcome, event)


def probe(services: Services, job: JobRecord, body: bytes) -> Report:
    """The request of unknown outcome was sent once more with its nonce, or another time is set for that."""
    # In this order: a worker that sleeps in between has less time then, not more.
    started, clocks = services.monotonic(), services.read_clocks()
    policy, latency, now = services.policy.unknown_outcomes, _expected(services, job), clocks.store
    if not may_probe(job, policy, clocks):
        fault = JobFault(code="outcome_unknown", message="it is too late, or not sure how late it is, to ask again")
        return conclude_lost(services, job, job.error or fault)
    left_seconds = (job.intent_at or now) + policy.probe_seconds - now
    try:
        probing = _store_intent(services, job, ProbeStarted())
    except _IntentRefusedError as refused:
        return conclude(services, refused.job, probe_later(refused.event, policy))
    if probing is None:
        return {"skipped": "stale"}
    try:
        _log_intent(services, probing)
    except IntentNotWrittenError as error:
        log.warning("intent.not_written", extra={"job_id": job.id, "reason": str(error)})
        return conclude(services, probing, probe_later(later(job, INTENT_LOG), policy))
    except IntentTakenError as error:
        return conclude_lost(services, probing, _taken_fault(error))
    send_by = min(started + left_seconds, _lease_lasts_until(services, job))
    outcome = services.provider.submit(body, nonce=job.nonce, send_by=send_by)
    event = after_probe(probing, outcome, policy, clocks) or next_step(probing, outcome, services.policy, now, latency)
    return _conclude(services, probing, outcome, event)


def _lease_lasts_until(services: Services, job: JobRecord) -> float:
    """Until then (`elapsed`) nobody else takes this worker for dead, and goes on with its job."""
    return services.holds.renewed_at(job.id) + LEASE_SHARE * services.store.due.lease_seconds


def _expected(services: Services, job: JobRecord) -> Latency | None:
    """What such jobs take, as far as the job store can tell now."""
    return services.store.latencies.expected(job.order.steps, job.order.num_output)


def conclude_lost(services: Services, job: JobRecord, fault: JobFault) -> Report:
    """What the policy makes of a lost answer is stored."""
    policy, clocks = services.policy.unknown_outcomes, services.read_clocks()

    def may_spend() -> Grant:
        return services.store.ledger.may_resubmit(job.order.num_output, policy.budget_images)

    return _conclude_lost(services, job, after_loss(job, fault, policy, clocks, may_spend=may_spend))


def _conclude_lost(services: Services, job: JobRecord, event: SubmissionLost) -> Report:
    """The lost submission has its slot for as long as such jobs take, where that is known."""
    latency = _expected(services, job)
    if latency is not None:
        event = replace(event, occupies_seconds=latency.done_seconds)
    return conclude(services, job, event)


class _IntentRefusedError(Exception):
    """Raised when an intent is not stored, or not for certain: nothing is sent, and `event` says what follows."""

    def __init__(self, job: JobRecord, event: SubmissionDelayed) -> None:
        super().__init__(event.blocked_by)
        self.job = job
        self.event = event


def _store_intent(services: Services, job: JobRecord, intent: IntentStored | ProbeStarted) -> JobRecord | None:
    """The job with its intent, as the store has it on disk where it can tell; None when the step has passed."""
    store = services.store
    witness, witnessed = store.recovery.witness()
    guard = IntentGuard(
        takes_slot=isinstance(intent, IntentStored),
        witness=witness,
        witnessed=witnessed,
    )
    try:
        change = store.jobs.transition(job, intent, guard=guard)
    except SlotsFullError:
        # Another worker took the last slot since the permit was given.
        raise _IntentRefusedError(job, slot_delay(job)) from None
    except RecoveringError:
        raise _IntentRefusedError(job, later(job, RECOVERY)) from None
    except RolledBackError:
        store.recovery.begin("the job store has forgotten an intent that a worker had stored")
        raise _IntentRefusedError(job, later(job, RECOVERY)) from None
    except NotOnDiskError as error:
        store.recovery.witnessed(error.change.after)
        raise _IntentRefusedError(error.change.after, later(job, STORE_DISK)) from None
    if change is None:
        return None
    store.recovery.witnessed(change.after)
    return change.after


def _log_intent(services: Services, job: JobRecord) -> None:
    """The intent is in the bucket too, where it is to be."""
    if services.settings.intent_log == "storage":
        write_intent(services, job)


def _taken_fault(error: IntentTakenError) -> JobFault:
    """Two job stores gave out the same submission: whoever wrote it down first sends it."""
    return JobFault(code="outcome_unknown", message=f"another worker has written this very submission down: {error}")


def later(job: JobRecord, blocked_by: str) -> SubmissionDelayed:
    """Nothing was sent; the same submission is tried again."""
    pause = min(submit_backoff_seconds(job), RETRY_MAX_SECONDS)
    return SubmissionDelayed(blocked_by=blocked_by, retry_in_seconds=pause, new_epoch=False, strike=None)


def _conclude(services: Services, job: JobRecord, outcome: SubmitOutcome, event: Event) -> Report:
    if isinstance(outcome, Accepted):
        report = _conclude_accepted(services, job, outcome, event)
    elif isinstance(event, SubmissionLost):
        decided = event.is_decided
        report = _conclude_lost(services, job, event) if decided else conclude_lost(services, job, event.fault)
    else:
        report = conclude(services, job, event)
    note_answer(services, job, outcome)
    note_outcome(services, job, outcome)
    return report


def _conclude_accepted(services: Services, job: JobRecord, outcome: Accepted, event: Event) -> Report:
    """The key is on disk first, for it is paid: a kill or an outage of the job store does not lose it.

    Not even the clock is asked before, for that may be the job store's.
    """
    key = SpooledKey(
        job_id=job.id,
        nonce=job.nonce,
        result_key=outcome.result_key,
        request_id=outcome.request_id,
        # The day of the intent is the one on which the ledger has it.
        sent_at=job.intent_at or job.created_at,
        number=job.submits,
        epoch=job.epoch,
    )
    services.spool.keep(key)
    log.info("submission.accepted", extra={"job_id": job.id, "result_key": outcome.result_key})
    try:
        report = conclude(services, job, event)
    except NotOnDiskError as error:
        # Until the store's disk has it too, this machine's disk keeps it.
        services.spool.defer(key)
        return report_of(error.change.after)
    except Exception:
        services.spool.defer(key)
        raise
    services.spool.settle(key)
    return report
