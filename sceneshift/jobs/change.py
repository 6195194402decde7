"""What a transition writes, and the parts that all transitions are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from sceneshift import identifiers
from sceneshift.jobs.ledger import Decision, LedgerMove
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge, JobState

NEVER_BY_ITSELF = math.inf
"""The due time of a job that waits for a person."""


class StaleEventError(Exception):
    """Raised when an event does not fit the job's state: it comes from a step that has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """What its owner is told of a job: the facts, frozen at their moment. The same script stores them in the log."""

    event_id: str
    type: str
    sequence: int
    state: JobState
    occurred_at: float
    error: JobFault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDraft(EventDraft):
    """An event for one receiver: a webhook that the same script stores in the outbox.

    `endpoint_id` is that of a named endpoint; without it, the job's own URL is meant.
    """

    id: str
    endpoint_id: str = ""

    @classmethod
    def of(cls, event: EventDraft, delivery_id: str, endpoint_id: str = "") -> Self:
        """The delivery of this event under this id."""
        return cls(
            id=delivery_id,
            endpoint_id=endpoint_id,
            event_id=event.event_id,
            type=event.type,
            sequence=event.sequence,
            state=event.state,
            occurred_at=event.occurred_at,
            error=event.error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one transition writes, all or nothing.

    `due_at` is when the job must next be looked at: now for a step to be published at once, None for a final job.
    """

    before: JobRecord
    after: JobRecord
    due_at: float | None
    timeline: tuple[tuple[str, dict[str, Any]], ...] = ()
    events: tuple[EventDraft, ...] = ()
    deliveries: tuple[DeliveryDraft, ...] = ()
    endpoints_version: str = ""
    """The list of named endpoints by which the events were addressed: with another one they are addressed anew."""
    publish: bool = False
    keep_due: bool = False
    """The running step keeps its lease: only a mark was made on the record."""
    ledger: tuple[LedgerMove, ...] = ()
    decision: Decision | None = None
    outcome: Literal["", "sent", "unknown"] = ""
    """What the shares of unknown outcomes are counted from."""
    occupied_until: float | None = None
    """The submission that the job leaves behind, or is held for, may be at the provider until then, and has a slot."""

    @property
    def ends_unpaid(self) -> bool:
        """The job ends without ever having been sent, as its record has it: a record that may have been forgotten."""
        waited = self.before.state in {JobState.QUEUED, JobState.NEEDS_ATTENTION}
        return waited and self.after.state.is_final and self.after.charge is Charge.NOT_CHARGED

    @property
    def releases_idempotency_key(self) -> bool:
        """Nothing was charged and nothing will be: the same key may order again."""
        return self.after.state in {JobState.FAILED, JobState.CANCELLED} and self.after.charge is Charge.NOT_CHARGED


@dataclass(slots=True)
class Draft:
    """The parts of a change, gathered; `now` stamps them."""

    job: JobRecord
    now: float
    events: list[EventDraft] = field(default_factory=list)

    def webhook(self, kind: str, after: JobRecord) -> JobRecord:
        """The record with its sequence moved on, and the event that its owner is told."""
        sequence = after.sequence + 1
        self.events.append(
            EventDraft(
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
            events=tuple(self.events),
            deliveries=deliveries_to_owner(after, self.events),
            publish=publish,
        )


def deliveries_to_owner(job: JobRecord, events: Iterable[EventDraft]) -> tuple[DeliveryDraft, ...]:
    """The webhooks that tell these events at the URL of the job's own order, when it has one."""
    if not job.order.webhook_url:
        return ()
    return tuple(DeliveryDraft.of(event, identifiers.delivery_id(job.id, event.sequence)) for event in events)


def next_step_fields(job: JobRecord, kind: str, number: int) -> dict[str, Any]:
    """The fields of a record whose next step is this one, after the one that it is at."""
    return {"step": identifiers.step_name(kind, number), "parent_step": job.step}


def require(job: JobRecord, *states: JobState) -> None:
    """The job is in one of these states.

    Raises:
        StaleEventError: it is not.
    """
    if job.state not in states:
        raise StaleEventError(f"{job.id} is {job.state} at {job.step}")


def unused_number(job: JobRecord) -> int:
    """A number that no step of this job has had: each step came with a revision of its own."""
    return job.revision + 1


def later_epoch(job: JobRecord) -> int | None:
    """The job's epoch for its timeline, when it is not the first."""
    return job.epoch if job.epoch > 1 else None


def hold(job: JobRecord, fault: JobFault, now: float) -> Change:
    """The job waits for a person, and its owner is told."""
    draft = Draft(job, now)
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


_FINAL_WEBHOOK = {
    JobState.SUCCEEDED: "job.completed",
    JobState.PARTIAL: "job.completed",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}


def finish(
    job: JobRecord,
    state: JobState,
    now: float,
    *,
    record: JobRecord | None = None,
    charge: Charge | None = None,
    error: JobFault | None = None,
) -> Change:
    """The job, or the `record` that it has become, ends in this state, and its owner is told."""
    draft = Draft(job, now)
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


def drop(job: JobRecord, now: float, *, record: JobRecord | None = None) -> Change:
    """The job, or the `record` that it has become, ends as cancelled, and nothing of it is in the bucket.

    When images of it may lie there already, the step that removes them comes first.
    """
    base = record or job
    if base.rendered_at is None:
        return finish(job, JobState.CANCELLED, now, record=base)
    after = base.evolve(
        state=JobState.STORING,
        cancel="discard",
        error=None,
        blocked_by="",
        blocked_until=None,
        **next_step_fields(job, "finalize", unused_number(job)),
    )
    return Draft(job, now).change(after, due_at=now, publish=True, event="cancel_requested", result="discard")
