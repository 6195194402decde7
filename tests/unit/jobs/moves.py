"""What each event makes of a job in each situation: one table.

It is written by hand from the design, not made from the code: the transitions, the script and the store are each
tested against it. What is not in it must be refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from tests.unit.jobs.situations import EVENTS, FINALS, SITUATIONS

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


FREE, PAID, UNKNOWN, REFUNDED = Charge.NOT_CHARGED, Charge.CHARGED, Charge.UNKNOWN, Charge.REFUNDED_BY_HAND
QUEUED, SUBMITTING, HELD = JobState.QUEUED, JobState.SUBMITTING, JobState.NEEDS_ATTENTION
RENDERING, STORING = JobState.RENDERING, JobState.STORING
SUCCEEDED, PARTIAL, FAILED, CANCELLED = FINALS
ATTENTION = "job.needs_attention"


def _ends(  # noqa: PLR0917  # the columns of a table
    situation: str, event: str, to: JobState, revision: int, webhook: str, charge: Charge = Charge.CHARGED
) -> Row:
    return Row(situation, event, to, f"done-{revision}", None, str(to), webhook, charge)


def _dropped(situation: str, event: str, charge: Charge = Charge.CHARGED) -> Row:
    """Images may be in the bucket: the step that removes them comes before the end."""
    number = SITUATIONS[situation].revision + 1
    return Row(situation, event, STORING, f"finalize-{number}", 0.0, "cancel_requested", charge=charge, publish=True)


def _queued_rows(situation: str, revision: int, charge: Charge) -> list[Row]:
    return [
        Row(
            situation, "intent", SUBMITTING, "submit-1", KEPT, "submitting", charge=PAID if charge is PAID else UNKNOWN
        ),
        Row(situation, "delayed", QUEUED, "submit-2", 30.0, "submission_delayed", charge=charge),
        _ends(situation, "refused", FAILED, revision, "job.failed", charge),
        Row(situation, "poisoned", HELD, f"resolve-{revision}", NEVER, "needs_attention", ATTENTION, charge),
        _ends(situation, "cancel", CANCELLED, revision, "job.cancelled", charge)
        if SITUATIONS[situation].rendered_at is None
        else _dropped(situation, "cancel", charge),
        _ends(situation, "cancel, keep", CANCELLED, revision, "job.cancelled", charge),
        _held_row(situation, "forgotten", revision, PAID if charge is PAID else UNKNOWN),
    ]


def _unwanted_rows(situation: str) -> list[Row]:
    """What becomes of a queued job whose owner has given it up: it ends with whatever comes, and is never sent."""
    ends = ("delayed", "refused", "cancel", "cancel, keep")
    return [
        *(_ends(situation, event, CANCELLED, 0, "job.cancelled", FREE) for event in ends),
        _held_row(situation, "poisoned", 0, FREE),
        _held_row(situation, "forgotten", 0, UNKNOWN),
    ]


def _held_row(situation: str, event: str, revision: int, charge: Charge) -> Row:
    return Row(situation, event, HELD, f"resolve-{revision}", NEVER, "needs_attention", ATTENTION, charge)


def _sent_rows(situation: str, *, earlier: Charge = FREE) -> list[Row]:
    charge = PAID if earlier is PAID else UNKNOWN
    return [
        *_answer_rows(situation, "submit-2", 1, earlier),
        *_policy_rows(situation, charge),
        *_probe_rows(situation, charge),
        *(_held_row(situation, event, 1, charge) for event in ("lost", "poisoned", "forgotten", "key taken")),
    ]


def _probe_rows(situation: str, charge: Charge) -> list[Row]:
    """A probe is sent for no job that its owner has given up: it could be accepted only now."""
    if SITUATIONS[situation].cancel:
        return []
    return [Row(situation, "probe", SUBMITTING, "submit-1", KEPT, "probing", charge=charge)]


def _policy_rows(situation: str, charge: Charge) -> list[Row]:
    """What the policy's decisions make of a lost answer; what its owner gave up is never sent again."""
    job = SITUATIONS[situation]
    if job.cancel:
        stored = job.cancel == "discard" and job.rendered_at is not None
        return [
            _dropped(situation, "lost, fail", charge)
            if stored
            else _ends(situation, "lost, fail", CANCELLED, 1, "job.cancelled", charge),
            *(_held_row(situation, event, 1, charge) for event in ("lost, resubmit", "lost, probe")),
        ]
    return [
        _ends(situation, "lost, fail", FAILED, 1, "job.failed", charge),
        Row(situation, "lost, resubmit", QUEUED, "submit-2", 10.0, "resubmitted", charge=charge),
        Row(situation, "lost, probe", SUBMITTING, "submit-2", 20.0, "probe_planned", charge=charge),
    ]


def _answer_rows(situation: str, again: str, revision: int, earlier: Charge = FREE) -> list[Row]:
    """What an answer means to a job that waits for it, or was held because it seemed to be lost."""
    wish = SITUATIONS[situation].cancel
    kept = Row(situation, "accepted", RENDERING, "poll-001", 4.0, "accepted")
    dropped = _ends(situation, "accepted", CANCELLED, revision, "job.cancelled")
    if wish == "discard" and SITUATIONS[situation].rendered_at is not None:
        return [_dropped(situation, event) for event in ("accepted", "delayed", "refused")]
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
    if job.cancel == "discard" and job.rendered_at is not None:
        return [_dropped(situation, event) for event in ("attach", "resubmit", "give up")]
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


def _ended_rows(situation: str, *events: str) -> list[Row]:
    """What may still be noted of a job that has ended, and what a person may have it do again."""
    job = SITUATIONS[situation]
    number = job.revision + 1
    rows = {
        "refund": Row(situation, "refund", job.state, job.step, None, "refunded", charge=REFUNDED),
        "accepted": Row(situation, "accepted", job.state, job.step, None, "accepted_too_late"),
        "retry the query": Row(
            situation,
            "retry the query",
            RENDERING,
            f"poll-{number:03d}",
            0.0,
            "retried",
            charge=job.charge,
            publish=True,
        ),
        "retry the submission": Row(
            situation,
            "retry the submission",
            QUEUED,
            f"submit-{number}",
            0.0,
            "retried",
            charge=job.charge,
            publish=True,
        ),
    }
    return [rows[event] for event in events]


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
    *_queued_rows("queued again, stored before", 3, PAID),
    *_unwanted_rows("queued, to be discarded"),
    *_sent_rows("submitting"),
    *_wish_rows("submitting", SUBMITTING, "submit-1", UNKNOWN, "cancel", "cancel, keep"),
    *_sent_rows("submitting, to be discarded"),
    *_sent_rows("submitting, to be kept"),
    *_sent_rows("submitting again, paid before", earlier=PAID),
    *_wish_rows("submitting again, paid before", SUBMITTING, "submit-1", PAID, "cancel", "cancel, keep"),
    *_sent_rows("submitting again, stored before, to be discarded", earlier=PAID),
    *_answer_rows("held, answer lost", "submit-3", 2),
    *_resolution_rows("held, answer lost"),
    _held_row("held, answer lost", "key taken", 2, UNKNOWN),
    *_wish_rows("held, answer lost", HELD, "resolve-1", UNKNOWN, "cancel", "cancel, keep"),
    *_answer_rows("held, answer lost, to be discarded", "", 2),
    *_resolution_rows("held, answer lost, to be discarded"),
    _held_row("held, answer lost, to be discarded", "key taken", 2, UNKNOWN),
    *_answer_rows("held, answer lost, to be kept", "", 2),
    *_resolution_rows("held, answer lost, to be kept"),
    _held_row("held, answer lost, to be kept", "key taken", 2, UNKNOWN),
    *_answer_rows("held again, paid before", "submit-3", 2, PAID),
    *_resolution_rows("held again, paid before"),
    _held_row("held again, paid before", "key taken", 2, PAID),
    _ends("held again, paid before", "cancel", CANCELLED, 2, "job.cancelled"),
    *_wish_rows("held again, paid before", HELD, "resolve-1", PAID, "cancel, keep"),
    *_resolution_rows("held, nothing sent"),
    _ends("held, nothing sent", "cancel", CANCELLED, 1, "job.cancelled", FREE),
    _ends("held, nothing sent", "cancel, keep", CANCELLED, 1, "job.cancelled", FREE),
    *_resolution_rows("held, poison"),
    _dropped("held, poison", "cancel"),
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
    *(row for state in (SUCCEEDED, PARTIAL, CANCELLED) for row in _ended_rows(str(state), "refund")),
    *_ended_rows("failed", "refund", "retry the query", "retry the submission"),
    *_ended_rows("failed, answer lost", "accepted", "refund", "retry the submission"),
    *_ended_rows("failed, answer lost, paid before", "accepted", "refund", "retry the submission"),
    *_ended_rows("failed, refused", "retry the submission"),
    *_ended_rows("cancelled, answer lost", "accepted", "refund"),
)

ACCEPTED_PAIRS = frozenset((row.situation, row.event) for row in TABLE)
REFUSED_PAIRS = tuple(
    (situation, event) for situation in SITUATIONS for event in EVENTS if (situation, event) not in ACCEPTED_PAIRS
)
