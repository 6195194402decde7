"""The ledger's lines as decisions: whatever happens to a job, each of its submissions stands in one line."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sceneshift.jobs.change import Change, StaleEventError
from sceneshift.jobs.ledger import day_of
from sceneshift.jobs.states import Charge
from sceneshift.jobs.transitions import advance
from tests.factories import NOW
from tests.unit.jobs.bookkeeping import WALK_EVENTS, Book, possible
from tests.unit.jobs.situations import EVENTS, LOST, SITUATIONS


def count_moves(change: Change, lines: Counter[tuple[Charge, str]]) -> None:
    for move in change.ledger:
        lines[move.line.charge, move.line.state] += move.count


@given(st.lists(st.integers(min_value=0, max_value=10_000), max_size=25))
@settings(max_examples=300, deadline=None)
def test_each_submission_stands_in_one_line_after_any_walk(choices: list[int]) -> None:
    """The lines are those that a book kept by hand has: none is lost, none counted twice, and no cost forgotten."""
    job, book, lines = SITUATIONS["queued"], Book(), Counter[tuple[Charge, str]]()
    for choice in choices:
        changes = possible(job, NOW)
        if not changes:
            break
        name = sorted(changes)[choice % len(changes)]
        count_moves(changes[name], lines)
        job = changes[name].after
        book.note(name, job)
        assert {line: count for line, count in lines.items() if count} == book.lines(job), name


def test_a_walk_that_meets_everything_is_booked() -> None:
    """Sent, lost, resubmitted, lost, held, resubmitted by a person, throttled, not sent, accepted, failed, refunded."""
    job, lines = SITUATIONS["queued"], Counter[tuple[Charge, str]]()
    walk = (
        "intent", "lost, resubmit", "intent", "lost", "resubmit", "intent", "delayed", "intent", "not sent", "intent",
        "accepted", "rendering failed", "retry the submission", "intent", "accepted", "rendering failed", "refund",
    )  # fmt: skip
    for name in walk:
        change = advance(job, WALK_EVENTS[name], NOW)
        count_moves(change, lines)
        job = change.after
    assert {line: count for line, count in lines.items() if count} == {
        (Charge.UNKNOWN, "superseded"): 2,
        (Charge.NOT_CHARGED, "refused"): 1,
        (Charge.NOT_CHARGED, "not_sent"): 1,
        (Charge.CHARGED, "superseded"): 1,
        (Charge.REFUNDED_BY_HAND, "failed"): 1,
    }


def test_a_late_acceptance_moves_the_line_of_a_job_that_was_given_up() -> None:
    """The job stays failed, and its submission is unknown no more; an earlier, paid one changes nothing of that."""
    for name in ("failed, answer lost", "failed, answer lost, paid before"):
        change = advance(SITUATIONS[name], EVENTS["accepted"], NOW)
        assert [(move.line.charge, move.line.state, move.count) for move in change.ledger] == [
            (Charge.UNKNOWN, "failed", -1),
            (Charge.CHARGED, "failed", 1),
        ]


def test_a_line_stays_on_the_day_of_its_intent() -> None:
    """A submission of one evening that is accepted the next morning moves within the first day."""
    sent = advance(SITUATIONS["queued"], EVENTS["intent"], NOW - 1.0).after
    moved = advance(sent, EVENTS["accepted"], NOW + 30.0)
    assert {move.line.day for move in moved.ledger} == {day_of(NOW - 1.0)} == {"2026-11-22"}


@pytest.mark.parametrize(
    ("situation", "event", "action", "by", "why", "images", "charge"),
    [
        ("submitting", "lost", "hold", "policy hold", LOST.message, 0, Charge.UNKNOWN),
        ("submitting", "lost, fail", "fail", "policy fail", LOST.message, 0, Charge.UNKNOWN),
        ("submitting", "lost, resubmit", "resubmit", "policy resubmit(1, 20)", LOST.message, 2, Charge.UNKNOWN),
        ("submitting", "lost, probe", "probe", "policy probe", LOST.message, 0, Charge.UNKNOWN),
        ("held, answer lost", "attach", "attach", "ann", "", 0, Charge.CHARGED),
        ("held, answer lost", "resubmit", "resubmit", "ann", "", 2, Charge.UNKNOWN),
        ("held, answer lost", "give up", "fail", "ann", "", 0, Charge.UNKNOWN),
        ("failed", "retry the query", "retry_query", "ann", "", 0, Charge.CHARGED),
        ("failed", "retry the submission", "retry_submit", "ann", "", 2, Charge.CHARGED),
        ("succeeded", "refund", "refund", "ann", "invoice 7", 0, Charge.REFUNDED_BY_HAND),
    ],
)
def test_every_decision_about_money_is_remembered(  # noqa: PLR0917  # the columns of a table
    situation: str, event: str, action: str, by: str, why: str, images: int, charge: Charge
) -> None:
    """Who decided what, why, for which job, and how many images it may cost."""
    job = SITUATIONS[situation]
    decision = advance(job, EVENTS[event], NOW).decision
    assert decision is not None
    assert (decision.action, decision.by, decision.why, decision.images) == (action, by, why, images)
    assert (decision.job_id, decision.at, decision.charge) == (job.id, NOW, charge)


@pytest.mark.parametrize("event", ["intent", "delayed", "refused", "cancel"])
def test_what_is_no_decision_is_not_remembered_as_one(event: str) -> None:
    """The list of decisions is for people who ask why money was spent."""
    assert advance(SITUATIONS["queued"], EVENTS[event], NOW).decision is None


def test_attaching_its_key_does_not_undo_a_refund() -> None:
    """A failed job was refunded, asked about once more, and held: what was given back stays given back."""
    job = SITUATIONS["failed"]
    for event in ("refund", "retry the query", "poisoned", "attach"):
        job = advance(job, EVENTS[event], NOW).after
    assert job.charge is Charge.REFUNDED_BY_HAND


def test_what_an_earlier_submission_cost_cannot_be_noted_as_refunded() -> None:
    """The record of a job that went on without it does not say which it was, and its line would stay as it is."""
    sent = SITUATIONS["submitting again, paid before"]
    refused = advance(sent, EVENTS["refused"], NOW).after
    assert refused.charge is Charge.CHARGED
    with pytest.raises(StaleEventError):
        advance(refused, EVENTS["refund"], NOW)


@pytest.mark.parametrize("situation", ["queued", "failed, refused"])
def test_what_cost_nothing_cannot_be_refunded(situation: str) -> None:
    """Neither before the end nor without a charge."""
    with pytest.raises(StaleEventError):
        advance(SITUATIONS[situation], EVENTS["refund"], NOW)
