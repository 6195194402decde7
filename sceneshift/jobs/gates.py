"""What stops a job before it is submitted, and until when: each gate's words, and the wait that it means."""

from __future__ import annotations

from sceneshift.identifiers import step_number
from sceneshift.jobs import events
from sceneshift.jobs.pauses import submit_backoff_seconds
from sceneshift.jobs.record import JobRecord

SLOT_RETRY_MAX_SECONDS = 20.0
"""When all slots are taken nobody can say until when: a job that waits for one looks again so often at the least."""
PERMIT_EARLY_SECONDS = 0.02
"""What lies nearer than this is now: waiting for it would take longer."""
PERMIT_SECONDS = 10.0
"""A moment that was reserved for a submission is good for so long; whoever oversleeps it takes another."""

LOOKS_APART_STEPS = 30

SUBMIT_RATE = "submit_rate"
IN_FLIGHT = "in_flight"
"""What stops a job at our own limits, as `blocked_by`."""


def has_fit_sources(job: JobRecord) -> bool:
    """Whether the job's sources were looked at and only something else has put it off since.

    URLs expire, so after every thirty such delays they are looked at again.
    """
    passed_the_look = job.blocked_by in {SUBMIT_RATE, IN_FLIGHT} or job.blocked_by.startswith("provider_")
    return passed_the_look and step_number(job.step) % LOOKS_APART_STEPS != 0


def holds_permit(job: JobRecord, now: float) -> bool:
    """Whether the job has waited for a moment that was reserved for it, and that is now."""
    if job.blocked_by != SUBMIT_RATE or job.blocked_until is None:
        return False
    return job.blocked_until <= now + PERMIT_EARLY_SECONDS and now <= job.blocked_until + PERMIT_SECONDS


def without_permit(job: JobRecord, moment: float | None, now: float) -> events.SubmissionDelayed | None:
    """The wait for the moment that was reserved for a submission, None when that is now; or for a slot, without one."""
    if moment is None:
        return slot_delay(job)
    if moment <= now + PERMIT_EARLY_SECONDS:
        return None
    return events.SubmissionDelayed(blocked_by=SUBMIT_RATE, retry_in_seconds=moment - now, new_epoch=False, strike=None)


def slot_delay(job: JobRecord) -> events.SubmissionDelayed:
    """Another look for a slot, later."""
    pause = min(SLOT_RETRY_MAX_SECONDS, submit_backoff_seconds(job))
    return events.SubmissionDelayed(blocked_by=IN_FLIGHT, retry_in_seconds=pause, new_epoch=False, strike=None)
