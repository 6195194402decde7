"""Lanes: who may go to an endpoint, who waits, and who is woken when there is room."""

from __future__ import annotations

import math

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.lanes import LaneKind
from sceneshift.store.opening import Store
from tests.unit.store.outbox import LANE, REFUSED, SILENT, TAKEN, URL, Outbox

HOUR = 3600.0


@pytest.fixture
def outbox(store: Store) -> Outbox:
    """An endpoint that was never tried."""
    return Outbox(store)


def test_an_endpoint_that_was_never_tried_gets_one_event_at_a_time(outbox: Outbox) -> None:
    """The second waits without a worker, and is looked at as soon as the first has an outcome."""
    first, second = outbox.event(), outbox.event()
    entry = outbox.enter(first)
    assert (entry.may_go, entry.kind) == (True, LaneKind.UNTRIED)
    assert outbox.waits(second) == "full"
    assert outbox.due_in(second) > 0.7 * HOUR
    outbox.settle(first)
    assert outbox.due_in(second) == 0.0
    entry = outbox.enter(second)
    assert (entry.may_go, entry.kind) == (True, LaneKind.QUICK)


@pytest.mark.parametrize(
    ("outcome", "seconds", "kind", "at_once"),
    [(TAKEN, 0.9, LaneKind.QUICK, 8), (TAKEN, 1.1, LaneKind.SLOW, 4), (SILENT, 15.0, LaneKind.FAILING, 2)],
)
def test_what_the_last_attempt_said_limits_the_next_ones(
    outbox: Outbox, outcome: object, seconds: float, kind: LaneKind, at_once: int
) -> None:
    """Over the whole fleet: half of a process's threads for a quick endpoint, a quarter for a slow one, else two."""
    outbox.attempt(outbox.event(), outcome, seconds=seconds)  # type: ignore[arg-type]  # parametrised
    entries = [outbox.enter(outbox.event()) for _ in range(10)]
    assert [entry.may_go for entry in entries].count(True) == at_once
    assert {entry.kind for entry in entries if entry.may_go} == {kind}


def test_who_waits_was_never_taken(outbox: Outbox, store: Store) -> None:
    """No start is counted, no duplicate of its message can take it, and the worker's lease is renewed no more."""
    outbox.enter(outbox.event())
    second = outbox.event()
    assert outbox.waits(second) == "full"
    waiting = outbox.load(second)
    assert (waiting.starts, waiting.attempts, waiting.step, waiting.status) == (0, 0, "notify-01", "pending")
    assert store.due.renew([outbox.holds[second]]) == [outbox.holds[second]]
    assert outbox.due_in(second) > 0.7 * HOUR
    assert store.due.begin(second, "notify-01", None).status == "held"


def test_a_delivery_whose_lease_is_lost_enters_nothing(outbox: Outbox, store: Store) -> None:
    """Whoever has it now is not disturbed."""
    delivery = outbox.event()
    hold = outbox.take(delivery)
    outbox.take(delivery)
    entry = store.lanes.enter(hold, LANE, occurred_at=0.0, limits={LaneKind.UNTRIED: 1})
    assert (entry.status, entry.may_go) == ("lost", False)


def test_a_dead_worker_s_place_becomes_free(outbox: Outbox, clock: ManualClock) -> None:
    """The delivery itself comes back at once, and others when its attempt must have ended."""
    first, second = outbox.event(), outbox.event()
    assert outbox.enter(first).may_go
    assert outbox.enter(first).may_go
    assert outbox.waits(second) == "full"
    clock.advance(25.1)
    assert outbox.enter(second).may_go


def test_who_is_let_in_and_has_no_thread_waits_in_the_lane(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """It is uncounted and its place is free; after the pause the first of the lane is looked at, and only that."""
    outbox.attempt(outbox.event(), SILENT)
    clock.advance(1.0)
    deliveries = outbox.events(3)
    for delivery in deliveries:
        if outbox.enter(delivery).may_go:
            store.lanes.leave(outbox.holds[delivery], LANE, occurred_at=outbox.load(delivery).occurred_at, seconds=1.0)
    first, *others = deliveries
    assert outbox.due_in(first) == pytest.approx(1.0)
    assert all(outbox.due_in(delivery) > 0.7 * HOUR for delivery in others[1:])
    assert {outbox.load(delivery).starts for delivery in deliveries} == {0}
    assert store.due.renew([outbox.holds[first]])
    assert (store.lanes.get(LANE).running, store.lanes.get(LANE).waiting) == (0, 3)
    clock.advance(1.0)
    for delivery in deliveries:
        assert outbox.due_in(delivery) <= 0.001
        assert outbox.attempt(delivery).status == "delivered"


def test_three_failures_leave_an_endpoint_to_one_probe_at_a_time(outbox: Outbox, clock: ManualClock) -> None:
    """New events wait; the oldest of them is looked at when the probe is due, and nobody beside it."""
    outbox.open()
    first, second = outbox.events(2)
    assert outbox.waits(first) == outbox.waits(second) == "open"
    pause = outbox.due_in(first)
    assert 0 < pause < 6.0
    assert outbox.due_in(second) > 0.7 * HOUR
    clock.advance(pause)
    entry = outbox.enter(first)
    assert (entry.may_go, entry.is_probe) == (True, True)
    assert outbox.waits(second) == "open"


def test_probes_come_after_pauses_that_double_to_half_an_hour(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """Each time with the oldest event that waits; ±20 %."""
    outbox.open()
    pauses = []
    for _ in range(12):
        delivery = outbox.event()
        probe_at = store.lanes.get(LANE).probe_at
        assert probe_at is not None
        pauses.append(probe_at - clock.now())
        clock.advance(max(0.0, pauses[-1]))
        outbox.attempt(delivery, SILENT)
    wanted = [5.0 * 2**number for number in range(9)] + [1800.0] * 3
    assert pauses[1:] == [pytest.approx(pause, rel=0.21) for pause in wanted[1:]]


def test_a_probe_goes_on_by_its_own_schedule(outbox: Outbox, clock: ManualClock) -> None:
    """What falls due by itself is as good a probe as any; its tries are not spent faster than it has them."""
    *_, last = outbox.open()
    clock.advance(6.0)
    entry = outbox.enter(last)
    assert (entry.may_go, entry.is_probe) == (True, True)
    outbox.settle(last, REFUSED)
    assert outbox.due_in(last) == pytest.approx(300.0, rel=0.21)


def test_an_endpoint_that_is_back_catches_up_in_order_and_one_at_a_time(
    outbox: Outbox, store: Store, clock: ManualClock
) -> None:
    """Each outcome makes the next one due, not faster than the rate; what happens meanwhile stands behind."""
    failed = outbox.open()
    probe, second, third, fourth = outbox.events(4)
    for delivery in (probe, second, third, fourth):
        outbox.enter(delivery)
    clock.advance(6.0)
    outbox.attempt(probe)
    assert store.lanes.get(LANE).is_catching_up
    for delivery in failed:
        assert outbox.due_in(delivery) <= 0.001
        outbox.attempt(delivery)
        clock.advance(0.1)
    late = outbox.event()
    assert outbox.waits(late) == outbox.waits(third) == "catching_up"
    assert outbox.due_in(second) <= 0.001
    assert outbox.enter(second).may_go
    assert outbox.waits(third) == "catching_up"
    outbox.settle(second)
    assert outbox.due_in(third) == pytest.approx(0.1, abs=0.001)
    assert outbox.waits(third) == "catching_up"
    for delivery in (third, fourth, late):
        clock.advance(0.1)
        assert outbox.due_in(delivery) <= 0.001
        outbox.attempt(delivery)
    lane = store.lanes.get(LANE)
    assert (lane.status, lane.is_catching_up, lane.waiting, store.lanes.failing()) == ("closed", False, 0, [])


def test_an_event_that_is_refused_does_not_block_those_behind_it(
    outbox: Outbox, store: Store, clock: ManualClock
) -> None:
    """It goes on by its own schedule, while they are delivered."""
    refused, second, third = outbox.open()
    clock.advance(6.0)
    outbox.attempt(outbox.event())
    outbox.attempt(refused, REFUSED)
    assert outbox.due_in(refused) == pytest.approx(300.0, rel=0.21)
    for delivery in (second, third):
        clock.advance(0.1)
        assert outbox.due_in(delivery) <= 0.001
        assert outbox.attempt(delivery).status == "delivered"
    assert outbox.due_in(refused) == pytest.approx(300.0, rel=0.21)
    assert store.lanes.get(LANE).status == "closed"


def test_an_older_event_that_comes_late_goes_first(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """The one that was woken steps back, and is woken again."""
    store.lanes.disable(LANE, url=URL)
    older, newer = outbox.events(2)
    outbox.enter(newer)
    store.lanes.enable(LANE)
    assert outbox.due_in(newer) <= 0.0
    assert outbox.enter(older).may_go
    assert outbox.waits(newer) == "catching_up"
    clock.advance(1.0)
    outbox.settle(older)
    assert outbox.due_in(newer) <= 0.001


def test_a_healthy_endpoint_is_forgotten_after_a_week(outbox: Outbox, store: Store) -> None:
    """One that is not well is remembered until it is."""
    failed = outbox.event()
    outbox.attempt(failed, REFUSED)
    key = store.keys.lane(LANE)
    assert store.client.ttl(key) == -1
    assert store.lanes.failing() == [LANE]
    outbox.attempt(failed)
    assert 7 * 86_400 - 10 < store.client.ttl(key) <= 7 * 86_400
    assert store.lanes.failing() == []


def test_a_person_disables_and_enables_an_endpoint(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """Meanwhile its events wait for as long as it takes; afterwards they come by themselves, in their order."""
    assert store.lanes.disable(LANE, url=URL)
    assert not store.lanes.disable(LANE, url=URL)
    first = outbox.event()
    clock.advance(1.0)
    second = outbox.event()
    for delivery in (first, second):
        assert outbox.waits(delivery) == "disabled"
        assert outbox.due_in(delivery) == math.inf
    assert store.lanes.failing() == [LANE]
    assert store.lanes.enable(LANE) == 2
    assert outbox.due_in(first) == 0.0
    outbox.attempt(first)
    clock.advance(0.1)
    outbox.attempt(second)
    assert store.lanes.enable(LANE) == 0
    assert store.lanes.get(LANE).disabled_by == ""
