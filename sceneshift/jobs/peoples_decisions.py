"""What a person's decision makes of a job: cancelling it, and deciding about one that is held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sceneshift.jobs import events
from sceneshift.jobs.change import (
    NEVER_BY_ITSELF,
    Change,
    Draft,
    StaleEventError,
    finish,
    next_step_fields,
    require,
    unused_number,
)
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState


def cancel(job: JobRecord, event: events.CancelRequested, now: float) -> Change:
    """The job ends, or is marked for the step that must see to something first.

    Raises:
        StaleEventError: it has ended, or is marked already.
    """
    if job.state.is_final or job.cancel:
        raise StaleEventError(f"{job.id} is {job.state}, cancel={job.cancel or 'no'}")
    if job.state is JobState.QUEUED:
        return finish(job, JobState.CANCELLED, now)
    if job.state is JobState.RENDERING and not event.keep_result:
        return finish(job, JobState.CANCELLED, now)
    if job.state is JobState.NEEDS_ATTENTION and _has_nothing_to_wait_for(job, event):
        return finish(job, JobState.CANCELLED, now, record=job.evolve(outputs=()))
    # A request may be on its way, the result is wanted, or images must be removed: the step that is due sees to it.
    wish = "keep" if event.keep_result else "discard"
    change = Draft(job, now).change(
        job.evolve(cancel=wish), due_at=NEVER_BY_ITSELF, event="cancel_requested", result=wish
    )
    return replace(change, keep_due=True)


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
        "fail": lambda: finish(job, JobState.CANCELLED if job.cancel else JobState.FAILED, now, error=job.error),
        "attach": lambda: _resolve_by_attaching(job, event, now),
        "resubmit": lambda: _resolve_by_resubmitting(job, event, now),
    }
    return resolutions[event.action]()


def _resolve_by_attaching(job: JobRecord, event: events.Resolved, now: float) -> Change:
    attached = job.evolve(
        result_key=event.result_key or job.result_key,
        charge=Charge.CHARGED,
        submitted_at=job.submitted_at or now,
        error=None,
        blocked_by="",
        strikes=0,
    )
    if not attached.result_key:
        raise StaleEventError(f"{job.id} has no result key, and none was given")
    if job.cancel == "discard":
        return finish(job, JobState.CANCELLED, now, record=attached)
    after = attached.evolve(state=JobState.RENDERING, **next_step_fields(job, "poll", unused_number(job)))
    return Draft(job, now).change(
        after, due_at=now, publish=True, event="resolved", action="attach", by=event.by, result_key=after.result_key
    )


def _resolve_by_resubmitting(job: JobRecord, event: events.Resolved, now: float) -> Change:
    if job.cancel:
        return finish(job, JobState.CANCELLED, now)
    after = job.evolve(
        state=JobState.QUEUED,
        epoch=job.epoch + 1,
        earlier_charge=job.earlier_charge.or_more(job.charge),
        nonce="",
        result_key="",
        strikes=0,
        refusals=0,
        error=None,
        blocked_by="",
        **next_step_fields(job, "submit", unused_number(job)),
    )
    return Draft(job, now).change(after, due_at=now, publish=True, event="resolved", action="resubmit", by=event.by)
