"""What a person's decision makes of a job: cancelling it, deciding about one that is held, retrying one that failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sceneshift.jobs import events
from sceneshift.jobs.change import (
    NEVER_BY_ITSELF,
    Change,
    Draft,
    StaleEventError,
    drop,
    finish,
    next_step_fields,
    require,
    unused_number,
)
from sceneshift.jobs.lost_submissions import anew
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState


def cancel(job: JobRecord, event: events.CancelRequested, now: float) -> Change:
    """The job ends, or is marked for the step that must see to something first.

    Raises:
        StaleEventError: it has ended, or is marked already.
    """
    is_noted = job.cancel and (event.notes_only or not _was_never_sent(job))
    if job.state.is_final or is_noted:
        raise StaleEventError(f"{job.id} is {job.state}, cancel={job.cancel or 'no'}")
    if not event.notes_only and (change := _ended_at_once(job, event, now)):
        return change
    # A request may be on its way, the result is wanted, or images must be removed: the step that is due sees to it.
    wish = "keep" if event.keep_result else "discard"
    change = Draft(job, now).change(
        job.evolve(cancel=wish), due_at=NEVER_BY_ITSELF, event="cancel_requested", result=wish
    )
    return replace(change, keep_due=True)


def _was_never_sent(job: JobRecord) -> bool:
    """A wish on such a job is from a time at which nobody could say so."""
    is_held = job.state is JobState.NEEDS_ATTENTION and job.charge is Charge.NOT_CHARGED
    return is_held or job.state is JobState.QUEUED


def _ended_at_once(job: JobRecord, event: events.CancelRequested, now: float) -> Change | None:
    """The end of a job for which nothing must be waited; None for all others."""
    if job.state is JobState.QUEUED:
        return finish(job, JobState.CANCELLED, now) if event.keep_result else drop(job, now)
    if job.state is JobState.RENDERING and not event.keep_result:
        return drop(job, now)
    if job.state is JobState.NEEDS_ATTENTION and _has_nothing_to_wait_for(job, event):
        return finish(job, JobState.CANCELLED, now) if event.keep_result else drop(job, now)
    return None


def _has_nothing_to_wait_for(job: JobRecord, event: events.CancelRequested) -> bool:
    """A held job of known cost: no request is on its way, and no result is wanted that a person could still fetch."""
    if job.charge is Charge.UNKNOWN:
        return False
    return job.charge is Charge.NOT_CHARGED or not event.keep_result


def resolve(job: JobRecord, event: events.Resolved, now: float) -> Change:
    """What a person decided about a held job.

    Raises:
        StaleEventError: it is not held, or there is no result key to attach.
    """
    require(job, JobState.NEEDS_ATTENTION)
    resolutions: dict[str, Callable[[], Change]] = {
        "fail": lambda: _resolve_by_giving_up(job, event, now),
        "attach": lambda: _resolve_by_attaching(job, event, now),
        "resubmit": lambda: _resolve_by_resubmitting(job, event, now),
    }
    return resolutions[event.action]()


def _resolve_by_giving_up(job: JobRecord, event: events.Resolved, now: float) -> Change:
    if job.cancel == "discard":
        return drop(job, now)
    change = finish(job, JobState.CANCELLED if job.cancel else JobState.FAILED, now, error=job.error)
    ((name, about),) = change.timeline
    decided = {"by": event.by, "why": event.why} if event.why else {"by": event.by}
    return replace(change, timeline=((name, {**about, **decided}),))


def _resolve_by_attaching(job: JobRecord, event: events.Resolved, now: float) -> Change:
    attached = job.evolve(
        result_key=event.result_key or job.result_key,
        charge=job.charge if job.charge is Charge.REFUNDED_BY_HAND else Charge.CHARGED,
        submitted_at=job.submitted_at or now,
        error=None,
        blocked_by="",
        strikes=0,
    )
    if not attached.result_key:
        raise StaleEventError(f"{job.id} has no result key, and none was given")
    if job.cancel == "discard":
        return drop(job, now, record=attached)
    after = attached.evolve(state=JobState.RENDERING, **next_step_fields(job, "poll", unused_number(job)))
    return Draft(job, now).change(
        after,
        due_at=now,
        publish=True,
        event="resolved",
        action="attach",
        by=event.by,
        why=event.why,
        result_key=after.result_key,
    )


def _resolve_by_resubmitting(job: JobRecord, event: events.Resolved, now: float) -> Change:
    if job.cancel:
        return drop(job, now) if job.cancel == "discard" else finish(job, JobState.CANCELLED, now)
    return Draft(job, now).change(
        anew(job), due_at=now, publish=True, event="resolved", action="resubmit", by=event.by, why=event.why
    )


def retry(job: JobRecord, event: events.Retried, now: float) -> Change:
    """A failed job goes on: it asks the provider again under the key that it has, or is submitted once more.

    Raises:
        StaleEventError: it has not failed, or there is no key to ask with.
    """
    require(job, JobState.FAILED)
    patience = (job.deadline_at or job.created_at) - job.created_at
    revived = job.evolve(
        finished_at=None,
        error=None,
        outputs=(),
        missing=(),
        strikes=0,
        cancel="",
        overdue=False,
        deadline_at=now + patience,
    )
    if event.from_submit:
        after = anew(revived)
    elif not job.result_key:
        raise StaleEventError(f"{job.id} has no result key")
    else:
        after = revived.evolve(state=JobState.RENDERING, **next_step_fields(job, "poll", unused_number(job)))
    return Draft(job, now).change(
        after,
        due_at=now,
        publish=True,
        event="retried",
        by=event.by,
        why=event.why,
        start="submit" if event.from_submit else "query",
    )


def refund(job: JobRecord, event: events.Refunded, now: float) -> Change:
    """The job stays what it is, and its charge says that it was given back.

    Raises:
        StaleEventError: it was not charged, or it has not ended; or what was charged is a submission that it has left
            behind, of which its record knows nothing but that.
    """
    if not job.state.is_final or job.intent_at is None or job.charge not in {Charge.CHARGED, Charge.UNKNOWN}:
        raise StaleEventError(f"{job.id} is {job.state}, and its charge is {job.charge}")
    after = job.evolve(charge=Charge.REFUNDED_BY_HAND)
    return Draft(job, now).change(after, due_at=None, event="refunded", by=event.by, why=event.why)
