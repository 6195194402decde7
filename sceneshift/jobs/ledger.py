"""What submissions have cost, and who decided that they may: the lines that a transition adds to the ledger.

One line stands for one submission: its charge, and the state of its job. A submission that its job has left behind
stands under a word of its own instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sceneshift.jobs import events
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState

REFUSED = "refused"
"""The provider said no to it; nothing was charged."""
NOT_SENT = "not_sent"
"""No byte of it reached the provider."""
SUPERSEDED = "superseded"
"""The job was submitted again; what this one cost stays in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where one submission stands in the ledger. `day` is the UTC date of its intent, as YYYY-MM-DD."""

    day: str
    charge: Charge
    state: str
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerMove:
    """One submission is added to a line (`count` 1) or taken from it (-1)."""

    line: Line
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Somebody, or the policy, decided about money that was or may be spent; `images` is what the decision may cost."""

    at: float
    job_id: str
    action: str
    by: str
    why: str
    images: int
    charge: Charge


def day_of(moment: float) -> str:
    """The UTC date of a moment in unix seconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def line_of(job: JobRecord) -> Line | None:
    """The line of the submission that still counts; None before there is one."""
    if job.intent_at is None:
        return None
    charge = Charge.CHARGED if job.result_key else Charge.UNKNOWN
    if job.charge is Charge.REFUNDED_BY_HAND:
        charge = job.charge
    return Line(day=day_of(job.intent_at), charge=charge, state=str(job.state), images=job.order.num_output)


def moves(before: JobRecord, after: JobRecord, event: events.Event) -> tuple[LedgerMove, ...]:
    """How the ledger changes when the event has made `after` of `before`."""
    old, new = line_of(before), line_of(after)
    if old is not None and new is None:
        new = _left_behind(old, event)
    if old == new:
        return ()
    return tuple(LedgerMove(line=line, count=count) for line, count in ((old, -1), (new, 1)) if line is not None)


def _left_behind(line: Line, event: events.Event) -> Line:
    match event:
        case events.SubmissionDelayed(new_epoch=False):
            return replace(line, charge=Charge.NOT_CHARGED, state=NOT_SENT)
        case events.SubmissionDelayed() | events.JobRefused():
            return replace(line, charge=Charge.NOT_CHARGED, state=REFUSED)
    return replace(line, state=SUPERSEDED)


def decision_of(before: JobRecord, after: JobRecord, event: events.Event, now: float) -> Decision | None:
    """What is to be remembered of a decision about money; None when the event is none."""
    decided = _decided(after, event)
    if decided is None:
        return None
    action, by, why = decided
    cost = before.order.num_output if action in {"resubmit", "retry_submit"} else 0
    return Decision(at=now, job_id=before.id, action=action, by=by, why=why, images=cost, charge=after.charge)


def _decided(after: JobRecord, event: events.Event) -> tuple[str, str, str] | None:
    """What was decided, by whom, and why."""
    match event:
        case events.SubmissionLost():
            # Its owner's wish to cancel it may have come first.
            then = "hold" if after.state is JobState.NEEDS_ATTENTION else event.then
            return then, event.by, event.fault.message
        case events.Resolved():
            return event.action, event.by, event.why
        case events.Retried():
            return "retry_submit" if event.from_submit else "retry_query", event.by, event.why
        case events.Refunded():
            return "refund", event.by, event.why
    return None
