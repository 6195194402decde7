"""How a job moves: every event in every situation, against one table, with all that it writes."""

from __future__ import annotations

import math

import pytest

from sceneshift.identifiers import delivery_id, event_id
from sceneshift.jobs import events
from sceneshift.jobs.change import Change, StaleEventError
from sceneshift.jobs.record import JobFault
from sceneshift.jobs.states import TRANSITIONS, Charge, JobState
from sceneshift.jobs.transitions import advance
from tests.factories import NOW, a_job, an_order, an_output
from tests.unit.jobs.moves import KEPT, REFUSED_PAIRS, TABLE, Row
from tests.unit.jobs.situations import (
    EVENTS,
    FAULT,
    LATE_KEY,
    LOST,
    MISSING,
    NONCE,
    SITUATIONS,
    URLS,
)

every_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def change_of(row: Row) -> Change:
    return advance(row.job, EVENTS[row.event], NOW)


def put(situation: str, event: str) -> Change:
    return advance(SITUATIONS[situation], EVENTS[event], NOW)


def test_the_rows_walk_every_allowed_move_and_no_other() -> None:
    """Each move of the published table is made by some event, and no event makes another."""
    walked = {(row.job.state, row.to) for row in TABLE}
    assert walked == {(start, end) for start, ends in TRANSITIONS.items() for end in ends}


def test_exactly_four_states_are_final() -> None:
    """What is final stays so, but for a failed job that a person retries."""
    finals = {state for state in JobState if state.is_final}
    assert finals == {"succeeded", "partial", "failed", "cancelled"}
    assert {state: TRANSITIONS[state] - {state} for state in finals} == {
        "succeeded": set(), "partial": set(), "cancelled": set(), "failed": {"queued", "rendering"},
    }  # fmt: skip


@every_row
def test_an_event_moves_the_job_as_the_table_says(row: Row) -> None:
    """State, next step and charge are those of the table."""
    after = change_of(row).after
    assert (after.state, after.step, after.charge) == (row.to, row.step, row.charge)


@every_row
def test_an_event_sets_the_due_time_of_the_table(row: Row) -> None:
    """A job that goes on has its due time, a final one has none, and one that waits for a person is due never."""
    change = change_of(row)
    if row.due is KEPT:
        assert change.keep_due
    else:
        assert not change.keep_due
        assert change.due_at == (None if row.due is None else NOW + row.due)
    assert (change.due_at is None) is row.to.is_final
    assert change.publish is row.publish


@every_row
def test_an_event_is_told_once_in_the_timeline(row: Row) -> None:
    """One entry per event under its documented name, and none for an ordinary poll."""
    assert [name for name, _about in change_of(row).timeline] == ([] if row.timeline is None else [row.timeline])


@every_row
def test_an_event_of_interest_is_one_webhook(row: Row) -> None:
    """The webhook of the table, numbered after the last one, with ids that the job and the number give."""
    change = change_of(row)
    if row.webhook is None:
        assert (change.deliveries, change.after.sequence) == ((), row.job.sequence)
        return
    (draft,) = change.deliveries
    number = row.job.sequence + 1
    assert (draft.type, draft.sequence, change.after.sequence) == (row.webhook, number, number)
    assert (draft.id, draft.event_id) == (delivery_id(row.job.id, number), event_id(row.job.id, number))
    assert (draft.state, draft.occurred_at, draft.error) == (row.to, NOW, change.after.error)


@every_row
def test_an_event_counts_the_revision_and_keeps_what_it_does_not_concern(row: Row) -> None:
    """Every change is one revision; the order and the age of a job never change, its deadline only by a retry."""
    before, after = row.job, change_of(row).after
    assert after.revision == before.revision + 1
    unchanged = ["id", "order", "created_at", "version", "unknown_fields", "fence", "begun", "starts"]
    if not isinstance(EVENTS[row.event], events.Retried):
        unchanged.append("deadline_at")
    assert [getattr(after, name) for name in unchanged] == [getattr(before, name) for name in unchanged]


@every_row
def test_a_step_remembers_the_one_before_it(row: Row) -> None:
    """A new step's parent is the step that made it possible; a mark leaves both alone."""
    before, after = row.job, change_of(row).after
    expected = before.parent_step if row.step == before.step else before.step
    assert after.parent_step == expected


@every_row
def test_a_final_job_waits_for_nothing(row: Row) -> None:
    """The end has its time, and what the job waited for and the URLs that expire are gone; others have no end."""
    after = change_of(row).after
    ended_at = row.job.finished_at if row.job.state.is_final else NOW
    assert after.finished_at == (ended_at if row.to.is_final else None)
    if row.to.is_final:
        assert (after.blocked_by, after.blocked_until, after.urls) == ("", None, ())


@every_row
def test_the_epoch_and_the_nonce_change_only_where_another_submission_may_follow(row: Row) -> None:
    """A new epoch comes from a refusal that reached the gateway, and from a decision to submit again."""
    before, after = row.job, change_of(row).after
    if row.event == "forgotten":
        assert (after.epoch, after.nonce) == (4, "forgotten")
        return
    again = row.to is JobState.QUEUED
    assert after.epoch == before.epoch + (1 if again else 0)
    if row.event in {"resubmit", "lost, resubmit", "retry the submission"} and again:
        assert after.nonce == ""
    elif row.event != "intent":
        assert after.nonce == before.nonce


@every_row
def test_a_key_may_order_again_only_when_nothing_was_charged(row: Row) -> None:
    """An idempotency key is given back by a failed or cancelled job that certainly cost nothing."""
    expected = row.to in {JobState.FAILED, JobState.CANCELLED} and row.charge is Charge.NOT_CHARGED
    assert change_of(row).releases_idempotency_key is expected


@every_row
def test_nobody_is_told_who_did_not_ask(row: Row) -> None:
    """Without a webhook address the events are numbered all the same, and nothing goes to the outbox."""
    silent = row.job.evolve(order=an_order(webhook_url=None, num_output=2))
    change = advance(silent, EVENTS[row.event], NOW)
    assert change.deliveries == ()
    assert change.after.sequence == silent.sequence + (1 if row.webhook else 0)


@pytest.mark.parametrize(("situation", "event"), REFUSED_PAIRS)
def test_an_event_of_the_past_is_refused(situation: str, event: str) -> None:
    """What is not in the table does not fit the job's state, and changes nothing."""
    with pytest.raises(StaleEventError):
        put(situation, event)


def test_an_intent_says_what_is_about_to_be_sent() -> None:
    """Nonce, a short hash of the body and the count of submissions are on the record before the first byte leaves."""
    after = put("queued after a refusal", "intent").after
    assert (after.nonce, after.request_hash, after.submits) == (NONCE, "b" * 16, 2)
    assert (after.blocked_by, after.blocked_until) == ("", None)
    assert put("queued", "intent").timeline == (("submitting", {}),)
    assert put("queued after a refusal", "intent").timeline == (("submitting", {"epoch": 2}),)


def test_an_acceptance_keeps_the_key_that_was_paid_for() -> None:
    """Result key, request id and time of submission are stored with the first poll's due time."""
    after = put("submitting", "accepted").after
    assert (after.result_key, after.request_id, after.submitted_at) == (LATE_KEY, "REQ-3", NOW)


def test_a_late_acceptance_is_still_the_answer() -> None:
    """A job that was held because its answer seemed lost goes on when the answer comes, and owes no decision."""
    after = put("held, answer lost", "accepted").after
    assert (after.state, after.result_key, after.charge) == (JobState.RENDERING, LATE_KEY, Charge.CHARGED)
    assert (after.error, after.blocked_by) == (None, "")


def test_a_late_refusal_is_still_the_answer() -> None:
    """It was held for nothing: the job fails for the provider's reason, and the submission was free."""
    after = put("held, answer lost", "refused").after
    assert (after.state, after.error, after.charge) == (JobState.FAILED, FAULT, Charge.NOT_CHARGED)


def test_a_late_word_that_nothing_was_accepted_puts_the_job_back() -> None:
    """The job waits for its next submission like any other, with nothing to pay and nothing to decide."""
    after = put("held, answer lost", "delayed").after
    assert (after.state, after.step, after.epoch, after.charge) == (
        JobState.QUEUED, "submit-3", 2, Charge.NOT_CHARGED,
    )  # fmt: skip
    assert (after.error, after.blocked_by, after.blocked_until) == (None, "provider_throttled", NOW + 30.0)


@pytest.mark.parametrize("event", ["accepted", "delayed", "refused"])
@pytest.mark.parametrize("situation", ["held, poison", "held, nothing sent"])
def test_an_answer_never_moves_a_job_that_is_held_for_another_reason(situation: str, event: str) -> None:
    """A job that has its result key, or has sent nothing, waits for no answer."""
    with pytest.raises(StaleEventError):
        put(situation, event)


@pytest.mark.parametrize("wish", ["discard", "keep"])
@pytest.mark.parametrize("situation", ["submitting", "held, answer lost"])
def test_a_refusal_of_what_its_owner_gave_up_is_a_cancellation(situation: str, wish: str) -> None:
    """The owner asked for the end before the provider did: no error, no cost, and one webhook that says cancelled."""
    change = put(f"{situation}, to be {'discarded' if wish == 'discard' else 'kept'}", "refused")
    assert (change.after.state, change.after.error) == (JobState.CANCELLED, None)
    assert (change.after.charge, change.deliveries[0].type) == (Charge.NOT_CHARGED, "job.cancelled")


@pytest.mark.parametrize(("new_epoch", "epoch"), [(True, 2), (False, 1)])
def test_only_a_request_that_reached_the_gateway_uses_up_its_nonce(*, new_epoch: bool, epoch: int) -> None:
    """What was never sent may be sent again under the same epoch, so that its nonce stays the same."""
    event = events.SubmissionDelayed(blocked_by="provider_unreachable", retry_in_seconds=2.5, new_epoch=new_epoch)
    after = advance(SITUATIONS["submitting"], event, NOW).after
    assert (after.epoch, after.blocked_by, after.blocked_until) == (epoch, "provider_unreachable", NOW + 2.5)


def test_a_held_job_says_why_and_that_it_waits_for_a_person() -> None:
    """The fault, who must act and the step that failed are told on the record and in the timeline."""
    change = put("submitting", "lost")
    assert (change.after.error, change.after.blocked_by, change.after.blocked_until) == (LOST, "operator", None)
    assert change.timeline == (("needs_attention", {"code": LOST.code, "message": LOST.message, "step": "submit-1"}),)
    assert change.due_at == math.inf


def test_polls_are_counted_and_strikes_are_forgiven_by_an_answer() -> None:
    """A strike counts up, an ordinary answer starts anew, and a question without an answer leaves the count."""
    job = SITUATIONS["rendering"].evolve(strikes=1, blocked_by="provider_unavailable", blocked_until=NOW)
    scheduled = {
        "strike": events.PollScheduled(poll_in_seconds=1.0, blocked_by="provider_verdict", strike=True),
        "answer": events.PollScheduled(poll_in_seconds=1.0),
        "silence": events.PollScheduled(poll_in_seconds=1.0, blocked_by="provider_throttled", answered=False),
    }
    after = {name: advance(job, event, NOW).after for name, event in scheduled.items()}
    assert {name: (job.blocked_by, job.blocked_until) for name, job in after.items()} == {
        "strike": ("provider_verdict", NOW + 1.0),
        "answer": ("", None),
        "silence": ("provider_throttled", NOW + 1.0),
    }
    assert {name: job.strikes for name, job in after.items()} == {"strike": 2, "answer": 0, "silence": 1}
    assert {job.polls for job in after.values()} == {3}


STRIKES: dict[str, events.SubmissionStrike | None] = {
    "source": "source", "refusal": "refusal", "explained": "none", "silence": None,
}  # fmt: skip
DELAYS: dict[str, events.Event] = {
    name: events.SubmissionDelayed(blocked_by="word", retry_in_seconds=20.0, new_epoch=False, strike=strike)
    for name, strike in STRIKES.items()
}


@pytest.mark.parametrize(
    ("event", "strikes", "refusals"),
    [
        ("source", 3, 4),
        ("refusal", 0, 5),
        ("explained", 0, 0),
        ("silence", 0, 4),
        ("intent", 0, 4),
    ],
)
def test_bad_sources_and_unexplained_refusals_are_counted_apart(event: str, strikes: int, refusals: int) -> None:
    """Each count goes on in a row of its own: neither makes the other reach its end, nor starts it anew."""
    job = SITUATIONS["queued"].evolve(strikes=2, refusals=4)
    after = advance(job, {**DELAYS, **EVENTS}[event], NOW).after
    assert (after.strikes, after.refusals) == (strikes, refusals)


def test_an_acceptance_forgives_refusals() -> None:
    """What was accepted in the end starts anew, if it is ever submitted again."""
    job = SITUATIONS["submitting"].evolve(refusals=4)
    assert advance(job, EVENTS["accepted"], NOW).after.refusals == 0


def test_a_bad_look_at_a_source_is_told() -> None:
    """The timeline has the source's fault in words."""
    look = events.SubmissionDelayed(
        blocked_by="source_timeout",
        retry_in_seconds=20.0,
        new_epoch=False,
        strike="source",
        message="image: shop.example: reading took too long",
    )
    after = {"look": advance(SITUATIONS["queued"], look, NOW)}
    assert after["look"].timeline == (
        (
            "submission_delayed",
            {
                "blocked_by": "source_timeout",
                "message": "image: shop.example: reading took too long",
                "until": NOW + 20.0,
            },
        ),
    )
    assert after["look"].after.charge is Charge.NOT_CHARGED


def test_a_job_is_reported_as_overdue_once() -> None:
    """The mark and its webhook come with the first poll after the deadline, and the job goes on."""
    first = put("rendering", "poll later, overdue").after
    assert first.overdue
    again = advance(first, EVENTS["poll later, overdue"], NOW + 600.0)
    assert (again.deliveries, again.after.overdue, again.timeline) == ((), True, ())


def test_results_are_noted_with_their_time() -> None:
    """The URLs, the last poll and the moment of the provider's success are on the record before anything is copied."""
    after = put("rendering", "results").after
    assert (after.urls, after.rendered_at, after.polls, after.strikes) == (URLS, NOW, 3, 0)


def test_what_is_stored_already_is_kept_while_the_rest_waits() -> None:
    """A delayed copy keeps its outputs and URLs, counts the attempt, and says what it waits for and until when."""
    after = put("storing", "storing delayed").after
    assert (after.outputs, after.urls, after.store_attempts) == ((an_output(0),), URLS, 1)
    assert (after.blocked_by, after.blocked_until) == ("s3_error", NOW + 2.0)


def test_a_stored_job_keeps_no_urls_that_expire() -> None:
    """The end of storing has the outputs and the losses, and the provider's URLs are gone."""
    after = put("storing", "some stored").after
    assert (after.outputs, after.missing, after.urls, after.error) == ((an_output(0),), (MISSING,), (), None)


def test_a_job_without_a_single_image_fails_with_the_first_loss() -> None:
    """The reason of the first image that could not be had is the job's error."""
    assert put("storing", "none stored").after.error == JobFault(code=MISSING.code, message=MISSING.message)


@pytest.mark.parametrize("situation", ["queued", "submitting", "rendering", "storing"])
def test_a_failure_is_told_with_its_fault(situation: str) -> None:
    """The error on the record is the one that the webhook carries and the timeline names."""
    event = "refused" if situation in {"queued", "submitting"} else "rendering failed"
    change = put(situation, event)
    assert change.after.error == FAULT
    assert change.deliveries[0].error == FAULT
    assert change.timeline[0][1]["code"] == FAULT.code


@pytest.mark.parametrize("earlier", [Charge.UNKNOWN, Charge.CHARGED])
@pytest.mark.parametrize("event", ["delayed", "refused"])
def test_a_refusal_does_not_clear_the_bill_of_an_earlier_submission(event: str, earlier: Charge) -> None:
    """What the submissions before a person's resubmission cost is still owed when the next one is refused."""
    resent = SITUATIONS["submitting"].evolve(earlier_charge=earlier)
    assert advance(resent, EVENTS[event], NOW).after.charge is earlier


def test_what_was_charged_stays_charged() -> None:
    """A second submission of unknown outcome does not make a first, paid one unknown."""
    sent = put("queued again, paid before", "intent").after
    assert sent.charge is Charge.CHARGED
    assert advance(sent, EVENTS["lost"], NOW).after.charge is Charge.CHARGED


@pytest.mark.parametrize(
    ("one", "other", "graver"),
    [
        (Charge.NOT_CHARGED, Charge.NOT_CHARGED, Charge.NOT_CHARGED),
        (Charge.NOT_CHARGED, Charge.UNKNOWN, Charge.UNKNOWN),
        (Charge.NOT_CHARGED, Charge.CHARGED, Charge.CHARGED),
        (Charge.UNKNOWN, Charge.CHARGED, Charge.CHARGED),
        (Charge.CHARGED, Charge.CHARGED, Charge.CHARGED),
    ],
)
def test_of_two_charges_the_graver_counts(one: Charge, other: Charge, graver: Charge) -> None:
    """Charged is graver than unknown, and unknown than nothing, in either order."""
    assert one.or_more(other) is graver
    assert other.or_more(one) is graver


def test_an_event_can_be_put_to_a_job_without_a_sku() -> None:
    """Nothing that a caller may leave out is needed to move a job."""
    assert advance(a_job(order=an_order(sku=None)), EVENTS["intent"], NOW).after.state is JobState.SUBMITTING
