"""What becomes of a job whose submission may have been charged and whose answer is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sceneshift import identifiers
from sceneshift.jobs import events
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
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState


def lost(job: JobRecord, event: events.SubmissionLost, now: float) -> Change:
    """The policy's answer to a lost one. A job that its owner has cancelled is never sent again."""
    require(job, JobState.SUBMITTING)
    then = event.then if not job.cancel or event.then == "fail" else "hold"
    answers: dict[str, Callable[[], Change]] = {
        "hold": lambda: hold(job, event.fault, now),
        "fail": lambda: _given_up(job, event, now),
        "resubmit": lambda: _resubmitted(job, event, now),
        "probe": lambda: _probe_later(job, event, now),
    }
    # What is to be asked about again stays `submitting`, and so keeps its slot by itself.
    until = None if then == "probe" else now + event.occupies_seconds
    return replace(answers[then](), outcome="unknown", occupied_until=until)


def _given_up(job: JobRecord, event: events.SubmissionLost, now: float) -> Change:
    if job.cancel == "discard":
        return drop(job, now)
    return finish(job, JobState.CANCELLED if job.cancel else JobState.FAILED, now, error=event.fault)


def _resubmitted(job: JobRecord, event: events.SubmissionLost, now: float) -> Change:
    until = now + event.retry_in_seconds
    again = anew(job.evolve(resubmits=job.resubmits + 1), blocked_by=event.blocked_by, blocked_until=until)
    return Draft(job, now).change(
        again, due_at=until, event="resubmitted", by=event.by, message=event.fault.message, until=round(until, 3)
    )


def anew(job: JobRecord, *, blocked_by: str = "", blocked_until: float | None = None) -> JobRecord:
    """The job before another submission, which may be charged beside the one that it leaves behind."""
    return job.evolve(
        state=JobState.QUEUED,
        epoch=job.epoch + 1,
        earlier_charge=job.earlier_charge.or_more(job.charge),
        intent_at=None,
        nonce="",
        result_key="",
        strikes=0,
        refusals=0,
        error=None,
        blocked_by=blocked_by,
        blocked_until=blocked_until,
        **next_step_fields(job, "submit", unused_number(job)),
    )


def _probe_later(job: JobRecord, event: events.SubmissionLost, now: float) -> Change:
    until = now + event.retry_in_seconds
    after = job.evolve(
        blocked_by=event.blocked_by,
        blocked_until=until,
        **next_step_fields(job, "submit", identifiers.step_number(job.step) + 1),
    )
    return Draft(job, now).change(
        after, due_at=until, event="probe_planned", by=event.by, message=event.fault.message, until=round(until, 3)
    )


def probe_started(job: JobRecord, now: float) -> Change:
    """The record says that one request more may be on its way; the step goes on.

    Raises:
        StaleEventError: the job has moved on, or its owner does not want it any more.
    """
    require(job, JobState.SUBMITTING)
    if job.cancel:
        raise StaleEventError(f"{job.id} is not wanted any more: nothing is sent again")
    after = job.evolve(submits=job.submits + 1, blocked_by="", blocked_until=None)
    change = Draft(job, now).change(after, due_at=now, event="probing", epoch=later_epoch(job))
    return replace(change, keep_due=True, outcome="sent")


def forgotten(job: JobRecord, event: events.SubmissionForgotten, now: float) -> Change:
    """A job whose submission its record knows nothing of is held, with what is known of it from elsewhere.

    Raises:
        StaleEventError: the record knows of that submission, or the job is beyond it.
    """
    require(job, JobState.QUEUED, JobState.SUBMITTING)
    if job.submits >= event.submits:
        raise StaleEventError(f"{job.id} knows of its submission {event.submits}")
    earlier = job.earlier_charge.or_more(event.earlier_charge)
    known = job.evolve(
        epoch=event.epoch,
        nonce=event.nonce,
        submits=event.submits,
        intent_at=event.intent_at,
        earlier_charge=earlier,
        resubmits=max(job.resubmits, event.resubmits),
        charge=earlier.or_more(Charge.UNKNOWN),
    )
    change = hold(known, event.fault, now)
    return replace(change, before=job)


def duplicate(job: JobRecord, event: events.ResultKeyTaken, now: float) -> Change:
    """The provider gave one result key for two jobs: this one is held, for its image may be another product's."""
    require(job, JobState.SUBMITTING, JobState.NEEDS_ATTENTION)
    if job.state is JobState.NEEDS_ATTENTION and (job.result_key or job.charge is Charge.NOT_CHARGED):
        raise StaleEventError(f"{job.id} is held for another reason than a lost answer")
    if job.state is JobState.NEEDS_ATTENTION and job.error == event.fault:
        raise StaleEventError(f"{job.id} is held for this already")
    return hold(job, event.fault, now)
