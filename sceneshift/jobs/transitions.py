"""How a job moves: `advance(job, event, now)` says what the record is to become, and changes nothing.

Whoever calls it stores the change with one compare-and-set; when that fails because the job has moved, the event is put
to the job as it is now. An event that does not fit the state raises `StaleEventError`: it belongs to the past.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from sceneshift import identifiers
from sceneshift.jobs import events
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge, JobState

NEVER_BY_ITSELF = math.inf
"""The due time of a job that waits for a person."""


class StaleEventError(Exception):
    """Raised when an event does not fit the job's state: it comes from a step that has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDraft:
    """A webhook that the same script stores in the outbox: the event's facts, frozen at its moment."""

    id: str
    event_id: str
    type: str
    sequence: int
    state: JobState
    occurred_at: float
    error: JobFault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one transition writes, all or nothing.

    `due_at` is when the job must next be looked at: now for a step to be published at once, None for a final job.
    """

    before: JobRecord
    after: JobRecord
    due_at: float | None
    timeline: tuple[tuple[str, dict[str, Any]], ...] = ()
    deliveries: tuple[DeliveryDraft, ...] = ()
    publish: bool = False
    keep_due: bool = False
    """The running step keeps its lease: only a mark was made on the record."""

    @property
    def releases_idempotency_key(self) -> bool:
        """Nothing was charged and nothing will be: the same key may order again."""
        return self.after.state in {JobState.FAILED, JobState.CANCELLED} and self.after.charge is Charge.NOT_CHARGED


def advance(job: JobRecord, event: events.Event, now: float) -> Change:  # noqa: C901, PLR0911, PLR0912  # one case per event
    """What this event makes of this job.

    Raises:
        StaleEventError: the event does not fit the job's state.
    """
    match event:
        case events.IntentStored():
            return _intent_stored(job, event, now)
        case events.SubmissionAccepted():
            return _accepted(job, event, now)
        case events.SubmissionDelayed():
            return _submission_delayed(job, event, now)
        case events.SubmissionLost():
            return _lost(job, event, now)
        case events.JobRefused():
            return _refused(job, event, now)
        case events.PollScheduled():
            return _poll_scheduled(job, event, now)
        case events.ResultsReady():
            return _results_ready(job, event, now)
        case events.RenderingFailed():
            _require(job, JobState.RENDERING, JobState.STORING)
            return _finish(job, JobState.FAILED, now, error=event.fault)
        case events.StoringDelayed():
            return _storing_delayed(job, event, now)
        case events.ImagesStored():
            return _stored(job, event, now)
        case events.StepPoisoned():
            _require(job, JobState.QUEUED, JobState.SUBMITTING, JobState.RENDERING, JobState.STORING)
            return _hold(job, event.fault, now)
        case events.CancelRequested():
            return _cancel(job, event, now)
        case events.Resolved():
            return _resolve(job, event, now)
        case _:
            assert_never(event)


def _require(job: JobRecord, *states: JobState) -> None:
    if job.state not in states:
        raise StaleEventError(f"{job.id} is {job.state} at {job.step}")


@dataclass(slots=True)
class _Draft:
    """The parts of a change, gathered; `now` stamps them."""

    job: JobRecord
    now: float
    deliveries: list[DeliveryDraft] = field(default_factory=list)

    def webhook(self, kind: str, after: JobRecord) -> JobRecord:
        """The record with its sequence moved on, and the event in the outbox when somebody listens."""
        sequence = after.sequence + 1
        if after.order.webhook_url:
            self.deliveries.append(
                DeliveryDraft(
                    id=identifiers.delivery_id(after.id, sequence),
                    event_id=identifiers.event_id(after.id, sequence),
                    type=kind,
                    sequence=sequence,
                    state=after.state,
                    occurred_at=self.now,
                    error=after.error,
                )
            )
        return after.evolve(sequence=sequence)

    def change(self, after: JobRecord, *, due_at: float | None, publish: bool = False, **about: Any) -> Change:
        """The change to `after`, with one line in the timeline named by what the caller says of it."""
        event = about.pop("event")
        timeline = ((event, {name: value for name, value in about.items() if value not in {None, ""}}),)
        return Change(
            before=self.job,
            after=after.evolve(revision=self.job.revision + 1),
            due_at=due_at,
            timeline=timeline,
            deliveries=tuple(self.deliveries),
            publish=publish,
        )


def _next_step(job: JobRecord, kind: str, number: int) -> dict[str, Any]:
    return {"step": identifiers.step_name(kind, number), "parent_step": job.step}


def _require_open_submission(job: JobRecord) -> None:
    """The job has not got its answer: it waits for it, or was held because the answer seemed to be lost."""
    _require(job, JobState.QUEUED, JobState.SUBMITTING, JobState.NEEDS_ATTENTION)
    if job.state is JobState.NEEDS_ATTENTION and (job.result_key or job.charge is Charge.NOT_CHARGED):
        raise StaleEventError(f"{job.id} is held for another reason than a lost answer")


def _refused(job: JobRecord, event: events.JobRefused, now: float) -> Change:
    _require_open_submission(job)
    if job.cancel:
        return _finish(job, JobState.CANCELLED, now, charge=job.earlier_charge)
    return _finish(job, JobState.FAILED, now, charge=job.earlier_charge, error=event.fault)


def _intent_stored(job: JobRecord, event: events.IntentStored, now: float) -> Change:
    _require(job, JobState.QUEUED)
    after = job.evolve(
        state=JobState.SUBMITTING,
        nonce=event.nonce,
        request_hash=event.request_hash[:16],
        submits=job.submits + 1,
        charge=job.earlier_charge.or_more(Charge.UNKNOWN),
        blocked_by="",
        blocked_until=None,
    )
    change = _Draft(job, now).change(after, due_at=now, event="submitting", epoch=job.epoch)
    # The step goes on: the request follows.
    return replace(change, keep_due=True)


def _accepted(job: JobRecord, event: events.SubmissionAccepted, now: float) -> Change:
    # An answer that arrives after its worker was given up for dead is still the answer.
    _require_open_submission(job)
    _require(job, JobState.SUBMITTING, JobState.NEEDS_ATTENTION)
    accepted = job.evolve(
        result_key=event.result_key,
        request_id=event.request_id or "",
        charge=Charge.CHARGED,
        submitted_at=now,
        error=None,
        blocked_by="",
        blocked_until=None,
    )
    if job.cancel == "discard":
        return _finish(job, JobState.CANCELLED, now, record=accepted)
    number = _unused_number(job) if job.polls else 1
    after = accepted.evolve(state=JobState.RENDERING, **_next_step(job, "poll", number))
    return _Draft(job, now).change(after, due_at=now + event.first_poll_in_seconds, event="accepted", epoch=job.epoch)


def _submission_delayed(job: JobRecord, event: events.SubmissionDelayed, now: float) -> Change:
    _require_open_submission(job)
    if job.cancel:
        return _finish(job, JobState.CANCELLED, now, charge=job.earlier_charge)
    until = now + event.retry_in_seconds
    held = job.state is JobState.NEEDS_ATTENTION
    number = _unused_number(job) if held else identifiers.step_number(job.step) + 1
    after = job.evolve(
        state=JobState.QUEUED,
        epoch=job.epoch + 1 if event.new_epoch else job.epoch,
        charge=job.earlier_charge,
        error=None,
        blocked_by=event.blocked_by,
        blocked_until=until,
        **_next_step(job, "submit", number),
    )
    return _Draft(job, now).change(
        after, due_at=until, event="submission_delayed", blocked_by=event.blocked_by, until=round(until, 3)
    )


def _lost(job: JobRecord, event: events.SubmissionLost, now: float) -> Change:
    _require(job, JobState.SUBMITTING)
    return _hold(job, event.fault, now)


def _hold(job: JobRecord, fault: JobFault, now: float) -> Change:
    draft = _Draft(job, now)
    after = job.evolve(
        state=JobState.NEEDS_ATTENTION,
        error=fault,
        blocked_by="operator",
        blocked_until=None,
        step=identifiers.step_name("resolve", job.revision),
        parent_step=job.step,
    )
    after = draft.webhook("job.needs_attention", after)
    return draft.change(
        after, due_at=NEVER_BY_ITSELF, event="needs_attention", code=fault.code, message=fault.message, step=job.step
    )


def _poll_scheduled(job: JobRecord, event: events.PollScheduled, now: float) -> Change:
    _require(job, JobState.RENDERING)
    draft = _Draft(job, now)
    after = job.evolve(
        polls=job.polls + 1,
        strikes=job.strikes + 1 if event.strike else (0 if event.answered else job.strikes),
        **_next_step(job, "poll", identifiers.step_number(job.step) + 1),
    )
    newly_overdue = event.overdue and not job.overdue
    if newly_overdue:
        after = draft.webhook("job.overdue", after.evolve(overdue=True))
    change = draft.change(after, due_at=now + event.poll_in_seconds, event="overdue", polls=after.polls)
    # Polls are counted, not listed: only what a reader would miss goes into the timeline.
    return change if newly_overdue else replace(change, timeline=())


def _results_ready(job: JobRecord, event: events.ResultsReady, now: float) -> Change:
    _require(job, JobState.RENDERING)
    after = job.evolve(
        state=JobState.STORING,
        polls=job.polls + 1,
        strikes=0,
        urls=event.urls,
        rendered_at=now,
        **_next_step(job, "finalize", 1 if job.rendered_at is None else _unused_number(job)),
    )
    return _Draft(job, now).change(after, due_at=now, publish=True, event="rendered", images=len(event.urls))


def _storing_delayed(job: JobRecord, event: events.StoringDelayed, now: float) -> Change:
    _require(job, JobState.STORING)
    until = now + event.retry_in_seconds
    after = job.evolve(
        outputs=event.outputs,
        urls=event.urls,
        store_attempts=job.store_attempts + 1,
        blocked_by=event.fault.code[:64],
        blocked_until=until,
        **_next_step(job, "finalize", identifiers.step_number(job.step) + 1),
    )
    return _Draft(job, now).change(
        after,
        due_at=until,
        event="storing_delayed",
        code=event.fault.code,
        message=event.fault.message,
        stored=len(event.outputs),
        until=round(until, 3),
    )


def _stored(job: JobRecord, event: events.ImagesStored, now: float) -> Change:
    _require(job, JobState.STORING)
    if job.cancel == "discard":
        return _finish(job, JobState.CANCELLED, now, record=job.evolve(outputs=(), missing=(), urls=()))
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
    return _finish(job, state, now, record=record, error=error)


_FINAL_WEBHOOK = {
    JobState.SUCCEEDED: "job.completed",
    JobState.PARTIAL: "job.completed",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}


def _finish(
    job: JobRecord,
    state: JobState,
    now: float,
    *,
    record: JobRecord | None = None,
    charge: Charge | None = None,
    error: JobFault | None = None,
) -> Change:
    draft = _Draft(job, now)
    base = record or job
    after = base.evolve(
        state=state,
        urls=(),
        error=error,
        charge=charge or base.charge,
        finished_at=now,
        blocked_by="",
        blocked_until=None,
        step=identifiers.step_name("done", job.revision),
        parent_step=job.step,
    )
    after = draft.webhook(_FINAL_WEBHOOK[state], after)
    return draft.change(
        after,
        due_at=None,
        event=str(state),
        charge=str(after.charge),
        code=error.code if error else None,
        images=len(after.outputs) or None,
    )


def _cancel(job: JobRecord, event: events.CancelRequested, now: float) -> Change:
    if job.state.is_final or job.cancel:
        raise StaleEventError(f"{job.id} is {job.state}, cancel={job.cancel or 'no'}")
    if job.state is JobState.QUEUED:
        return _finish(job, JobState.CANCELLED, now)
    if job.state is JobState.RENDERING and not event.keep_result:
        return _finish(job, JobState.CANCELLED, now)
    if job.state is JobState.NEEDS_ATTENTION and _has_nothing_to_wait_for(job, event):
        return _finish(job, JobState.CANCELLED, now, record=job.evolve(outputs=()))
    # A request may be on its way, the result is wanted, or images must be removed: the step that is due sees to it.
    wish = "keep" if event.keep_result else "discard"
    change = _Draft(job, now).change(
        job.evolve(cancel=wish), due_at=NEVER_BY_ITSELF, event="cancel_requested", result=wish
    )
    return replace(change, keep_due=True)


def _has_nothing_to_wait_for(job: JobRecord, event: events.CancelRequested) -> bool:
    """A held job of known cost: no request is on its way, and no result is wanted that a person could still fetch."""
    if job.charge is Charge.UNKNOWN:
        return False
    return job.charge is Charge.NOT_CHARGED or not event.keep_result


def _resolve(job: JobRecord, event: events.Resolved, now: float) -> Change:
    _require(job, JobState.NEEDS_ATTENTION)
    resolutions: dict[str, Callable[[], Change]] = {
        "fail": lambda: _finish(job, JobState.CANCELLED if job.cancel else JobState.FAILED, now, error=job.error),
        "attach": lambda: _resolve_by_attaching(job, event, now),
        "resubmit": lambda: _resolve_by_resubmitting(job, event, now),
    }
    return resolutions[event.action]()


def _unused_number(job: JobRecord) -> int:
    """A number that no step of this job has had: each step came with a revision of its own."""
    return job.revision + 1


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
        return _finish(job, JobState.CANCELLED, now, record=attached)
    after = attached.evolve(state=JobState.RENDERING, **_next_step(job, "poll", _unused_number(job)))
    return _Draft(job, now).change(
        after, due_at=now, publish=True, event="resolved", action="attach", by=event.by, result_key=after.result_key
    )


def _resolve_by_resubmitting(job: JobRecord, event: events.Resolved, now: float) -> Change:
    if job.cancel:
        return _finish(job, JobState.CANCELLED, now)
    after = job.evolve(
        state=JobState.QUEUED,
        epoch=job.epoch + 1,
        earlier_charge=job.earlier_charge.or_more(job.charge),
        nonce="",
        result_key="",
        strikes=0,
        error=None,
        blocked_by="",
        **_next_step(job, "submit", _unused_number(job)),
    )
    return _Draft(job, now).change(after, due_at=now, publish=True, event="resolved", action="resubmit", by=event.by)
