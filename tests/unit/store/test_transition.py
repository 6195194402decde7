"""Putting an event to a job that moves at the same time: nothing is lost, and nothing of the past is applied."""

from __future__ import annotations

from typing import Any

import pytest

from sceneshift.jobs.change import Change
from sceneshift.jobs.events import IntentStored
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.store.jobs import Applied, IntentGuard
from sceneshift.store.opening import Store
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, LATE_KEY, NONCE, SITUATIONS
from tests.unit.store.inspection import everything, place


def put(store: Store, job: JobRecord, event: str) -> Change | None:
    return store.jobs.transition(job, EVENTS[event])


def test_a_cancel_wish_between_a_question_and_its_answer_loses_neither(store: Store) -> None:
    """The answer is put to the job as it is now: with the wish on it."""
    sent = place(store, SITUATIONS["submitting"])
    assert put(store, sent, "cancel, keep")
    change = put(store, sent, "accepted")
    assert change is not None
    assert (change.after.state, change.after.cancel, change.after.result_key) == (JobState.RENDERING, "keep", LATE_KEY)


def test_an_answer_that_comes_after_a_discarding_wish_ends_the_job_as_paid(store: Store) -> None:
    """The charge is on record although the result is not wanted."""
    sent = place(store, SITUATIONS["submitting"])
    assert put(store, sent, "cancel")
    change = put(store, sent, "accepted")
    assert change is not None
    assert (change.after.state, change.after.charge) == (JobState.CANCELLED, Charge.CHARGED)


def test_the_answer_of_a_worker_that_was_given_up_still_counts(store: Store) -> None:
    """The same submission's acceptance finds its job, although another worker has handed it to a person."""
    sent = place(store, SITUATIONS["submitting"])
    assert put(store, sent, "lost")
    change = put(store, sent, "accepted")
    assert change is not None
    assert (change.after.state, change.after.result_key) == (JobState.RENDERING, LATE_KEY)


@pytest.mark.parametrize(("event", "state"), [("delayed", JobState.QUEUED), ("refused", JobState.FAILED)])
def test_the_word_that_nothing_was_accepted_still_counts(store: Store, event: str, state: JobState) -> None:
    """A slow worker's refusal frees a job that another worker has handed to a person, and nothing was charged."""
    sent = place(store, SITUATIONS["submitting"])
    assert put(store, sent, "lost")
    change = put(store, sent, event)
    assert change is not None
    assert (change.before.state, change.after.state) == (JobState.NEEDS_ATTENTION, state)
    assert change.after.charge is Charge.NOT_CHARGED


@pytest.mark.parametrize("event", ["accepted", "delayed", "refused"])
def test_the_answer_to_a_submission_that_was_replaced_is_not_mixed_up(store: Store, event: str) -> None:
    """Once a person had the job submitted again, the first submission's answer belongs to no step of it."""
    sent = place(store, SITUATIONS["submitting"])
    held = put(store, sent, "lost")
    assert held is not None
    again = put(store, held.after, "resubmit")
    assert again is not None
    before = everything(store.client)
    assert put(store, sent, event) is None
    assert everything(store.client) == before
    resent = store.jobs.transition(again.after, IntentStored(nonce="another", request_hash="b" * 64))
    assert resent is not None
    before = everything(store.client)
    assert put(store, sent, event) is None
    assert everything(store.client) == before
    assert put(store, resent.after, event)


@pytest.mark.parametrize("event", ["delayed", "refused"])
def test_what_was_decided_before_an_intent_does_not_end_its_request(store: Store, event: str) -> None:
    """A worker that was away while another one sent the request has no say about it: it may have been accepted."""
    seen = place(store, SITUATIONS["queued"])
    assert put(store, seen, "intent")
    before = everything(store.client)
    assert put(store, seen, event) is None
    assert everything(store.client) == before


@pytest.mark.parametrize("event", ["all stored", "some stored", "none stored"])
def test_images_that_were_stored_before_a_discarding_wish_are_removed_first(store: Store, event: str) -> None:
    """The end that was decided without the wish is dropped: the step runs again and knows that it must tidy up."""
    seen = place(store, SITUATIONS["storing"])
    wish = put(store, seen, "cancel")
    assert wish is not None
    before = everything(store.client)
    assert put(store, seen, event) is None
    assert everything(store.client) == before
    ended = put(store, wish.after, event)
    assert ended is not None
    assert (ended.after.state, ended.after.outputs) == (JobState.CANCELLED, ())


def test_images_that_were_stored_before_a_keeping_wish_are_kept(store: Store) -> None:
    """Nothing must be removed, so the end need not be decided again."""
    seen = place(store, SITUATIONS["storing"])
    assert put(store, seen, "cancel, keep")
    ended = put(store, seen, "all stored")
    assert ended is not None
    assert (ended.after.state, len(ended.after.outputs)) == (JobState.CANCELLED, 2)


@pytest.mark.parametrize("event", ["poll later", "results", "rendering failed"])
def test_an_event_of_a_step_that_has_passed_is_dropped(store: Store, event: str) -> None:
    """A slow worker's answer does not move a job that another worker has moved on."""
    seen = place(store, SITUATIONS["rendering"])
    assert put(store, seen, "poll later")
    before = everything(store.client)
    assert put(store, seen, event) is None
    assert everything(store.client) == before


def test_a_cancel_finds_the_job_wherever_it_is(store: Store) -> None:
    """An owner's wish concerns the job and not the step at which they saw it."""
    seen = place(store, SITUATIONS["queued"])
    sent = put(store, seen, "intent")
    assert sent is not None
    assert put(store, sent.after, "accepted")
    change = put(store, seen, "cancel")
    assert change is not None
    assert (change.before.state, change.after.state) == (JobState.RENDERING, JobState.CANCELLED)


@pytest.mark.parametrize("event", ["cancel", "accepted", "poll later"])
def test_an_event_of_a_job_that_is_gone_is_dropped(store: Store, event: str) -> None:
    """Nothing is written for a job whose retention has ended."""
    gone = SITUATIONS["rendering" if event != "accepted" else "submitting"]
    assert put(store, gone, event) is None
    assert everything(store.client) == {}


def test_a_second_intent_is_refused(store: Store) -> None:
    """Two workers that hold the same step cannot both open the socket: the second finds the first one's intent."""
    seen = place(store, SITUATIONS["queued"])
    assert put(store, seen, "intent")
    assert put(store, seen, "intent") is None


def test_a_job_that_keeps_moving_is_not_chased_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five tries the event is given up, and the step comes back by its due time."""
    job = place(store, SITUATIONS["rendering"])
    tries = []

    def stale(change: Change, *, guard: IntentGuard | None, unclaimed_on: str) -> Applied:
        assert (guard, unclaimed_on) == (None, "")
        tries.append(change)
        return Applied("stale")

    monkeypatch.setattr(store.jobs, "apply", stale)
    assert put(store, job, "cancel") is None
    assert len(tries) == 5


def test_a_mark_of_another_process_is_not_overwritten(store: Store) -> None:
    """What changed on the record since it was read is part of what the event makes of it."""
    seen = place(store, SITUATIONS["rendering"])
    assert put(store, seen, "cancel, keep")
    change = put(store, seen, "results")
    assert change is not None
    reloaded = store.jobs.load(seen.id)
    assert reloaded is not None
    assert (reloaded.cancel, reloaded.state, reloaded.revision) == ("keep", JobState.STORING, seen.revision + 2)


def test_a_hand_out_does_not_disturb_a_transition(store: Store) -> None:
    """Taking a step is not a revision: its outcome is stored although fence and starts have moved."""
    job = place(store, a_job(fence=1))
    taken = store.due.begin(job.id, job.step, "sceneshift.submit")
    assert taken.is_taken
    change = put(store, job, "intent")
    assert change is not None
    fields: dict[str, Any] = store.client.hgetall(store.keys.job(job.id))  # type: ignore[assignment]  # redis-py: maybe awaitable
    assert (fields["nonce"], fields["fence"], fields["begun"], fields["starts"]) == (NONCE, "1", "1", "1")
