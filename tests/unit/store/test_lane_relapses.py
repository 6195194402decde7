"""Endpoints that are back only for a while, and failures of our own: neither may cost an event its delivery."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.delivery_schedule import PAUSES_SECONDS, AttemptOutcome
from sceneshift.jobs.lanes import PROBE_WITH_MISSED_SECONDS
from sceneshift.store.opening import Store
from tests.unit.store.outbox import LANE, REFUSED, SILENT, Outbox

OUR_FAULT = AttemptOutcome(summary="no_webhook_secret")
MINUTE = 60.0


@pytest.fixture
def outbox(store: Store) -> Outbox:
    """An endpoint that was never tried."""
    return Outbox(store)


def use_up(outbox: Outbox, delivery_id: str) -> None:
    """Only its last try is left."""
    outbox.store.client.hset(outbox.store.keys.delivery(delivery_id), "attempts", str(len(PAUSES_SECONDS)))


def test_a_missed_event_is_not_given_up_when_its_endpoint_fails_again(
    outbox: Outbox, store: Store, clock: ManualClock
) -> None:
    """Its tries were to begin anew, and it had no turn yet: as a probe it spends none that it has not."""
    failed = outbox.open()
    missed, back = outbox.events(2)
    use_up(outbox, missed)
    clock.advance(MINUTE)
    assert outbox.attempt(missed, SILENT).status == "missed"
    clock.advance(MINUTE)
    assert outbox.attempt(back).status == "delivered"
    for delivery in failed:
        clock.advance(0.1)
        outbox.attempt(delivery, REFUSED)
    assert store.lanes.get(LANE).status == "open"
    clock.advance(MINUTE)
    entry = outbox.enter(missed)
    assert (entry.may_go, entry.is_probe) == (True, True)
    assert outbox.settle(missed, SILENT).status == "missed"
    clock.advance(MINUTE)
    assert outbox.attempt(outbox.event()).status == "delivered"
    for delivery in (*failed, missed):
        clock.advance(0.1)
        assert outbox.due_in(delivery) <= 0.001
        assert outbox.attempt(delivery).status == "delivered"


def test_what_fails_on_our_side_is_given_up_in_sight_of_all(outbox: Outbox, store: Store) -> None:
    """Its endpoint is not away, so nothing would ever wake it: it is on the list of those that were given up."""
    delivery = outbox.event()
    use_up(outbox, delivery)
    assert outbox.attempt(delivery, OUR_FAULT).status == "exhausted"
    assert store.client.zscore(store.keys.exhausted_deliveries, delivery) is not None
    assert store.due.due_at(delivery) is None


def test_what_fails_on_our_side_waits_for_an_endpoint_that_is_away(outbox: Outbox, clock: ManualClock) -> None:
    """The fault of the last try does not hide that the endpoint was the reason before."""
    failed, *_ = outbox.open()
    use_up(outbox, failed)
    clock.advance(MINUTE)
    assert outbox.attempt(failed, OUR_FAULT).status == "missed"


def test_whoever_waits_at_an_endpoint_that_is_well_is_found(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """Also when the lane was forgotten while somebody waited in it for good: a look brings them back."""
    outbox.open()
    missed, waiting = outbox.events(2)
    use_up(outbox, missed)
    clock.advance(MINUTE)
    outbox.attempt(missed, SILENT)
    store.lanes.disable(LANE, url="https://shop.example/hooks")
    assert outbox.waits(waiting) == "disabled"
    store.client.delete(store.keys.lane(LANE))
    store.lanes.look(LANE)
    assert outbox.due_in(waiting) <= 0.001
    assert outbox.due_in(missed) == pytest.approx(PROBE_WITH_MISSED_SECONDS)
    assert outbox.attempt(waiting).status == "delivered"
    lane = store.lanes.get(LANE)
    assert (lane.is_catching_up, lane.missed) == (True, 0)


def test_catching_up_ends_with_what_was_missed(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """However much happens meanwhile: what occurred since the endpoint was back goes as fast as it takes that."""
    backlog = outbox.open()
    clock.advance(MINUTE)
    outbox.attempt(outbox.event())
    late: list[str] = []
    for delivery in backlog:
        assert store.lanes.get(LANE).is_catching_up
        clock.advance(0.1)
        late += [outbox.event(), outbox.event()]
        assert {outbox.waits(each) for each in late[-2:]} == {"catching_up"}
        outbox.attempt(delivery)
    lane = store.lanes.get(LANE)
    assert (lane.status, lane.is_catching_up, lane.waiting, store.lanes.failing()) == ("closed", False, 6, [])
    assert [outbox.due_in(each) <= 0.001 for each in late] == [True] * 6
    assert [outbox.enter(each).may_go for each in late] == [True] * 6


def test_a_long_line_is_not_looked_at_again_and_again(outbox: Outbox, store: Store, clock: ManualClock) -> None:
    """Whoever is far back is looked at when its turn can come at the earliest: ten of them in a second."""
    outbox.open()
    first = outbox.event()
    assert outbox.waits(first) == "open"
    occurred_at = outbox.load(first).occurred_at
    line = {f"dlv_{number}": occurred_at + 0.1 for number in range(50_000)}
    store.client.zadd(store.keys.lane_waiting(LANE), line)
    clock.advance(1.0)
    late = outbox.event()
    assert outbox.waits(late) == "open"
    assert outbox.due_in(late) == pytest.approx(5000.0, abs=1.0)


def test_events_that_come_late_do_not_slow_the_catching_up_down(
    outbox: Outbox, store: Store, clock: ManualClock
) -> None:
    """Each is looked at a little after its time, as in real life; the rate is reached, and no burst is a long one."""
    failed, events = outbox.open(), [outbox.event() for _ in range(40)]
    for delivery in events:
        outbox.waits(delivery)
    clock.advance(MINUTE)
    outbox.attempt(outbox.event())
    times: list[float] = []
    while line := store.client.zrange(store.keys.lane_waiting(LANE), 0, 0):
        head = str(line[0])
        clock.advance(max(0.0, outbox.due_in(head)) + 0.06)
        if outbox.enter(head).may_go:
            times.append(clock.now())
            clock.advance(0.02)
            outbox.settle(head)
    assert {outbox.load(delivery).status for delivery in (*failed, *events)} == {"delivered"}
    assert times[-1] - times[0] == pytest.approx(len(times) / store.lanes.policy.catch_up_per_second, abs=1.0)
    assert all(later - earlier >= 0.99 for earlier, later in zip(times, times[20:], strict=False))
