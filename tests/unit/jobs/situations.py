"""Jobs in every situation that a job can be in, and every event; `moves` says what each event makes of each."""

from __future__ import annotations

from typing import Any

from sceneshift.jobs import events
from sceneshift.jobs.events import Event
from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput
from sceneshift.jobs.states import Charge, JobState
from tests.factories import NOW, a_job, an_order, an_output

RESULT_KEY = "6c8d2f2c00a254b1e915d8ade38aacb5"
LATE_KEY = "late-" + RESULT_KEY
NONCE = "00000000-0000-5000-8000-000000000001"
URLS = ("https://result.example/0.png?signature=a", "https://result.example/1.png?signature=b")
LOST = JobFault(code="outcome_unknown", message="the answer was lost", request_id="REQ-1")
POISON = JobFault(code="poison", message="finalize-1 was started 3 times and its worker died each time")
TAKEN = JobFault(code="duplicate_result_key", message="another job has it")
FAULT = JobFault(code="content_rejected", message="not allowed", request_id="REQ-2")
MISSING = MissingOutput(index=1, code="not_delivered", message="fewer images than ordered")

SENT_AT = NOW - 61.0

FINALS = (JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED)


def _job(state: JobState, step: str, **values: Any) -> JobRecord:
    return a_job(state=state, step=step, order=an_order(num_output=2), **values)


def _queued(**values: Any) -> JobRecord:
    return _job(JobState.QUEUED, "submit-1", **values)


def _submitting(**values: Any) -> JobRecord:
    sent: dict[str, Any] = {
        "revision": 1, "nonce": NONCE, "request_hash": "a" * 16, "submits": 1, "intent_at": SENT_AT,
    }  # fmt: skip
    return _job(JobState.SUBMITTING, "submit-1", charge=Charge.UNKNOWN, **sent, **values)


def _held(**values: Any) -> JobRecord:
    defaults: dict[str, Any] = {
        "step": "resolve-1",
        "parent_step": "submit-1",
        "revision": 2,
        "nonce": NONCE,
        "submits": 1,
        "intent_at": SENT_AT,
        "charge": Charge.UNKNOWN,
        "error": LOST,
        "blocked_by": "operator",
        "sequence": 1,
    }
    return _job(**{"state": JobState.NEEDS_ATTENTION, **defaults, **values})


def _held_while_storing(**values: Any) -> JobRecord:
    return _held(
        step="resolve-5",
        parent_step="finalize-1",
        revision=6,
        polls=3,
        result_key=RESULT_KEY,
        charge=Charge.CHARGED,
        submitted_at=NOW - 60.0,
        rendered_at=NOW - 5.0,
        urls=URLS,
        error=POISON,
        **values,
    )


def _rendering(**values: Any) -> JobRecord:
    defaults: dict[str, Any] = {
        "state": JobState.RENDERING,
        "step": "poll-003",
        "parent_step": "poll-002",
        "revision": 4,
        "nonce": NONCE,
        "submits": 1,
        "intent_at": SENT_AT,
        "polls": 2,
        "charge": Charge.CHARGED,
        "result_key": RESULT_KEY,
        "request_id": "REQ-0",
        "submitted_at": NOW - 60.0,
    }
    return _job(**{**defaults, **values})


def _storing(**values: Any) -> JobRecord:
    defaults: dict[str, Any] = {
        "state": JobState.STORING,
        "step": "finalize-1",
        "parent_step": "poll-003",
        "revision": 5,
        "polls": 3,
        "urls": URLS,
        "rendered_at": NOW - 5.0,
    }
    return _rendering(**{**defaults, **values})


def _final(state: JobState, **values: Any) -> JobRecord:
    return _storing(
        state=state, step="done-5", parent_step="finalize-1", urls=(), finished_at=NOW - 1.0, sequence=1, **values
    )


def _ended_unknown(state: JobState = JobState.FAILED, **values: Any) -> JobRecord:
    """A job that was given up although its submission may have been accepted."""
    ended: dict[str, Any] = {
        "step": "done-1", "revision": 2, "error": LOST, "blocked_by": "", "finished_at": NOW - 1.0,
    }  # fmt: skip
    return _held(**{**ended, "state": state, **values})


SITUATIONS: dict[str, JobRecord] = {
    "queued": _queued(),
    "queued after a refusal": _queued(
        revision=2, submits=1, epoch=2, blocked_by="provider_throttled", blocked_until=NOW, nonce=NONCE
    ),
    "queued again by a person": _queued(
        revision=3, submits=1, epoch=2, earlier_charge=Charge.UNKNOWN, charge=Charge.UNKNOWN
    ),
    "queued again, paid before": _queued(
        revision=3, submits=1, epoch=2, earlier_charge=Charge.CHARGED, charge=Charge.CHARGED
    ),
    "queued again, stored before": _queued(
        revision=3, submits=1, epoch=2, earlier_charge=Charge.CHARGED, charge=Charge.CHARGED, rendered_at=NOW - 5.0
    ),
    "queued, to be discarded": _queued(cancel="discard"),
    "submitting": _submitting(),
    "submitting, to be discarded": _submitting(cancel="discard"),
    "submitting, to be kept": _submitting(cancel="keep"),
    "submitting again, paid before": _submitting(epoch=2, earlier_charge=Charge.CHARGED).evolve(charge=Charge.CHARGED),
    "submitting again, stored before, to be discarded": _submitting(
        epoch=2, earlier_charge=Charge.CHARGED, rendered_at=NOW - 5.0, cancel="discard"
    ).evolve(charge=Charge.CHARGED),
    "held, answer lost": _held(),
    "held, answer lost, to be discarded": _held(cancel="discard"),
    "held, answer lost, to be kept": _held(cancel="keep"),
    "held again, paid before": _held(epoch=2, earlier_charge=Charge.CHARGED, charge=Charge.CHARGED),
    "held, nothing sent": _held(
        step="resolve-0",
        revision=1,
        nonce="",
        submits=0,
        intent_at=None,
        charge=Charge.NOT_CHARGED,
        error=POISON,
    ),
    "held, poison": _held_while_storing(),
    "held, poison, to be kept": _held_while_storing(cancel="keep"),
    "held, poison, to be discarded": _held_while_storing(cancel="discard"),
    "rendering": _rendering(),
    "rendering, to be kept": _rendering(cancel="keep"),
    "rendering, overdue": _rendering(overdue=True, sequence=1),
    "storing": _storing(),
    "storing, to be kept": _storing(cancel="keep"),
    "storing, to be discarded": _storing(cancel="discard"),
    "storing, one stored": _storing(outputs=(an_output(0),), store_attempts=1),
    **{str(state): _final(state) for state in FINALS},
    "failed, answer lost": _ended_unknown(),
    "failed, answer lost, paid before": _ended_unknown(epoch=2, earlier_charge=Charge.CHARGED, charge=Charge.CHARGED),
    "failed, refused": _ended_unknown(error=FAULT, intent_at=None, charge=Charge.NOT_CHARGED),
    "cancelled, answer lost": _ended_unknown(JobState.CANCELLED, cancel="discard"),
}

EVENTS: dict[str, Event] = {
    "intent": events.IntentStored(nonce=NONCE, request_hash="b" * 64),
    "accepted": events.SubmissionAccepted(result_key=LATE_KEY, request_id="REQ-3", first_poll_in_seconds=4.0),
    "delayed": events.SubmissionDelayed(blocked_by="provider_throttled", retry_in_seconds=30.0, new_epoch=True),
    "probe": events.ProbeStarted(),
    "lost": events.SubmissionLost(fault=LOST, by="policy hold"),
    "lost, fail": events.SubmissionLost(fault=LOST, then="fail", by="policy fail"),
    "lost, resubmit": events.SubmissionLost(
        fault=LOST, then="resubmit", by="policy resubmit(1, 20)", retry_in_seconds=10.0
    ),
    "lost, probe": events.SubmissionLost(fault=LOST, then="probe", by="policy probe", retry_in_seconds=20.0),
    "forgotten": events.SubmissionForgotten(fault=LOST, epoch=4, nonce="forgotten", submits=3, intent_at=NOW - 9.0),
    "key taken": events.ResultKeyTaken(fault=TAKEN),
    "refused": events.JobRefused(fault=FAULT),
    "poll later": events.PollScheduled(poll_in_seconds=6.0),
    "poll later, overdue": events.PollScheduled(poll_in_seconds=600.0, overdue=True),
    "results": events.ResultsReady(urls=URLS),
    "rendering failed": events.RenderingFailed(fault=FAULT),
    "storing delayed": events.StoringDelayed(
        outputs=(an_output(0),), urls=URLS, fault=JobFault(code="s3_error", message="slow down"), retry_in_seconds=2.0
    ),
    "all stored": events.ImagesStored(outputs=(an_output(0), an_output(1)), missing=()),
    "some stored": events.ImagesStored(outputs=(an_output(0),), missing=(MISSING,)),
    "none stored": events.ImagesStored(outputs=(), missing=(MISSING,)),
    "poisoned": events.StepPoisoned(fault=POISON),
    "cancel": events.CancelRequested(keep_result=False),
    "cancel, keep": events.CancelRequested(keep_result=True),
    "attach": events.Resolved(action="attach", by="ann", result_key=LATE_KEY),
    "resubmit": events.Resolved(action="resubmit", by="ann"),
    "give up": events.Resolved(action="fail", by="ann"),
    "retry the query": events.Retried(by="ann", from_submit=False),
    "retry the submission": events.Retried(by="ann", from_submit=True),
    "refund": events.Refunded(by="ann", why="invoice 7"),
}
