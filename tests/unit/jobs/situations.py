"""Jobs in every situation that a job can be in, every event, and what each event makes of each: one table.

The table is written by hand from the design, not made from the code: the transitions, the script and the store are
each tested against it. What is not in it must be refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
FAULT = JobFault(code="content_rejected", message="not allowed", request_id="REQ-2")
MISSING = MissingOutput(index=1, code="not_delivered", message="fewer images than ordered")

FINALS = (JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED)


def _job(state: JobState, step: str, **values: Any) -> JobRecord:
    return a_job(state=state, step=step, order=an_order(num_output=2), **values)


def _queued(**values: Any) -> JobRecord:
    return _job(JobState.QUEUED, "submit-1", **values)


def _submitting(**values: Any) -> JobRecord:
    sent: dict[str, Any] = {"revision": 1, "nonce": NONCE, "request_hash": "a" * 16, "submits": 1}
    return _job(JobState.SUBMITTING, "submit-1", charge=Charge.UNKNOWN, **sent, **values)


def _held(**values: Any) -> JobRecord:
    defaults: dict[str, Any] = {
        "step": "resolve-1",
        "parent_step": "submit-1",
        "revision": 2,
        "nonce": NONCE,
        "submits": 1,
        "charge": Charge.UNKNOWN,
        "error": LOST,
        "blocked_by": "operator",
        "sequence": 1,
    }
    return _job(JobState.NEEDS_ATTENTION, **{**defaults, **values})


def _held_while_storing(**values: Any) -> JobRecord:
    return _held(
        step="resolve-5",
        parent_step="finalize-1",
        revision=6,
        polls=3,
        result_key=RESULT_KEY,
        charge=Charge.CHARGED,
        submitted_at=NOW - 60.0,
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
    "submitting": _submitting(),
    "submitting, to be discarded": _submitting(cancel="discard"),
    "submitting, to be kept": _submitting(cancel="keep"),
    "submitting again, paid before": _submitting(epoch=2, earlier_charge=Charge.CHARGED).evolve(charge=Charge.CHARGED),
    "held, answer lost": _held(),
    "held, answer lost, to be discarded": _held(cancel="discard"),
    "held, answer lost, to be kept": _held(cancel="keep"),
    "held again, paid before": _held(epoch=2, earlier_charge=Charge.CHARGED, charge=Charge.CHARGED),
    "held, nothing sent": _held(
        step="resolve-0", revision=1, nonce="", submits=0, charge=Charge.NOT_CHARGED, error=POISON
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
}

EVENTS: dict[str, Event] = {
    "intent": events.IntentStored(nonce=NONCE, request_hash="b" * 64),
    "accepted": events.SubmissionAccepted(result_key=LATE_KEY, request_id="REQ-3", first_poll_in_seconds=4.0),
    "delayed": events.SubmissionDelayed(blocked_by="provider_throttled", retry_in_seconds=30.0, new_epoch=True),
    "lost": events.SubmissionLost(fault=LOST),
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
}

KEPT = object()
"""The running step keeps the due time that it has."""
NEVER = math.inf

Due = Any
"""Seconds from now, `None` for no entry, `NEVER` for a job that waits for a person, or `KEPT`."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one event makes of a job in one situation."""

    situation: str
    event: str
    to: JobState
    step: str
    due: Due
    timeline: str | None
    webhook: str | None = None
    charge: Charge = Charge.CHARGED
    publish: bool = False

    @property
    def name(self) -> str:
        return f"{self.situation} / {self.event}"

    @property
    def job(self) -> JobRecord:
        return SITUATIONS[self.situation]


FREE, PAID, UNKNOWN = Charge.NOT_CHARGED, Charge.CHARGED, Charge.UNKNOWN
QUEUED, SUBMITTING, HELD = JobState.QUEUED, JobState.SUBMITTING, JobState.NEEDS_ATTENTION
RENDERING, STORING = JobState.RENDERING, JobState.STORING
SUCCEEDED, PARTIAL, FAILED, CANCELLED = FINALS
ATTENTION = "job.needs_attention"


def _ends(  # noqa: PLR0917  # the columns of a table
    situation: str, event: str, to: JobState, revision: int, webhook: str, charge: Charge = Charge.CHARGED
) -> Row:
    return Row(situation, event, to, f"done-{revision}", None, str(to), webhook, charge)


def _queued_rows(situation: str, revision: int, charge: Charge) -> list[Row]:
    return [
        Row(
            situation, "intent", SUBMITTING, "submit-1", KEPT, "submitting", charge=PAID if charge is PAID else UNKNOWN
        ),
        Row(situation, "delayed", QUEUED, "submit-2", 30.0, "submission_delayed", charge=charge),
        _ends(situation, "refused", FAILED, revision, "job.failed", charge),
        Row(situation, "poisoned", HELD, f"resolve-{revision}", NEVER, "needs_attention", ATTENTION, charge),
        _ends(situation, "cancel", CANCELLED, revision, "job.cancelled", charge),
        _ends(situation, "cancel, keep", CANCELLED, revision, "job.cancelled", charge),
    ]


def _sent_rows(situation: str, *, earlier: Charge = FREE) -> list[Row]:
    charge = PAID if earlier is PAID else UNKNOWN
    return [
        *_answer_rows(situation, "submit-2", 1, earlier),
        Row(situation, "lost", HELD, "resolve-1", NEVER, "needs_attention", ATTENTION, charge),
        Row(situation, "poisoned", HELD, "resolve-1", NEVER, "needs_attention", ATTENTION, charge),
    ]


def _answer_rows(situation: str, again: str, revision: int, earlier: Charge = FREE) -> list[Row]:
    """What an answer means to a job that waits for it, or was held because it seemed to be lost."""
    wish = SITUATIONS[situation].cancel
    kept = Row(situation, "accepted", RENDERING, "poll-001", 4.0, "accepted")
    dropped = _ends(situation, "accepted", CANCELLED, revision, "job.cancelled")
    if wish:
        return [
            dropped if wish == "discard" else kept,
            _ends(situation, "delayed", CANCELLED, revision, "job.cancelled", earlier),
            _ends(situation, "refused", CANCELLED, revision, "job.cancelled", earlier),
        ]
    return [
        kept,
        Row(situation, "delayed", QUEUED, again, 30.0, "submission_delayed", charge=earlier),
        _ends(situation, "refused", FAILED, revision, "job.failed", earlier),
    ]


def _resolution_rows(situation: str) -> list[Row]:
    """What a person may make of a held job."""
    job = SITUATIONS[situation]
    number, ended = job.revision + 1, job.revision
    if job.cancel:
        resubmitted = _ends(situation, "resubmit", CANCELLED, ended, "job.cancelled", job.charge)
        given_up = _ends(situation, "give up", CANCELLED, ended, "job.cancelled", job.charge)
    else:
        resubmitted = Row(
            situation, "resubmit", QUEUED, f"submit-{number}", 0.0, "resolved", charge=job.charge, publish=True
        )
        given_up = _ends(situation, "give up", FAILED, ended, "job.failed", job.charge)
    if job.cancel == "discard":
        attached = _ends(situation, "attach", CANCELLED, ended, "job.cancelled")
    else:
        attached = Row(situation, "attach", RENDERING, f"poll-{number:03d}", 0.0, "resolved", publish=True)
    return [attached, resubmitted, given_up]


def _wish_rows(situation: str, state: JobState, step: str, charge: Charge, *wishes: str) -> list[Row]:
    return [Row(situation, wish, state, step, KEPT, "cancel_requested", charge=charge) for wish in wishes]


def _rendering_rows(situation: str) -> list[Row]:
    overdue = situation.endswith("overdue")
    return [
        Row(situation, "poll later", RENDERING, "poll-004", 6.0, None),
        Row(
            situation,
            "poll later, overdue",
            RENDERING,
            "poll-004",
            600.0,
            None if overdue else "overdue",
            None if overdue else "job.overdue",
        ),
        Row(situation, "results", STORING, "finalize-1", 0.0, "rendered", publish=True),
        _ends(situation, "rendering failed", FAILED, 4, "job.failed"),
        Row(situation, "poisoned", HELD, "resolve-4", NEVER, "needs_attention", ATTENTION),
    ]


def _storing_rows(situation: str) -> list[Row]:
    wanted = not SITUATIONS[situation].cancel

    def end(event: str, state: JobState, webhook: str) -> Row:
        return _ends(situation, event, state if wanted else CANCELLED, 5, webhook if wanted else "job.cancelled")

    return [
        Row(situation, "storing delayed", STORING, "finalize-2", 2.0, "storing_delayed"),
        end("all stored", SUCCEEDED, "job.completed"),
        end("some stored", PARTIAL, "job.completed"),
        end("none stored", FAILED, "job.failed"),
        _ends(situation, "rendering failed", FAILED, 5, "job.failed"),
        Row(situation, "poisoned", HELD, "resolve-5", NEVER, "needs_attention", ATTENTION),
    ]


TABLE: tuple[Row, ...] = (
    *_queued_rows("queued", 0, FREE),
    *_queued_rows("queued after a refusal", 2, FREE),
    *_queued_rows("queued again by a person", 3, UNKNOWN),
    *_queued_rows("queued again, paid before", 3, PAID),
    *_sent_rows("submitting"),
    *_wish_rows("submitting", SUBMITTING, "submit-1", UNKNOWN, "cancel", "cancel, keep"),
    *_sent_rows("submitting, to be discarded"),
    *_sent_rows("submitting, to be kept"),
    *_sent_rows("submitting again, paid before", earlier=PAID),
    *_wish_rows("submitting again, paid before", SUBMITTING, "submit-1", PAID, "cancel", "cancel, keep"),
    *_answer_rows("held, answer lost", "submit-3", 2),
    *_resolution_rows("held, answer lost"),
    *_wish_rows("held, answer lost", HELD, "resolve-1", UNKNOWN, "cancel", "cancel, keep"),
    *_answer_rows("held, answer lost, to be discarded", "", 2),
    *_resolution_rows("held, answer lost, to be discarded"),
    *_answer_rows("held, answer lost, to be kept", "", 2),
    *_resolution_rows("held, answer lost, to be kept"),
    *_answer_rows("held again, paid before", "submit-3", 2, PAID),
    *_resolution_rows("held again, paid before"),
    _ends("held again, paid before", "cancel", CANCELLED, 2, "job.cancelled"),
    *_wish_rows("held again, paid before", HELD, "resolve-1", PAID, "cancel, keep"),
    *_resolution_rows("held, nothing sent"),
    _ends("held, nothing sent", "cancel", CANCELLED, 1, "job.cancelled", FREE),
    _ends("held, nothing sent", "cancel, keep", CANCELLED, 1, "job.cancelled", FREE),
    *_resolution_rows("held, poison"),
    _ends("held, poison", "cancel", CANCELLED, 6, "job.cancelled"),
    *_wish_rows("held, poison", HELD, "resolve-5", PAID, "cancel, keep"),
    *_resolution_rows("held, poison, to be kept"),
    *_resolution_rows("held, poison, to be discarded"),
    *_rendering_rows("rendering"),
    _ends("rendering", "cancel", CANCELLED, 4, "job.cancelled"),
    *_wish_rows("rendering", RENDERING, "poll-003", PAID, "cancel, keep"),
    *_rendering_rows("rendering, to be kept"),
    *_rendering_rows("rendering, overdue"),
    _ends("rendering, overdue", "cancel", CANCELLED, 4, "job.cancelled"),
    *_wish_rows("rendering, overdue", RENDERING, "poll-003", PAID, "cancel, keep"),
    *_storing_rows("storing"),
    *_wish_rows("storing", STORING, "finalize-1", PAID, "cancel", "cancel, keep"),
    *_storing_rows("storing, to be kept"),
    *_storing_rows("storing, to be discarded"),
    *_storing_rows("storing, one stored"),
    *_wish_rows("storing, one stored", STORING, "finalize-1", PAID, "cancel", "cancel, keep"),
)

ACCEPTED_PAIRS = frozenset((row.situation, row.event) for row in TABLE)
REFUSED_PAIRS = tuple(
    (situation, event) for situation in SITUATIONS for event in EVENTS if (situation, event) not in ACCEPTED_PAIRS
)
