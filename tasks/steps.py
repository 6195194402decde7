"""What every step does around its one effect: take it, load the job, and store what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sceneshift.errors import UnknownRecordError
from sceneshift.identifiers import step_kind
from sceneshift.jobs.change import Change
from sceneshift.jobs.decisions import is_poisoned, poison_fault
from sceneshift.jobs.events import Event, StepPoisoned, SubmissionAccepted
from sceneshift.jobs.faults import DUPLICATE_RESULT_KEY
from sceneshift.jobs.intents import Intent
from sceneshift.jobs.record import JobRecord
from sceneshift.messages import messages_for_change
from sceneshift.store.bad_messages import BadMessage, Reason
from sceneshift.store.due import Hold, Taken
from sceneshift.store.jobs import NotOnDiskError
from sceneshift.store.merging import remind, reminder
from tasks.dropping import note_dropped
from tasks.services import Services
from tasks.unknown_records import pass_over, put_back

log = logging.getLogger(__name__)

Report = dict[str, Any]
"""What a task returns: small, readable in Flower, and without secrets."""


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A step that is this worker's, or the reason why it is not."""

    job: JobRecord | None
    reason: str = ""


@contextmanager
def taking(services: Services, job_id: str, step: str, *, counted_as: str | None) -> Iterator[TakenStep]:
    """The step is this worker's until the context ends, with its lease renewed; or `job` is None.

    `counted_as` is the task whose message this is, for the rate at which its queue drains; None when another step of
    the same message was counted.

    A step that has killed too many workers is handed to a person here, before it can kill another. A job that this
    release does not understand is left as it is.
    """
    before = services.monotonic()
    taken = services.store.due.begin(job_id, step, counted_as)
    if taken.status == "unknown":
        pass_over(job_id, step, taken)
    if not taken.is_taken:
        note_skipped(services, job_id, step, taken)
        yield TakenStep(None, taken.status)
        return
    hold = Hold(subject_id=job_id, step=step, fence=int(taken.fields["fence"]))
    with services.holds.keeping(hold, taken_at=before):
        try:
            job = services.store.jobs.load(job_id)
        except UnknownRecordError as error:
            put_back(services, hold, error)
            yield TakenStep(None, "unknown")
            return
        if job is None or job.step != step:
            yield TakenStep(None, "stale")
        elif is_poisoned(taken.starts):
            conclude(services, job, StepPoisoned(fault=poison_fault(step, taken.starts)))
            yield TakenStep(None, "poison")
        else:
            yield TakenStep(job)


def note_skipped(services: Services, subject_id: str, step: str, taken: Taken) -> None:
    """A step of a job or a delivery that nobody knows was counted among the bad messages; others are as usual."""
    if taken.status != "missing":
        log.debug("step.skipped", extra={"subject_id": subject_id, "step": step, "reason": taken.status})
        return
    beginning = f"{subject_id} {step}"
    message = BadMessage(
        queue=f"sceneshift.{step_kind(step)}",
        reason=Reason.UNKNOWN_JOB,
        size_bytes=len(beginning),
        beginning=beginning,
    )
    note_dropped(services, message, subject_id=subject_id, step=step)


def conclude(services: Services, job: JobRecord, event: Event) -> Report:
    """What the event makes of the job is stored, and what it makes possible is published.

    Raises:
        NotOnDiskError: all that is done, and the job store's disk has not confirmed it.
    """
    unconfirmed: NotOnDiskError | None = None
    try:
        change = services.store.jobs.transition(job, event)
    except NotOnDiskError as error:
        change, unconfirmed = error.change, error
    if change is None:
        return _too_late(services, job, event)
    services.publisher.publish(messages_for_change(change))
    _log_move(job, change)
    if unconfirmed is not None:
        raise unconfirmed
    return report_of(change.after)


def _too_late(services: Services, job: JobRecord, event: Event) -> Report:
    about = {"job_id": job.id, "step": job.step, "event_type": type(event).__name__}
    if not isinstance(event, SubmissionAccepted):
        log.info("event.stale", extra=about)
        return {"skipped": "stale"}
    current = services.store.jobs.load(job.id)
    if current is not None and current.submits < job.submits:
        reminded = remind(services.store, current, reminder(Intent.of(job)))
        if reminded is not None:
            return conclude(services, reminded, event)
    left_behind = current is None or current.nonce != job.nonce
    if services.store.ledger.note_unclaimed(job, event.result_key, left_behind=left_behind):
        # Paid for, and the job was given another course meanwhile: the key must not be lost from sight.
        log.error("submission.unclaimed", extra={**about, "result_key": event.result_key})
    return {"skipped": "stale"}


def _log_move(job: JobRecord, change: Change) -> None:
    after = change.after
    if after.error and after.error.code == DUPLICATE_RESULT_KEY:
        # Two products may be about to get one image: somebody must ask the provider.
        log.error("submission.duplicate_key", extra={"job_id": after.id, "error": after.error.message})
    if change.timeline:
        log.info(
            "job.moved",
            extra={
                "job_id": after.id,
                "sku": after.sku,
                "step": job.step,
                "state_from": str(job.state),
                "state_to": str(after.state),
                "transition": change.timeline[-1][0],
                "code": after.error.code if after.error else None,
            },
        )


def report_of(job: JobRecord) -> Report:
    """A job in the few words that a person reads in Flower."""
    report: Report = {"state": str(job.state), "next": job.step}
    if job.blocked_by:
        report["blocked_by"] = job.blocked_by
    if job.error:
        report["code"] = job.error.code
    return report
