"""What a caller gets to see of a job: values that are read from its record at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sceneshift.errors import JobCancelledError, JobError, JobFailedError
from sceneshift.jobs.states import Charge, JobState

if TYPE_CHECKING:
    from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput, OutputImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long each part took, in seconds; None where it has not happened."""

    queued_seconds: float | None = None
    render_seconds: float | None = None
    store_seconds: float | None = None
    total_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnapshot:
    """A job at one moment. Times are unix seconds; `blocked_by` and `blocked_until` say what it waits for.

    `overdue` says that its deadline passed while it went on; `late`, that it ended after that.
    """

    id: str
    state: JobState
    sku: str | None
    metadata: Mapping[str, str]
    requested: int
    created_at: float
    submitted_at: float | None
    finished_at: float | None
    deadline_at: float | None
    overdue: bool
    late: bool
    blocked_by: str | None
    blocked_until: float | None
    submits: int
    polls: int
    charge: Charge
    result_key: str | None
    request_id: str | None
    nonce: str | None
    error: JobFault | None
    outputs: tuple[OutputImage, ...]
    missing: tuple[MissingOutput, ...]
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a succeeded or partial job produced; `missing` says which images could not be had.

    `late` says that it was reported as overdue and came after its deadline all the same.
    """

    job_id: str
    state: JobState
    requested: int
    outputs: tuple[OutputImage, ...]
    missing: tuple[MissingOutput, ...]
    sku: str | None
    metadata: Mapping[str, str]
    result_key: str | None
    late: bool
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One entry of a job's timeline: what happened, when, and the state that it led to."""

    at: float
    state: JobState
    event: str
    details: Mapping[str, Any]


def snapshot_of(job: JobRecord) -> JobSnapshot:
    """What a caller may see of a record."""
    return JobSnapshot(
        id=job.id,
        state=job.state,
        sku=job.sku,
        metadata=job.order.metadata,
        requested=job.order.num_output,
        created_at=job.created_at,
        submitted_at=job.submitted_at,
        finished_at=job.finished_at,
        deadline_at=job.deadline_at,
        overdue=job.overdue,
        late=ended_late(job, job.finished_at if job.state.is_final else None),
        blocked_by=job.blocked_by or None,
        blocked_until=job.blocked_until,
        submits=job.submits,
        polls=job.polls,
        charge=job.charge,
        result_key=job.result_key or None,
        request_id=job.request_id or None,
        nonce=job.nonce or None,
        error=job.error,
        outputs=job.outputs,
        missing=job.missing,
        timings=timings_of(job),
    )


def ended_late(job: JobRecord, ended_at: float | None) -> bool:
    """Whether an end at this moment came after the deadline of a job that was reported as overdue; None is no end."""
    if ended_at is None or job.deadline_at is None:
        return False
    return job.overdue and ended_at > job.deadline_at


def timings_of(job: JobRecord) -> Timings:
    """How long the parts of a job took."""
    return Timings(
        queued_seconds=_between(job.created_at, job.submitted_at),
        render_seconds=_between(job.submitted_at, job.rendered_at),
        store_seconds=_between(job.rendered_at, job.finished_at),
        total_seconds=_between(job.created_at, job.finished_at),
    )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)


def events_of(entries: Iterable[Mapping[str, Any]]) -> list[JobEvent]:
    """The entries of a stored timeline, as callers get them; those of states that a later release has are left out."""
    return [
        JobEvent(
            at=entry["at"],
            state=JobState(entry["state"]),
            event=entry["event"],
            details={name: value for name, value in entry.items() if name not in {"at", "state", "event"}},
        )
        for entry in entries
        if entry["state"] in _STATES
    ]


_STATES = frozenset(JobState)


def result_of(job: JobRecord) -> JobResult:
    """What a job that has ended produced.

    Raises:
        JobFailedError: it failed.
        JobCancelledError: it was cancelled.
    """
    if error := error_of(job):
        raise error
    return JobResult(
        job_id=job.id,
        state=job.state,
        requested=job.order.num_output,
        outputs=job.outputs,
        missing=job.missing,
        sku=job.sku,
        metadata=job.order.metadata,
        result_key=job.result_key or None,
        late=ended_late(job, job.finished_at),
        timings=timings_of(job),
    )


def error_of(job: JobRecord) -> JobError | None:
    """What is raised to whoever waits for a job that ended like this; None when it has a result."""
    if job.state is JobState.CANCELLED:
        return JobCancelledError("it was cancelled", job_id=job.id, reason="cancelled", charged=str(job.charge))
    if job.state is JobState.FAILED:
        code, message, request_id = (
            (job.error.code, job.error.message, job.error.request_id) if job.error else ("unknown", "it failed", None)
        )
        return JobFailedError(message, job_id=job.id, request_id=request_id, reason=code, charged=str(job.charge))
    return None
