"""The ledger as it is kept: the sums of each day say what the jobs' records say, and decisions have their names."""

from __future__ import annotations

import random

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.events import IntentStored, Refunded, Resolved, Retried, SubmissionAccepted, SubmissionLost
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge
from sceneshift.store.ledger import Amount
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.jobs.bookkeeping import WALK_EVENTS, Book, possible
from tests.unit.jobs.situations import EVENTS, LATE_KEY, LOST, SITUATIONS
from tests.unit.store.inspection import place

TODAY, TOMORROW = "2026-11-23", "2026-11-24"
IMAGES = 2


def sums(store: Store) -> dict[tuple[Charge, str], Amount]:
    """Every line of every day, added up."""
    found: dict[tuple[Charge, str], Amount] = {}
    for day in store.ledger.days():
        for line, amount in store.ledger.day(day).entries.items():
            found[line] = found.get(line, Amount()) + amount
    return {line: amount for line, amount in found.items() if amount != Amount()}


def put(store: Store, job: JobRecord, *names: str) -> JobRecord:
    """The job after these events, each of which it takes."""
    for name in names:
        change = store.jobs.transition(job, WALK_EVENTS[name])
        assert change is not None, name
        job = change.after
    return job


@pytest.mark.parametrize("seed", range(6))
def test_the_days_add_up_to_the_submissions(store: Store, clock: ManualClock, seed: int) -> None:
    """After any walk of a job over some days, each of its submissions is in one line of one day, with its images."""
    chance = random.Random(seed)
    job, book = place(store, SITUATIONS["queued"]), Book()
    for _ in range(25):
        clock.advance(chance.random() * 20_000.0)
        names = sorted(possible(job, clock.now()))
        if not names:
            break
        job = put(store, job, name := chance.choice(names))
        book.note(name, job)
        expected = {line: Amount(submissions=count, images=count * IMAGES) for line, count in book.lines(job).items()}
        assert sums(store) == expected, name


def test_a_day_says_what_its_submissions_cost(store: Store, clock: ManualClock) -> None:
    """A submission stays on the day of its intent, whenever it is accepted; totals are by charge."""
    clock.advance(86_390.0)
    paid = put(store, place(store, SITUATIONS["queued"]), "intent")
    clock.advance(20.0)
    put(store, paid, "accepted")
    put(store, place(store, SITUATIONS["queued"].evolve(id=a_job().id)), "intent", "lost, fail")
    assert store.ledger.days() == [TOMORROW, TODAY]
    first, second = store.ledger.day(TODAY), store.ledger.day(TOMORROW)
    assert dict(first.entries) == {(Charge.CHARGED, "rendering"): Amount(submissions=1, images=IMAGES)}
    assert second.total(Charge.UNKNOWN) == Amount(submissions=1, images=IMAGES)
    assert second.total(Charge.CHARGED, Charge.NOT_CHARGED) == Amount()


def test_a_day_without_submissions_is_empty(store: Store) -> None:
    """Nothing is said of a day on which there was nothing."""
    assert store.ledger.days() == []
    day = store.ledger.day(TODAY)
    assert (dict(day.entries), day.decisions, day.total(*Charge)) == ({}, (), Amount())


def test_every_decision_is_there_with_who_and_why(store: Store, clock: ManualClock) -> None:
    """In their order, each with its job, its cost and what the job had cost then."""
    job = put(store, place(store, SITUATIONS["queued"]), "intent")
    policy = SubmissionLost(fault=LOST, then="resubmit", by="policy resubmit(1, 20)", retry_in_seconds=10.0)
    change = store.jobs.transition(job, policy)
    assert change is not None
    clock.advance(5.0)
    job = put(store, change.after, "intent", "lost, fail")
    change = store.jobs.transition(job, Retried(by="ann", why="a good customer", from_submit=True))
    assert change is not None
    job = put(store, change.after, "intent", "accepted", "rendering failed")
    assert store.jobs.transition(job, Refunded(by="bob", why="invoice 7"))
    told = [
        (each.at, each.job_id, each.action, each.by, each.why, each.images, each.charge)
        for each in store.ledger.day(TODAY).decisions
    ]
    assert told == [
        (NOW, job.id, "resubmit", "policy resubmit(1, 20)", LOST.message, IMAGES, Charge.UNKNOWN),
        (NOW + 5.0, job.id, "fail", "policy fail", LOST.message, 0, Charge.UNKNOWN),
        (NOW + 5.0, job.id, "retry_submit", "ann", "a good customer", IMAGES, Charge.UNKNOWN),
        (NOW + 5.0, job.id, "refund", "bob", "invoice 7", 0, Charge.REFUNDED_BY_HAND),
    ]


def left_behind(store: Store) -> JobRecord:
    """A submission whose job was submitted again since."""
    sent = put(store, place(store, SITUATIONS["queued"]), "intent")
    again = put(store, sent, "lost, resubmit")
    assert store.jobs.transition(again, IntentStored(nonce="another", request_hash="d" * 64))
    return sent


def test_a_submission_that_was_left_behind_can_turn_out_to_be_charged(store: Store, clock: ManualClock) -> None:
    """Its line says so, once, however often and however much later that is noticed; the decision list has the key."""
    sent = left_behind(store)
    assert store.jobs.transition(sent, EVENTS["accepted"]) is None
    assert store.ledger.note_unclaimed(sent, LATE_KEY, left_behind=True)
    assert not store.ledger.note_unclaimed(sent, LATE_KEY, left_behind=True)
    clock.advance(86_400.0)
    assert not store.ledger.note_unclaimed(sent, LATE_KEY, left_behind=True)
    one = Amount(submissions=1, images=IMAGES)
    assert sums(store) == {(Charge.CHARGED, "superseded"): one, (Charge.UNKNOWN, "submitting"): one}
    (told,) = [each for each in store.ledger.day(TODAY).decisions if each.action == "unclaimed"]
    assert (told.by, told.job_id, told.charge, LATE_KEY in told.why) == ("provider", sent.id, Charge.CHARGED, True)


@pytest.mark.parametrize("days", [0, 1])
def test_a_job_that_goes_on_under_the_key_of_an_earlier_submission_is_charged_once(
    store: Store, clock: ManualClock, days: int
) -> None:
    """A person attaches the late key: one is charged, and the later submission is the one of which nobody knows."""
    clock.advance(86_000.0)
    sent = put(store, place(store, SITUATIONS["queued"]), "intent")
    clock.advance(days * 1000.0)
    again = put(store, put(store, sent, "lost, resubmit"), "intent")
    held = put(store, again, "lost")
    assert store.ledger.note_unclaimed(sent, "first", left_behind=True)
    assert store.jobs.transition(held, Resolved(action="attach", by="ann", result_key="first"))
    one = Amount(submissions=1, images=IMAGES)
    lines = [store.ledger.day(day).entries for day in reversed(store.ledger.days())]
    assert lines[0][Charge.UNKNOWN, "superseded"] == one
    assert lines[-1][Charge.CHARGED, "rendering"] == one
    assert sum(len(entries) for entries in lines) == 2


def test_a_request_that_was_accepted_twice_is_charged_twice(store: Store) -> None:
    """Where the provider does not refuse a nonce that it has seen, the second key is one charge more, and none less."""
    sent = put(store, place(store, SITUATIONS["queued"]), "intent")
    put(store, sent, "probe", "accepted")
    second = SubmissionAccepted(result_key="second", request_id=None, first_poll_in_seconds=0.0)
    assert store.jobs.transition(sent, second) is None
    assert store.ledger.note_unclaimed(sent, "second", left_behind=False)
    one = Amount(submissions=1, images=IMAGES)
    assert sums(store) == {(Charge.CHARGED, "rendering"): one, (Charge.CHARGED, "superseded"): one}


def test_the_own_key_of_a_job_is_no_charge_more(store: Store, clock: ManualClock) -> None:
    """An acceptance that arrives again, even on the day after, is known."""
    clock.advance(86_390.0)
    sent = put(store, place(store, SITUATIONS["queued"]), "intent")
    put(store, sent, "accepted")
    clock.advance(20.0)
    assert not store.ledger.note_unclaimed(sent, LATE_KEY, left_behind=False)
    assert sums(store) == {(Charge.CHARGED, "rendering"): Amount(submissions=1, images=IMAGES)}


def test_the_ledger_outlives_the_jobs(store: Store) -> None:
    """It is kept for longer than a year, beside jobs that are forgotten after a month."""
    put(store, place(store, SITUATIONS["queued"]), "intent", "lost, fail")
    for key in (store.keys.ledger(TODAY), store.keys.decisions(TODAY)):
        assert 399 * 86_400_000 < store.client.pttl(key) <= 400 * 86_400_000
