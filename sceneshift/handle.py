"""The handle that a caller holds: look at a job, wait for it, follow it, cancel it. None of it moves the job along."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from sceneshift.errors import (
    InvalidRequestError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobTimeoutError,
    StoreUnavailableError,
)
from sceneshift.jobs.events import CancelRequested, Resolved
from sceneshift.jobs.states import Charge, JobState

if TYPE_CHECKING:
    from sceneshift.client import Client
    from sceneshift.jobs.change import Change
    from sceneshift.jobs.events import Event, ResolveAction
    from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput, OutputImage
    from sceneshift.store.timeline import Watch


Found = TypeVar("Found")

STORE_PATIENCE_SECONDS = 60.0
STORE_RETRY_SECONDS = 0.5


class CancelOutcome(StrEnum):
    """What cancelling cost."""

    FREE = "free"
    """Nothing was sent; nothing was charged."""
    CHARGED_KEPT = "charged_kept"
    """It is paid for, and what comes of it is stored."""
    CHARGED_DISCARDED = "charged_discarded"
    """It is paid for, and what comes of it is dropped."""
    UNKNOWN = "unknown"
    """A request may be on its way; the wish is noted and the webhook tells the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long each part took, in seconds; None where it has not happened."""

    queued_seconds: float | None = None
    render_seconds: float | None = None
    store_seconds: float | None = None
    total_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnapshot:
    """A job at one moment. Times are unix seconds; `blocked_by` and `blocked_until` say what it waits for."""

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
    """What a succeeded or partial job produced; `missing` says which images could not be had."""

    job_id: str
    state: JobState
    requested: int
    outputs: tuple[OutputImage, ...]
    missing: tuple[MissingOutput, ...]
    sku: str | None
    metadata: Mapping[str, str]
    result_key: str | None
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One entry of a job's timeline: what happened, when, and the state that it led to."""

    at: float
    state: JobState
    event: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job's handle. `created` is False when an idempotency key found a job that was there already."""

    id: str
    idempotency_key: str | None = None
    created: bool
    client: Client = field(repr=False, compare=False)

    def snapshot(self) -> JobSnapshot:
        """The job as it is now, in one read.

        Raises:
            JobNotFoundError: its retention has ended.
            StoreUnavailableError: the job store could not be reached.
        """
        return snapshot_of(self.client.load(self.id))

    def done(self) -> bool:
        """Whether the job is final."""
        return self.client.load(self.id).state.is_final

    def result(self, timeout: float | None = None) -> JobResult:
        """Wait for the end and return the result; complete, or `partial` with `missing`.

        Args:
            timeout: how long to wait, in seconds; None waits as long as the job takes.

        Raises:
            JobTimeoutError: the time is over. The job goes on; call again.
            JobFailedError: the job failed; `reason` is its error code.
            JobCancelledError: the job was cancelled.
            StoreUnavailableError: the job store was away for more than a minute.
        """
        return _result_of(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> JobError | None:
        """Wait for the end and return what `result` would raise of the job, or None.

        Raises:
            JobTimeoutError: the time is over. The job goes on; call again.
        """
        return _error_of(self._wait(timeout))

    def events(self, timeout: float | None = None) -> Iterator[JobEvent]:
        """The job's timeline from its beginning, each entry once, as it is written, until the job is final.

        Raises:
            JobTimeoutError: nothing ended the job within `timeout` seconds. It goes on.
            JobNotFoundError: there is no such job.
            StoreUnavailableError: the job store was away for more than a minute.
        """
        deadline, position = _Deadline(self.id, timeout), 0
        while True:
            news = self._until(functools.partial(self._news, position), deadline)
            position += len(news)
            yield from news
            if news[-1].state.is_final:
                return

    def _news(self, position: int) -> list[JobEvent] | None:
        news = self.timeline(start=position)
        if not news and position == 0:
            # Nothing was ever written: this says whether there is such a job at all.
            self.client.load(self.id)
        return news or None

    def timeline(self, *, start: int = 0) -> list[JobEvent]:
        """What has happened to the job so far, from this position on, the oldest first.

        Raises:
            StoreUnavailableError: the job store could not be reached.
        """
        from sceneshift.store.connection import translating  # noqa: PLC0415

        with translating(StoreUnavailableError, "the job itself is not affected", job_id=self.id):
            return [_event_of(entry) for entry in self.client.store.timeline.read(self.id, start=start)]

    def cancel(self, *, keep_result: bool = False) -> CancelOutcome:
        """The job is cancelled, or the wish is noted, and the answer says whether it cost money.

        Args:
            keep_result: when it is paid for already, its images are stored nevertheless.
        """
        change = self._transition(CancelRequested(keep_result=keep_result))
        return _cancel_outcome(change.after if change else self.client.load(self.id))

    def resolve(self, action: ResolveAction, *, by: str, result_key: str = "") -> JobSnapshot:
        """A person's decision about a job that needs attention is carried out; returns the job as it then is.

        Args:
            action: `attach` (the provider accepted it under this result key), `resubmit` (it never arrived; this can
                pay a second time) or `fail`.
            by: who decided, for the timeline.
            result_key: the key from the provider's console, for `attach`.

        Raises:
            InvalidRequestError: there is nothing to decide, or no key to attach.
            StoreUnavailableError: the job store could not be reached.
        """
        change = self._transition(Resolved(action=action, by=by, result_key=result_key))
        if change is None:
            state = self.client.load(self.id).state
            raise InvalidRequestError(f"{self.id} is {state}: there is nothing to {action}", param="action")
        return snapshot_of(change.after)

    def _transition(self, event: Event) -> Change | None:
        from sceneshift.messages import messages_for_change  # noqa: PLC0415  # a handle that only looks publishes nothing
        from sceneshift.store.connection import translating  # noqa: PLC0415

        job = self.client.load(self.id)
        with translating(StoreUnavailableError, "it is safe to call again", job_id=self.id):
            change = self.client.store.jobs.transition(job, event)
        if change is not None:
            self.client.publisher.publish(messages_for_change(change))
        return change

    def _wait(self, timeout: float | None) -> JobRecord:
        return self._until(self._final_record, _Deadline(self.id, timeout))

    def _final_record(self) -> JobRecord | None:
        job = self.client.load(self.id)
        return job if job.state.is_final else None

    def _until(self, look: Callable[[], Found | None], deadline: _Deadline) -> Found:
        """What `look` finds, asked again whenever there may be something new, until the caller's time is over.

        A store that goes away for a moment is waited for: a long wait must not end because of a restart.
        """
        away_since: float | None = None
        while True:
            try:
                with self._watching() as watch:
                    while (found := look()) is None:
                        away_since = None
                        deadline.wait(watch)
                    return found
            except StoreUnavailableError:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > STORE_PATIENCE_SECONDS or deadline.is_over():
                    raise
                threading.Event().wait(STORE_RETRY_SECONDS)

    @contextmanager
    def _watching(self) -> Iterator[Watch]:
        from sceneshift.store.connection import translating  # noqa: PLC0415

        with (
            translating(StoreUnavailableError, "the job itself is not affected", job_id=self.id),
            self.client.store.timeline.watching(self.id) as watch,
        ):
            yield watch


class _Deadline:
    """The end of a caller's patience."""

    def __init__(self, job_id: str, timeout_seconds: float | None) -> None:
        self._job_id = job_id
        self._timeout_seconds = timeout_seconds
        self._ends_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    def is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def wait(self, watch: Watch) -> None:
        left = None if self._ends_at is None else self._ends_at - time.monotonic()
        if left is not None and left <= 0:
            raise JobTimeoutError(
                f"still going on after {self._timeout_seconds:g} s; it was not cancelled, call result() again",
                job_id=self._job_id,
                timeout_seconds=self._timeout_seconds,
            )
        watch.wait(left)


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


def _event_of(entry: Mapping[str, Any]) -> JobEvent:
    details = {name: value for name, value in entry.items() if name not in {"at", "state", "event"}}
    return JobEvent(at=entry["at"], state=JobState(entry["state"]), event=entry["event"], details=details)


def _result_of(job: JobRecord) -> JobResult:
    if error := _error_of(job):
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
        timings=timings_of(job),
    )


def _error_of(job: JobRecord) -> JobError | None:
    if job.state is JobState.CANCELLED:
        return JobCancelledError("it was cancelled", job_id=job.id, reason="cancelled", charged=str(job.charge))
    if job.state is JobState.FAILED:
        code, message, request_id = (
            (job.error.code, job.error.message, job.error.request_id) if job.error else ("unknown", "it failed", None)
        )
        return JobFailedError(message, job_id=job.id, request_id=request_id, reason=code, charged=str(job.charge))
    return None


def _cancel_outcome(job: JobRecord) -> CancelOutcome:
    if job.charge is Charge.NOT_CHARGED:
        return CancelOutcome.FREE
    if job.charge is Charge.UNKNOWN:
        return CancelOutcome.UNKNOWN
    kept = job.cancel != "discard" and (job.outputs or (job.cancel == "keep" and not job.state.is_final))
    return CancelOutcome.CHARGED_KEPT if kept else CancelOutcome.CHARGED_DISCARDED
