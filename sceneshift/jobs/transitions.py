"""How a job moves: `advance(job, event, now)` says what the record is to become, and changes nothing.

Whoever calls it stores the change with one compare-and-set; when that fails because the job has moved, the event is put
to the job as it is now. An event that does not fit the state raises `StaleEventError`: it belongs to the past.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from sceneshift import identifiers
from sceneshift.jobs import events, ledger
from sceneshift.jobs.change import (
    Change,
    Draft,
    StaleEventError,
    drop,
    finish,
    hold,
    later_epoch,
    next_step_fields,
    require,
    unused_number,
)
from sceneshift.jobs.faults import RECOVERY
from sceneshift.jobs.lost_submissions import duplicate, forgotten, lost, probe_started
from sceneshift.jobs.peoples_decisions import cancel, refund, resolve, retry
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge, JobState


def advance(job: JobRecord, event: events.Event, now: float) -> Change:
    """What this event makes of this job, and of the ledger.

    Raises:
        StaleEventError: the event does not fit the job's state.
    """
    change = _change_of(job, event, now)
    return replace(
        change,
        ledger=ledger.moves(job, change.after, event),
        decision=ledger.decision_of(job, change.after, event, now),
    )


def _change_of(job: JobRecord, event: events.Event, now: float) -> Change:  # noqa: C901, PLR0911, PLR0912  # one case per event
    match event:
        case events.IntentStored():
            return _intent_stored(job, event, now)
        case events.ProbeStarted():
            return probe_started(job, now)
        case events.SubmissionAccepted():
            return _accepted(job, event, now)
        case events.SubmissionDelayed():
            return _submission_delayed(job, event, now)
        case events.SubmissionLost():
            return lost(job, event, now)
        case events.SubmissionForgotten():
            return forgotten(job, event, now)
        case events.ResultKeyTaken():
            return duplicate(job, event, now)
        case events.JobRefused():
            return _refused(job, event, now)
        case events.PollScheduled():
            return _poll_scheduled(job, event, now)
        case events.ResultsReady():
            return _results_ready(job, event, now)
        case events.RenderingFailed():
            require(job, JobState.RENDERING, JobState.STORING)
            return finish(job, JobState.FAILED, now, error=event.fault)
        case events.StoringDelayed():
            return _storing_delayed(job, event, now)
        case events.ImagesStored():
            return _stored(job, event, now)
        case events.StepPoisoned():
            require(job, JobState.QUEUED, JobState.SUBMITTING, JobState.RENDERING, JobState.STORING)
            return hold(job, event.fault, now)
        case events.CancelRequested():
            return cancel(job, event, now)
        case events.Resolved():
            return resolve(job, event, now)
        case events.Retried():
            return retry(job, event, now)
        case events.Refunded():
            return refund(job, event, now)
        case _:
            assert_never(event)


def _require_open_submission(job: JobRecord) -> None:
    """The job has not got its answer: it waits for it, or was held because the answer seemed to be lost."""
    require(job, JobState.QUEUED, JobState.SUBMITTING, JobState.NEEDS_ATTENTION)
    if job.state is JobState.NEEDS_ATTENTION and (job.result_key or job.charge is Charge.NOT_CHARGED):
        raise StaleEventError(f"{job.id} is held for another reason than a lost answer")


def _refused(job: JobRecord, event: events.JobRefused, now: float) -> Change:
    _require_open_submission(job)
    record = job.evolve(intent_at=None, charge=job.earlier_charge)
    if job.cancel:
        return _cancelled(job, record, now)
    return finish(job, JobState.FAILED, now, record=record, error=event.fault)


def _cancelled(job: JobRecord, record: JobRecord, now: float) -> Change:
    """Nothing was accepted, and the owner does not want it any more."""
    if job.cancel == "discard":
        return drop(job, now, record=record)
    return finish(job, JobState.CANCELLED, now, record=record)


def _intent_stored(job: JobRecord, event: events.IntentStored, now: float) -> Change:
    require(job, JobState.QUEUED)
    if job.cancel:
        raise StaleEventError(f"{job.id} is not wanted any more: it is not submitted")
    after = job.evolve(
        state=JobState.SUBMITTING,
        nonce=event.nonce,
        request_hash=event.request_hash[:16],
        submits=job.submits + 1,
        intent_at=now,
        strikes=0,
        charge=job.earlier_charge.or_more(Charge.UNKNOWN),
        blocked_by="",
        blocked_until=None,
    )
    change = Draft(job, now).change(after, due_at=now, event="submitting", epoch=later_epoch(job))
    # The step goes on: the request follows.
    return replace(change, keep_due=True, outcome="sent")


def _accepted(job: JobRecord, event: events.SubmissionAccepted, now: float) -> Change:
    if job.state.is_final:
        return _accepted_too_late(job, event, now)
    # An answer that arrives after its worker was given up for dead is still the answer.
    _require_open_submission(job)
    require(job, JobState.SUBMITTING, JobState.NEEDS_ATTENTION)
    accepted = job.evolve(
        result_key=event.result_key,
        request_id=event.request_id or "",
        charge=Charge.CHARGED,
        submitted_at=now,
        refusals=0,
        error=None,
        blocked_by="",
        blocked_until=None,
    )
    if job.cancel == "discard":
        return drop(job, now, record=accepted)
    number = unused_number(job) if job.polls else 1
    after = accepted.evolve(state=JobState.RENDERING, **next_step_fields(job, "poll", number))
    return Draft(job, now).change(
        after, due_at=now + event.first_poll_in_seconds, event="accepted", epoch=later_epoch(job)
    )


def _accepted_too_late(job: JobRecord, event: events.SubmissionAccepted, now: float) -> Change:
    """The job was given up as of unknown outcome. It stays so, but what it cost is known, and a person can fetch it."""
    if job.result_key or (job.intent_at is None and job.charge is not Charge.UNKNOWN):
        raise StaleEventError(f"{job.id} is {job.state}, and its charge is {job.charge}")
    after = job.evolve(
        result_key=event.result_key,
        request_id=event.request_id or "",
        charge=Charge.REFUNDED_BY_HAND if job.charge is Charge.REFUNDED_BY_HAND else Charge.CHARGED,
        submitted_at=job.intent_at or now,
    )
    return Draft(job, now).change(after, due_at=None, event="accepted_too_late", provider_request=event.request_id)


def _submission_delayed(job: JobRecord, event: events.SubmissionDelayed, now: float) -> Change:
    _require_open_submission(job)
    if job.cancel and event.blocked_by != RECOVERY:
        return _cancelled(job, job.evolve(intent_at=None, charge=job.earlier_charge), now)
    until = now + event.retry_in_seconds
    held = job.state is JobState.NEEDS_ATTENTION
    number = unused_number(job) if held else identifiers.step_number(job.step) + 1
    after = job.evolve(
        state=JobState.QUEUED,
        epoch=job.epoch + 1 if event.new_epoch else job.epoch,
        **_counts_after_delay(job, event),
        charge=job.earlier_charge,
        intent_at=None,
        error=None,
        blocked_by=event.blocked_by,
        blocked_until=until,
        **next_step_fields(job, "submit", number),
    )
    return Draft(job, now).change(
        after,
        due_at=until,
        event="submission_delayed",
        blocked_by=event.blocked_by,
        message=event.message,
        until=round(until, 3),
    )


def _counts_after_delay(job: JobRecord, event: events.SubmissionDelayed) -> dict[str, int]:
    """Each count goes on in a row of its own: a source that is away says nothing about refusals, nor the reverse."""
    match event.strike:
        case "source":
            return {"strikes": job.strikes + 1}
        case "refusal":
            return {"strikes": 0, "refusals": job.refusals + 1}
        case "none":
            return {"strikes": 0, "refusals": 0}
    return {"strikes": 0}


def _poll_scheduled(job: JobRecord, event: events.PollScheduled, now: float) -> Change:
    require(job, JobState.RENDERING)
    draft = Draft(job, now)
    after = job.evolve(
        polls=job.polls + 1,
        strikes=job.strikes + 1 if event.strike else (0 if event.answered else job.strikes),
        blocked_by=event.blocked_by,
        blocked_until=now + event.poll_in_seconds if event.blocked_by else None,
        **next_step_fields(job, "poll", identifiers.step_number(job.step) + 1),
    )
    newly_overdue = event.overdue and not job.overdue
    if newly_overdue:
        after = draft.webhook("job.overdue", after.evolve(overdue=True))
    change = draft.change(after, due_at=now + event.poll_in_seconds, event="overdue", polls=after.polls)
    # Polls are counted, not listed: only what a reader would miss goes into the timeline.
    return change if newly_overdue else replace(change, timeline=())


def _results_ready(job: JobRecord, event: events.ResultsReady, now: float) -> Change:
    require(job, JobState.RENDERING)
    after = job.evolve(
        state=JobState.STORING,
        polls=job.polls + 1,
        strikes=0,
        blocked_by="",
        blocked_until=None,
        urls=event.urls,
        rendered_at=now,
        **next_step_fields(job, "finalize", 1 if job.rendered_at is None else unused_number(job)),
    )
    return Draft(job, now).change(after, due_at=now, publish=True, event="rendered", images=len(event.urls))


def _storing_delayed(job: JobRecord, event: events.StoringDelayed, now: float) -> Change:
    require(job, JobState.STORING)
    until = now + event.retry_in_seconds
    after = job.evolve(
        outputs=event.outputs,
        urls=event.urls,
        store_attempts=job.store_attempts + 1,
        blocked_by=event.fault.code[:64],
        blocked_until=until,
        **next_step_fields(job, "finalize", identifiers.step_number(job.step) + 1),
    )
    return Draft(job, now).change(
        after,
        due_at=until,
        event="storing_delayed",
        code=event.fault.code,
        message=event.fault.message,
        stored=len(event.outputs),
        until=round(until, 3),
    )


def _stored(job: JobRecord, event: events.ImagesStored, now: float) -> Change:
    require(job, JobState.STORING)
    if job.cancel == "discard":
        return finish(job, JobState.CANCELLED, now, record=job.evolve(outputs=(), missing=(), urls=()))
    if job.cancel:
        state = JobState.CANCELLED
    elif not event.missing:
        state = JobState.SUCCEEDED
    else:
        state = JobState.PARTIAL if event.outputs else JobState.FAILED
    error = None
    if state is JobState.FAILED:
        first = event.missing[0]
        error = JobFault(code=first.code, message=first.message)
    record = job.evolve(outputs=event.outputs, missing=event.missing, urls=())
    return finish(job, state, now, record=record, error=error)
