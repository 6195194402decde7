"""What owners and operators may decide about a job: cancelling it in each state, and resolving one that is held."""

from __future__ import annotations

import pytest

from sceneshift.jobs import events
from sceneshift.jobs.change import StaleEventError
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.jobs.transitions import advance
from tests.factories import NOW, an_output
from tests.unit.jobs.situations import EVENTS, LATE_KEY, POISON, RESULT_KEY, SITUATIONS

CANCEL, CANCEL_KEEP = EVENTS["cancel"], EVENTS["cancel, keep"]


def poisoned(job: JobRecord) -> JobRecord:
    """The job, held because its step killed its workers."""
    return advance(job, events.StepPoisoned(fault=POISON), NOW).after


@pytest.mark.parametrize("event", ["cancel", "cancel, keep"])
def test_cancelling_before_anything_was_sent_ends_the_job_for_free(event: str) -> None:
    """A queued job is over at once, and costs nothing."""
    after = advance(SITUATIONS["queued"], EVENTS[event], NOW).after
    assert (after.state, after.charge, after.cancel) == (JobState.CANCELLED, Charge.NOT_CHARGED, "")


@pytest.mark.parametrize(("event", "wish"), [("cancel", "discard"), ("cancel, keep", "keep")])
@pytest.mark.parametrize("situation", ["submitting", "held, answer lost"])
def test_a_wish_is_noted_while_nobody_knows_what_it_cost(situation: str, event: str, wish: str) -> None:
    """A request that may be on its way is not called back: the wish is on the record, and the job stays where it is."""
    job = SITUATIONS[situation]
    change = advance(job, EVENTS[event], NOW)
    assert change.after == job.evolve(cancel=wish, revision=job.revision + 1)
    assert change.timeline == (("cancel_requested", {"result": wish}),)


def test_a_paid_job_is_dropped_or_collected_as_asked() -> None:
    """While it renders, `discard` ends it now with its charge; `keep` lets it go on to its images."""
    dropped = advance(SITUATIONS["rendering"], CANCEL, NOW).after
    assert (dropped.state, dropped.charge) == (JobState.CANCELLED, Charge.CHARGED)
    kept = advance(SITUATIONS["rendering"], CANCEL_KEEP, NOW).after
    assert (kept.state, kept.cancel) == (JobState.RENDERING, "keep")


@pytest.mark.parametrize("situation", ["storing", "storing, one stored"])
def test_images_that_are_being_stored_are_removed_before_the_job_ends(situation: str) -> None:
    """`discard` is noted, because only the step that stores can say what must be removed from the bucket."""
    job = SITUATIONS[situation]
    change = advance(job, CANCEL, NOW)
    assert change.after == job.evolve(cancel="discard", revision=job.revision + 1)
    assert change.keep_due


def test_discarded_images_are_not_on_the_record() -> None:
    """Whatever the last step reports, a job whose result was to be dropped ends without outputs and losses."""
    job = SITUATIONS["storing, to be discarded"].evolve(outputs=(an_output(0),))
    for event in ("all stored", "some stored", "none stored"):
        after = advance(job, EVENTS[event], NOW).after
        assert (after.state, after.outputs, after.missing, after.urls) == (JobState.CANCELLED, (), (), ())
        assert after.charge is Charge.CHARGED


def test_kept_images_end_as_cancelled_with_their_outputs() -> None:
    """A cancelled job whose result was wanted has its images on the record."""
    after = advance(SITUATIONS["storing, to be kept"], EVENTS["all stored"], NOW).after
    assert (after.state, after.outputs) == (JobState.CANCELLED, (an_output(0), an_output(1)))


@pytest.mark.parametrize(
    "job",
    [job for job in SITUATIONS.values() if job.state.is_final or (job.cancel and job.state is not JobState.QUEUED)],
)
@pytest.mark.parametrize("event", [CANCEL, CANCEL_KEEP])
def test_cancelling_twice_or_too_late_changes_nothing(job: JobRecord, event: events.CancelRequested) -> None:
    """The first wish stands, and a final job stays as it ended."""
    with pytest.raises(StaleEventError):
        advance(job, event, NOW)


@pytest.mark.parametrize("situation", ["queued", "held, nothing sent"])
def test_a_wish_that_could_only_be_noted_is_carried_out_when_it_can_be(situation: str) -> None:
    """While nobody can say whether the job was sent, it is marked and stays; a later call ends it, once."""
    noting = events.CancelRequested(keep_result=False, notes_only=True)
    noted = advance(SITUATIONS[situation], noting, NOW)
    assert (noted.after.state, noted.after.cancel, noted.keep_due) == (SITUATIONS[situation].state, "discard", True)
    with pytest.raises(StaleEventError):
        advance(noted.after, noting, NOW)
    assert advance(noted.after, CANCEL, NOW).after.state is JobState.CANCELLED


@pytest.mark.parametrize("wish", ["discard", "keep"])
def test_a_cancelled_job_is_not_submitted_again(wish: str) -> None:
    """When it turns out that nothing was accepted, a job that its owner gave up ends instead of going back."""
    job = SITUATIONS["submitting"].evolve(cancel=wish)
    after = advance(job, EVENTS["delayed"], NOW).after
    assert (after.state, after.charge) == (JobState.CANCELLED, Charge.NOT_CHARGED)


def test_attaching_a_key_makes_the_job_go_on_at_once() -> None:
    """A key from the provider's console is charged, polled now, and clears the fault."""
    change = advance(SITUATIONS["held, answer lost"], EVENTS["attach"], NOW + 9.0)
    after = change.after
    assert (after.state, after.result_key, after.charge) == (JobState.RENDERING, LATE_KEY, Charge.CHARGED)
    assert (after.error, after.blocked_by, after.strikes, after.submitted_at) == (None, "", 0, NOW + 9.0)
    assert change.publish
    assert change.timeline == (("resolved", {"action": "attach", "by": "ann", "result_key": LATE_KEY}),)


def test_attaching_to_a_job_that_has_its_key_needs_none() -> None:
    """A paid job that was held for another reason goes on with the key that it has, and its age."""
    job = SITUATIONS["held, poison"]
    after = advance(job, events.Resolved(action="attach", by="ann"), NOW).after
    assert (after.result_key, after.submitted_at) == (RESULT_KEY, job.submitted_at)


@pytest.mark.parametrize("situation", ["held, answer lost", "held, answer lost, to be discarded", "held, nothing sent"])
def test_attaching_nothing_is_refused(situation: str) -> None:
    """A job without a result key cannot go on to be polled: nobody could be asked about it."""
    with pytest.raises(StaleEventError):
        advance(SITUATIONS[situation], events.Resolved(action="attach", by="ann"), NOW)


@pytest.mark.parametrize(
    ("situation", "earlier"),
    [
        ("held, answer lost", Charge.UNKNOWN),
        ("held, poison", Charge.CHARGED),
        ("held again, paid before", Charge.CHARGED),
        ("held, nothing sent", Charge.NOT_CHARGED),
    ],
)
def test_submitting_again_is_a_new_epoch_that_remembers_what_the_last_one_cost(situation: str, earlier: Charge) -> None:
    """The next submission gets a nonce of its own, and what those before it cost is not forgotten."""
    job = SITUATIONS[situation]
    after = advance(job, EVENTS["resubmit"], NOW).after
    assert (after.epoch, after.earlier_charge, after.nonce, after.result_key) == (job.epoch + 1, earlier, "", "")
    assert (after.charge, after.error, after.blocked_by) == (earlier, None, "")


@pytest.mark.parametrize(
    "situation", ["held, answer lost, to be discarded", "held, answer lost, to be kept", "held, poison, to be kept"]
)
def test_giving_up_what_its_owner_gave_up_is_a_cancellation(situation: str) -> None:
    """The person's word ends the job as its owner asked, and its webhook says cancelled."""
    change = advance(SITUATIONS[situation], EVENTS["give up"], NOW)
    assert change.after.state is JobState.CANCELLED
    assert change.deliveries[0].type == "job.cancelled"


def test_giving_up_keeps_the_reason() -> None:
    """A held job that is given up fails with the fault for which it was held, and what it may have cost."""
    job = SITUATIONS["held, answer lost"]
    after = advance(job, EVENTS["give up"], NOW).after
    assert (after.state, after.error, after.charge) == (JobState.FAILED, job.error, Charge.UNKNOWN)


def test_a_job_that_was_held_before_anything_was_sent_owes_nothing() -> None:
    """Submitting it again is its first submission: a refusal then is free, not of unknown cost."""
    again = advance(poisoned(SITUATIONS["queued"]), EVENTS["resubmit"], NOW).after
    refused = advance(again, EVENTS["refused"], NOW).after
    assert refused.charge is Charge.NOT_CHARGED


@pytest.mark.parametrize(
    "job",
    [poisoned(SITUATIONS[name]) for name in ("queued", "rendering")],
    ids=["nothing sent", "rendering"],
)
def test_a_held_job_whose_cost_is_known_can_be_cancelled(job: JobRecord) -> None:
    """Where no request is on its way there is nothing to wait for: the job ends, with the charge that it has."""
    after = advance(job, CANCEL, NOW).after
    assert (after.state, after.charge) == (JobState.CANCELLED, job.charge)


@pytest.mark.parametrize("past", [(), ("poisoned",), ("poisoned", "attach"), ("poisoned", "resubmit")])
def test_images_in_the_bucket_are_removed_before_a_dropped_job_ends(past: tuple[str, ...]) -> None:
    """However far back the job is by now: the step that removes them comes first, and then the job is cancelled."""
    job = SITUATIONS["storing, one stored"]
    for name in past:
        job = advance(job, EVENTS[name], NOW).after
    dropped = advance(job, CANCEL, NOW).after
    assert (dropped.state, dropped.cancel, dropped.step.partition("-")[0]) == (JobState.STORING, "discard", "finalize")
    after = advance(dropped, events.ImagesStored(outputs=(), missing=()), NOW).after
    assert (after.state, after.outputs, after.charge) == (JobState.CANCELLED, (), Charge.CHARGED)


@pytest.mark.parametrize("decision", ["attach", "resubmit", "give up"])
def test_a_person_s_word_does_not_leave_dropped_images_behind(decision: str) -> None:
    """What its owner does not want is removed from the bucket, whatever is decided about the held job."""
    after = advance(SITUATIONS["held, poison, to be discarded"], EVENTS[decision], NOW).after
    assert (after.state, after.cancel) == (JobState.STORING, "discard")


def test_who_gave_a_job_up_is_told() -> None:
    """The timeline says who decided, and why."""
    decision = events.Resolved(action="fail", by="ann", why="the customer left")
    ((name, about),) = advance(SITUATIONS["held, answer lost"], decision, NOW).timeline
    assert (name, about["by"], about["why"]) == ("failed", "ann", "the customer left")


def test_a_probe_is_not_sent_for_a_job_that_nobody_wants() -> None:
    """A cancellation may come between the decision to ask again and the asking: it could be accepted only now."""
    with pytest.raises(StaleEventError):
        advance(SITUATIONS["submitting, to be discarded"], events.ProbeStarted(), NOW)


def test_a_held_job_that_is_paid_for_is_kept_when_its_result_is_wanted() -> None:
    """Its images can still be had once a person attaches it, so the wish is noted and nothing is thrown away."""
    job = SITUATIONS["held, poison"]
    change = advance(job, CANCEL_KEEP, NOW)
    assert change.after == job.evolve(cancel="keep", revision=job.revision + 1)
    assert change.keep_due
    attached = advance(change.after, EVENTS["attach"], NOW).after
    assert (attached.state, attached.cancel) == (JobState.RENDERING, "keep")


def lived(*names: str) -> JobRecord:
    """A job that these events have happened to, one after the other."""
    job = SITUATIONS["queued"]
    for name in names:
        job = advance(job, EVENTS[name], NOW).after
    return job


PUT_OFF = ("delayed",) * 5
POLLED = ("intent", "accepted", "poll later", "poll later", "poll later")


@pytest.mark.parametrize(
    ("past", "event"),
    [
        (("intent", "lost"), "resubmit"),
        ((*PUT_OFF, "poisoned"), "resubmit"),
        ((*PUT_OFF, "intent", "lost"), "resubmit"),
        ((*PUT_OFF, *POLLED, "poisoned"), "resubmit"),
        ((*POLLED, "poisoned"), "attach"),
        ((*POLLED, "results", "storing delayed", "poisoned"), "attach"),
        ((*POLLED, "poisoned", "attach", "poll later", "poisoned"), "attach"),
        ((*PUT_OFF, "poisoned", "resubmit", "delayed", "poisoned"), "resubmit"),
        ((*PUT_OFF, "intent", "lost"), "delayed"),
        ((*POLLED, "poisoned", "resubmit", "intent", "lost"), "delayed"),
        ((*POLLED, "poisoned", "resubmit", "intent", "lost"), "accepted"),
    ],
)
def test_the_step_after_a_resolution_or_a_late_answer_has_a_new_name(past: tuple[str, ...], event: str) -> None:
    """A step's name makes its task id and tells stale messages apart, so no earlier name comes back."""
    used = {lived(*past[:count]).step for count in range(len(past) + 1)}
    assert lived(*past, event).step not in used
