"""Wake-ups that cannot be lost: each step is taken once per hand-out, and comes back when nobody finishes it."""

from __future__ import annotations

import math

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.decisions import is_poisoned
from sceneshift.jobs.record import JobRecord
from sceneshift.store.due import DueStep, Hold
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_at, due_entries, everything, place

LEASE = 20.0
TASK = "sceneshift.submit"


@pytest.fixture
def job(store: Store) -> JobRecord:
    """A job whose first message is on its way."""
    record = a_job()
    store.jobs.accept(record, publish=True)
    return record


def begin(store: Store, job: JobRecord) -> str:
    return store.due.begin(job.id, job.step, TASK).status


def bring_back(store: Store) -> list[str]:
    """One round of a timekeeper: what is due is claimed and handed out; returns the ids."""
    return [step.subject_id for step in store.due.hand_out(store.due.claim(100))]


def test_a_published_step_is_taken_once(store: Store, job: JobRecord) -> None:
    """The first message gets the step and the record, and a duplicate hears that it is held."""
    taken = store.due.begin(job.id, "submit-1", TASK)
    assert (taken.is_taken, taken.starts) == (True, 1)
    assert (taken.fields["id"], taken.fields["state"], taken.fields["fence"]) == (job.id, "queued", "1")
    before = everything(store.client)
    again = store.due.begin(job.id, "submit-1", TASK)
    assert (again.status, again.is_taken, dict(again.fields)) == ("held", False, {})
    assert everything(store.client) == before


def test_a_step_that_was_not_handed_out_cannot_be_taken(store: Store) -> None:
    """A message from nowhere does not start a job that waits for its turn."""
    waiting = a_job()
    store.jobs.accept(waiting, publish=False)
    assert begin(store, waiting) == "held"


@pytest.mark.parametrize("step", ["submit-2", "poll-001", ""])
def test_a_message_of_another_step_is_stale(store: Store, job: JobRecord, step: str) -> None:
    """Only the record's own step can be taken."""
    before = everything(store.client)
    assert store.due.begin(job.id, step, TASK).status == "stale"
    assert everything(store.client) == before


def test_a_message_of_a_missing_job_starts_nothing(store: Store) -> None:
    """A job that is gone is neither started nor brought back."""
    assert store.due.begin("job_GONE", "submit-1", TASK).status == "missing"
    assert everything(store.client) == {}


def test_a_taken_step_is_left_alone_for_a_lease(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """From its start a step has one whole lease before anybody else looks at it."""
    clock.advance(10.0)
    begin(store, job)
    assert due_at(store, job.id) == NOW + 10.0 + LEASE
    clock.advance(LEASE - 0.001)
    assert store.due.claim(100) == []
    clock.advance(0.001)
    assert [step.subject_id for step in store.due.claim(100)] == [job.id]


def test_a_step_whose_worker_died_is_started_again(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """After its lease a step is handed out anew, taken once more, and counts its starts."""
    begin(store, job)
    clock.advance(LEASE)
    (step,) = store.due.claim(100)
    assert (step.step, step.sku, step.parent_step, step.job_id, step.waiting) == (
        "submit-1", job.sku, "", job.id, False,
    )  # fmt: skip
    assert begin(store, job) == "held"
    assert store.due.hand_out([step]) == [step]
    taken = store.due.begin(job.id, "submit-1", TASK)
    assert (taken.is_taken, taken.starts, taken.fields["fence"]) == (True, 2, "2")
    assert begin(store, job) == "held"


def test_a_lost_message_is_replaced_and_either_one_will_do(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A step that nobody took keeps its hand-out: the old message and the new one together start it once."""
    clock.advance(LEASE)
    (step,) = store.due.claim(100)
    assert step.waiting
    assert store.due.hand_out([step]) == [step]
    assert (begin(store, job), begin(store, job)) == ("begun", "held")


def test_the_fourth_start_within_three_days_is_poison(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """Three workers may die of a step; the fourth that takes it learns that it should not go on."""
    starts = []
    for _ in range(4):
        starts.append(store.due.begin(job.id, job.step, TASK).starts)
        clock.advance(LEASE)
        bring_back(store)
    assert starts == [1, 2, 3, 4]
    assert [is_poisoned(count) for count in starts] == [False, False, False, True]


def test_starts_are_forgotten_after_three_days(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """72 hours after the first start of a step the count begins anew, and not a moment sooner."""
    begin(store, job)
    clock.advance(72 * 3600.0)
    bring_back(store)
    assert store.due.begin(job.id, job.step, TASK).starts == 2
    clock.advance(LEASE)
    bring_back(store)
    assert store.due.begin(job.id, job.step, TASK).starts == 1


def test_the_next_step_starts_with_a_clean_count(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A job that gets on is not poisoned by the trouble of earlier steps."""
    begin(store, job)
    clock.advance(LEASE)
    bring_back(store)
    begin(store, job)
    change = store.jobs.transition(job, EVENTS["delayed"])
    assert change is not None
    clock.advance(30.0)
    bring_back(store)
    assert store.due.begin(job.id, change.after.step, TASK).starts == 1


def test_claims_take_the_longest_overdue_first(store: Store, clock: ManualClock) -> None:
    """With more due than one claim takes, nobody starves, and what is not due yet is left."""
    jobs = [a_job(created_at=NOW - age) for age in (1.0, 3.0, 2.0, -5.0)]
    for each in jobs:
        store.jobs.accept(each, publish=False)
    assert [step.subject_id for step in store.due.claim(2)] == [jobs[1].id, jobs[2].id]
    assert [step.subject_id for step in store.due.claim(2)] == [jobs[0].id]
    assert store.due.claim(2) == []
    clock.advance(5.0)
    assert [step.subject_id for step in store.due.claim(2)] == [jobs[3].id]


def test_a_claim_that_came_to_nothing_comes_back(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A timekeeper that dies between claiming and publishing costs a lease and no job."""
    clock.advance(LEASE)
    assert len(store.due.claim(100)) == 1
    assert due_at(store, job.id) == NOW + 2 * LEASE
    clock.advance(LEASE)
    assert bring_back(store) == [job.id]


def test_a_job_that_waits_for_a_person_is_never_claimed(store: Store, clock: ManualClock) -> None:
    """It has its entry, and no time comes at which a timekeeper takes it."""
    held = place(store, SITUATIONS["held, answer lost"])
    clock.advance(10 * 365 * 86_400.0)
    assert store.due.claim(100) == []
    assert len(due_entries(store)) == 1
    assert due_at(store, held.id) == math.inf


@pytest.mark.parametrize("subject_id", ["job_GONE", "dlv_GONE_1"])
def test_an_entry_without_a_record_is_dropped(store: Store, subject_id: str) -> None:
    """What was left behind by a lost record does not come back for ever."""
    store.client.zadd(store.keys.due, {subject_id: NOW - 1.0})
    assert store.due.claim(100) == []
    assert len(due_entries(store)) == 0


def test_an_entry_whose_record_vanishes_after_the_claim_is_dropped(
    store: Store, job: JobRecord, clock: ManualClock
) -> None:
    """Handing out finds no record, publishes nothing and forgets the entry."""
    clock.advance(LEASE)
    steps = store.due.claim(100)
    store.client.delete(store.keys.job(job.id))
    assert store.due.hand_out(steps) == []
    assert len(due_entries(store)) == 0


def test_a_step_that_passed_after_the_claim_is_not_handed_out(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """Between claim and hand-out a worker finished it: the next step keeps its own due time and fence."""
    begin(store, job)
    clock.advance(LEASE)
    steps = store.due.claim(100)
    assert store.jobs.transition(job, EVENTS["delayed"])
    before = everything(store.client)
    assert store.due.hand_out(steps) == []
    assert everything(store.client) == before


def a_step(job: JobRecord) -> DueStep:
    return DueStep(subject_id=job.id, step=job.step, sku="", parent_step=job.parent_step, job_id=job.id, waiting=True)


def test_a_timekeeper_that_slept_does_not_hand_a_running_step_out(
    store: Store, job: JobRecord, clock: ManualClock
) -> None:
    """Between its claim and its hand-out another one did both, and a worker is at the step: it keeps the step."""
    clock.advance(LEASE)
    slept = store.due.claim(1)
    clock.advance(LEASE + 1.0)
    assert bring_back(store) == [job.id]
    taken = store.due.begin(job.id, job.step, TASK)
    before = everything(store.client)
    assert store.due.hand_out(slept) == []
    assert everything(store.client) == before
    assert store.due.renew([Hold(subject_id=job.id, step=job.step, fence=int(taken.fields["fence"]))]) == []


def test_a_postponed_step_is_looked_at_when_it_was_said(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A step that would only lengthen a queue waits for its pause instead of a lease."""
    store.due.postpone([a_step(job)], 45.5)
    assert due_at(store, job.id) == NOW + 45.5
    clock.advance(45.5)
    assert len(store.due.claim(100)) == 1


def test_postponing_does_not_bring_back_what_has_ended(store: Store, job: JobRecord) -> None:
    """A job that ended after the claim gets no new entry."""
    assert store.jobs.transition(job, EVENTS["cancel"])
    store.due.postpone([a_step(job)], 45.5)
    assert due_at(store, job.id) is None


def test_postponing_does_not_move_what_waits_for_a_person(store: Store, clock: ManualClock) -> None:
    """A job that was held after the claim stays due never: it has no step that a worker could take."""
    sending = place(store, SITUATIONS["submitting"])
    clock.advance(5.0)
    steps = store.due.claim(100)
    assert store.jobs.transition(sending, EVENTS["lost"])
    store.due.postpone(steps, 2.0)
    assert due_at(store, sending.id) == math.inf


def test_postponing_does_not_move_the_next_step(store: Store, clock: ManualClock) -> None:
    """A job that moved on after the claim keeps the due time that its new step was given."""
    rendering = place(store, SITUATIONS["rendering"])
    clock.advance(5.0)
    steps = store.due.claim(100)
    assert store.jobs.transition(rendering, EVENTS["poll later, overdue"])
    store.due.postpone(steps, 2.0)
    assert due_at(store, rendering.id) == clock.now() + 600.0


def test_postponing_does_not_disturb_the_worker_that_has_the_step(
    store: Store, job: JobRecord, clock: ManualClock
) -> None:
    """A step that was taken between claim and postponement keeps the lease that its worker was given."""
    clock.advance(LEASE)
    steps = store.due.claim(100)
    clock.advance(3.0)
    begin(store, job)
    store.due.postpone(steps, 2.0)
    assert due_at(store, job.id) == clock.now() + LEASE


def test_a_step_that_was_never_handed_out_can_be_postponed(store: Store) -> None:
    """A bulk job waits for its turn as often as its queue is full."""
    waiting = a_job()
    store.jobs.accept(waiting, publish=False)
    store.due.postpone(store.due.claim(100), 45.5)
    assert due_at(store, waiting.id) == NOW + 45.5


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(store: Store) -> None:
    """After its restart several steps are handed out at once as before, each of them once."""
    jobs = [a_job() for _ in range(3)]
    for job in jobs:
        store.jobs.accept(job, publish=False)
    claimed = store.due.claim(100)
    store.client.script_flush()
    assert [step.subject_id for step in store.due.hand_out(claimed)] == [step.subject_id for step in claimed]
    assert sorted(step.subject_id for step in claimed) == sorted(job.id for job in jobs)


def test_a_step_that_was_handed_out_again_can_be_postponed(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A new message of a dead worker's step that could not be published is tried again soon."""
    begin(store, job)
    clock.advance(LEASE)
    handed_out = store.due.hand_out(store.due.claim(100))
    store.due.postpone(handed_out, 2.0)
    assert due_at(store, job.id) == clock.now() + 2.0


def hold_of(job: JobRecord, fence: int = 1) -> Hold:
    return Hold(subject_id=job.id, step=job.step, fence=fence)


def test_a_living_worker_keeps_its_step(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A renewed lease lasts a whole lease from now, as often as it is renewed."""
    begin(store, job)
    for _ in range(3):
        clock.advance(LEASE / 4)
        assert store.due.renew([hold_of(job)]) == []
        assert due_at(store, job.id) == clock.now() + LEASE


def test_a_lease_that_was_given_to_another_is_lost(store: Store, job: JobRecord, clock: ManualClock) -> None:
    """A worker that was away too long hears it, and the new holder's lease is not touched."""
    begin(store, job)
    clock.advance(LEASE)
    bring_back(store)
    assert begin(store, job) == "begun"
    expected = due_at(store, job.id)
    clock.advance(5.0)
    assert store.due.renew([hold_of(job, fence=1)]) == [hold_of(job, fence=1)]
    assert due_at(store, job.id) == expected
    assert store.due.renew([hold_of(job, fence=2)]) == []


def test_a_lease_that_is_handed_out_again_is_lost_before_it_is_taken(
    store: Store, job: JobRecord, clock: ManualClock
) -> None:
    """Once a new message is on its way, the old worker no longer counts."""
    begin(store, job)
    clock.advance(LEASE)
    bring_back(store)
    assert store.due.renew([hold_of(job)]) == [hold_of(job)]


@pytest.mark.parametrize("event", ["delayed", "cancel", "refused"])
def test_the_lease_of_a_step_that_has_passed_is_lost(store: Store, job: JobRecord, event: str) -> None:
    """Renewing does not move the next step's due time, nor bring a finished job back."""
    begin(store, job)
    assert store.jobs.transition(job, EVENTS[event])
    expected = due_at(store, job.id)
    assert store.due.renew([hold_of(job)]) == [hold_of(job)]
    assert due_at(store, job.id) == expected


def test_the_next_step_s_lease_is_not_renewed_by_the_last_one_s_worker(store: Store, job: JobRecord) -> None:
    """Hand-outs are counted anew for each step, so the step's name is compared too."""
    begin(store, job)
    change = store.jobs.transition(job, EVENTS["delayed"])
    assert change is not None
    store.due.hand_out([a_step(change.after)])
    assert begin(store, change.after) == "begun"
    assert store.due.renew([hold_of(job)]) == [hold_of(job)]
    assert store.due.renew([hold_of(change.after)]) == []


def test_the_lease_of_a_job_that_is_gone_is_lost(store: Store) -> None:
    """Nothing is written for it."""
    assert store.due.renew([hold_of(a_job())])
    assert everything(store.client) == {}


def test_an_intent_leaves_its_step_held(store: Store, job: JobRecord) -> None:
    """Storing the intent is not the end of the step: its lease and its hand-out stay those of the worker."""
    begin(store, job)
    assert store.jobs.transition(job, EVENTS["intent"])
    assert store.due.renew([hold_of(job)]) == []
    assert begin(store, job) == "held"


def test_starts_are_counted_by_task(store: Store, job: JobRecord) -> None:
    """The counters that rates are made of count each start, and no duplicate."""
    begin(store, job)
    begin(store, job)
    assert store.due.begun_counts() == {TASK: 1}


def test_a_step_of_a_message_that_was_counted_is_not_counted_again(store: Store, job: JobRecord) -> None:
    """A batch is one message of its queue, so all of its steps but one are taken without a count."""
    assert store.due.begin(job.id, job.step, None).is_taken
    assert store.due.begun_counts() == {}
