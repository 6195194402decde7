"""The handle that a caller holds: look at a job, wait for it, follow it, cancel it, decide about it."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from sceneshift.errors import (
    InvalidRequestError,
    JobError,
    JobTimeoutError,
    StoreUnavailableError,
)
from sceneshift.jobs.events import CancelRequested, Refunded, Resolved, Retried
from sceneshift.jobs.plans import plan_of
from sceneshift.jobs.states import Charge
from sceneshift.snapshots import (
    JobEvent,
    JobResult,
    JobSnapshot,
    Timings,
    error_of,
    events_of,
    result_of,
    snapshot_of,
    timings_of,
)

if TYPE_CHECKING:
    from sceneshift.client import Client
    from sceneshift.jobs.change import Change
    from sceneshift.jobs.events import Event, ResolveAction
    from sceneshift.jobs.record import JobRecord
    from sceneshift.store.timeline import Watch

__all__ = ["CancelOutcome", "Job", "JobEvent", "JobResult", "JobSnapshot", "Timings", "snapshot_of", "timings_of"]

Found = TypeVar("Found")

STORE_PATIENCE_SECONDS = 60.0
STORE_RETRY_SECONDS = 0.5
CANCEL_TRIES = 20
"""So often a cancellation is put to a job that moves on each time, which takes as many steps of it."""


class CancelOutcome(StrEnum):
    """What cancelling cost."""

    FREE = "free"
    """Nothing was sent; nothing was charged."""
    CHARGED_KEPT = "charged_kept"
    """It is paid for, and what comes of it is stored."""
    CHARGED_DISCARDED = "charged_discarded"
    """It is paid for, and what comes of it is dropped."""
    UNKNOWN = "unknown"
    """A request may be on its way, or its answer is lost; the webhook tells the end, and `charge` what is known."""


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
            UnknownRecordError: a later release wrote it; that one, or a newer one, can read it.
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
            UnknownRecordError: a later release has taken the job further than this one can read.
        """
        return result_of(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> JobError | None:
        """Wait for the end and return what `result` would raise of the job, or None.

        Raises:
            JobTimeoutError: the time is over. The job goes on; call again.
        """
        return error_of(self._wait(timeout))

    def events(self, timeout: float | None = None) -> Iterator[JobEvent]:
        """The job's timeline from its beginning, each entry once, as it is written, until the job is final.

        Raises:
            JobTimeoutError: nothing ended the job within `timeout` seconds. It goes on.
            JobNotFoundError: there is no such job.
            StoreUnavailableError: the job store was away for more than a minute.
        """
        deadline, position = _Deadline(self.id, timeout), 0
        while True:
            entries = self._until(functools.partial(self._news, position), deadline)
            position += len(entries)
            yield from events_of(entries)
            if any(event.state.is_final for event in events_of(entries[-1:])):
                return

    def _news(self, position: int) -> list[dict[str, Any]] | None:
        news = self._entries(position)
        if not news and position == 0:
            # Nothing was ever written: this says whether there is such a job at all.
            self.client.load(self.id)
        return news or None

    def timeline(self, *, start: int = 0) -> list[JobEvent]:
        """What has happened to the job so far, from this position on, the oldest first.

        Raises:
            StoreUnavailableError: the job store could not be reached.
        """
        return events_of(self._entries(start))

    def _entries(self, start: int) -> list[dict[str, Any]]:
        from sceneshift.store.connection import translating  # noqa: PLC0415

        with translating(StoreUnavailableError, "the job itself is not affected", job_id=self.id):
            return self.client.store.timeline.read(self.id, start=start)

    def cancel(self, *, keep_result: bool = False) -> CancelOutcome:
        """The job is cancelled, or the wish is noted, and the answer says whether it cost money.

        Args:
            keep_result: when it is paid for already, its images are stored nevertheless.

        Raises:
            StoreUnavailableError: the job store could not be reached, or the job moved on at every try; call again.
            UnknownRecordError: a later release wrote the job; nothing was changed.
        """
        for _ in range(CANCEL_TRIES):
            change = self._request_cancel(keep_result=keep_result)
            job = change.after if change else self.client.load(self.id)
            if change or job.state.is_final or job.cancel:
                outcome = _cancel_outcome(job)
                is_free = job.state.is_final and not self._may_have_been_forgotten()
                return outcome if outcome is not CancelOutcome.FREE or is_free else CancelOutcome.UNKNOWN
        raise StoreUnavailableError("the job moved on at every try and was not cancelled; call again", job_id=self.id)

    def resolve(self, action: ResolveAction, *, by: str, why: str = "", result_key: str = "") -> JobSnapshot:
        """A person's decision about a job that needs attention is carried out; returns the job as it then is.

        Args:
            action: `attach` (the provider accepted it under this result key), `resubmit` (it never arrived; this can
                pay a second time) or `fail`.
            by: who decided, for the timeline and the ledger.
            why: the reason, for the same.
            result_key: the key from the provider's console, for `attach`.

        Raises:
            InvalidRequestError: there is nothing to decide, no key to attach, or it is another job's.
            StoreUnavailableError: the job store could not be reached.
        """
        from sceneshift.store.jobs import RecoveringError  # noqa: PLC0415

        try:
            change = self._transition(Resolved(action=action, by=by, why=why, result_key=result_key))
        except RecoveringError:
            raise StoreUnavailableError(
                "the job store may have forgotten a submission of this job; decide when `sceneshift recovery` is over",
                job_id=self.id,
            ) from None
        if change is None:
            state = self.client.load(self.id).state
            raise InvalidRequestError(f"{self.id} is {state}: there is nothing to {action}", param="action")
        return snapshot_of(change.after)

    def retry(self, *, by: str, why: str = "", spend: bool = False, from_submit: bool = False) -> JobSnapshot:
        """A failed job goes on where it can without being paid for again; returns the job as it then is.

        With a result key it asks the provider for its result once more, which is free. Without one it is submitted
        again, which costs its images, and if its charge is unknown, perhaps a second time.

        Args:
            by: who decided, for the timeline and the ledger.
            why: the reason, for the same.
            spend: it may be submitted again.
            from_submit: it is submitted again although it has a result key.

        Raises:
            InvalidRequestError: it has not failed, was ordered again with its idempotency key, or would be submitted
                again and `spend` is not True; `param` says which.
            StoreUnavailableError: the job store could not be reached.
        """
        job = self.client.load(self.id)
        plan = plan_of([job], "retry", from_submit=from_submit, ordered_again=self._ordered_again(job))
        if not plan.jobs:
            raise InvalidRequestError(f"{self.id}: {plan.left_out[0].why}", param="job_id")
        if plan.images and not spend:
            raise InvalidRequestError(
                f"{self.id} must be submitted again, for up to {plan.images} images{plan.jobs[0].warning}: that takes "
                "spend=True",
                param="spend",
            )
        change = self._transition(Retried(by=by, why=why, from_submit=plan.images > 0), job)
        if change is None:
            raise InvalidRequestError(
                f"{self.id} has moved on: it is {self.client.load(self.id).state}", param="job_id"
            )
        return snapshot_of(change.after)

    def refund(self, *, by: str, why: str = "") -> JobSnapshot:
        """The job's charge says that the provider gave back what it cost; returns the job as it then is.

        Args:
            by: who says so, for the timeline and the ledger.
            why: the reason, for the same.

        Raises:
            InvalidRequestError: it has not ended, or nothing was charged, or that was noted already.
            StoreUnavailableError: the job store could not be reached.
        """
        change = self._transition(Refunded(by=by, why=why))
        if change is None:
            job = self.client.load(self.id)
            why = "there is nothing to refund"
            if job.intent_at is None and job.charge in {Charge.CHARGED, Charge.UNKNOWN}:
                why = "that is an earlier submission's, which stays in the ledger as superseded"
            raise InvalidRequestError(f"{self.id} is {job.state} and {job.charge}: {why}", param="job_id")
        return snapshot_of(change.after)

    def _request_cancel(self, *, keep_result: bool) -> Change | None:
        """The wish is carried out, or noted where nobody can say now whether the job was submitted."""
        from sceneshift.store.jobs import RecoveringError  # noqa: PLC0415  # redis is loaded by the calls that need it

        try:
            return self._transition(CancelRequested(keep_result=keep_result))
        except RecoveringError:
            return self._transition(CancelRequested(keep_result=keep_result, notes_only=True))

    def _transition(self, event: Event, job: JobRecord | None = None) -> Change | None:
        from sceneshift.messages import messages_for_change  # noqa: PLC0415  # a handle that only looks publishes nothing
        from sceneshift.store.connection import translating  # noqa: PLC0415
        from sceneshift.store.jobs import NotOnDiskError, ResultKeyTakenError  # noqa: PLC0415

        job = job or self.client.load(self.id)
        with translating(StoreUnavailableError, "it is safe to call again", job_id=self.id):
            try:
                change = self.client.store.jobs.transition(job, event)
            except NotOnDiskError as error:
                change = error.change
            except ResultKeyTakenError as error:
                raise InvalidRequestError(
                    f"{self.id}: this is the result key of {error.owner_id}", param="result_key"
                ) from None
        if change is not None:
            self.client.publisher.publish(messages_for_change(change))
        return change

    def _ordered_again(self, job: JobRecord) -> dict[str, str]:
        """The job that has this one's idempotency key by now, if it is another."""
        from sceneshift.store.connection import translating  # noqa: PLC0415
        from sceneshift.store.selection import ordered_again  # noqa: PLC0415

        with translating(StoreUnavailableError, "it is safe to call again", job_id=self.id):
            return ordered_again(self.client.store, [job])

    def _may_have_been_forgotten(self) -> bool:
        """Whether the job store may have lost its memory of a submission, and nobody has given it back yet."""
        from sceneshift.store.connection import translating  # noqa: PLC0415

        with translating(StoreUnavailableError, "it is safe to call again", job_id=self.id):
            return self.client.store.recovery.state() is not None

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


def _cancel_outcome(job: JobRecord) -> CancelOutcome:
    """What a job that has ended, or on which the wish is noted, has cost, and what becomes of its images."""
    if job.charge is Charge.NOT_CHARGED:
        return CancelOutcome.FREE
    if job.charge is Charge.UNKNOWN:
        return CancelOutcome.UNKNOWN
    if job.state.is_final:
        return CancelOutcome.CHARGED_KEPT if job.outputs else CancelOutcome.CHARGED_DISCARDED
    if job.cancel == "discard":
        return CancelOutcome.CHARGED_DISCARDED
    # An earlier submission is paid for. Whether the one on its way brings anything to keep is not known.
    return CancelOutcome.CHARGED_KEPT if job.result_key else CancelOutcome.UNKNOWN
