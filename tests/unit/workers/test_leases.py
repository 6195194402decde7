"""Keeping the leases of running steps: on a thread of its own, so that nothing else can make a worker look dead."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.clock import ManualClock
from sceneshift.store.due import Hold
from sceneshift.store.opening import Store
from tasks.holds import Holds
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS
from tests.unit.store.inspection import due_at
from workers.leases import LeaseKeeper

LEASE = 20.0
PATIENCE_SECONDS = 20.0


class Pauses(threading.Event):
    """Stands in for the waiting between renewals: notes each pause, and ends the thread after so many."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.taken: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.taken.append(timeout)
        if len(self.taken) == self._count:
            self.set()
        return self.is_set()


@pytest.fixture
def holds() -> Holds:
    """The steps of this process."""
    return Holds()


@pytest.fixture
def keeper(store: Store, holds: Holds) -> LeaseKeeper:
    """A keeper of their leases that a test moves."""
    return LeaseKeeper(store.due, holds)


@pytest.fixture
def hold(store: Store) -> Hold:
    """A step that this process has begun."""
    job = a_job()
    store.jobs.accept(job, publish=True)
    assert store.due.begin(job.id, job.step, "sceneshift.submit").is_taken
    return Hold(subject_id=job.id, step=job.step, fence=1)


def fail_once(store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The next renewal ends in this error, and those after it do not."""
    renew = store.due.renew

    def failing(_holds: Sequence[Hold]) -> list[Hold]:
        monkeypatch.setattr(store.due, "renew", renew)
        raise error

    monkeypatch.setattr(store.due, "renew", failing)


def run(keeper: LeaseKeeper, rounds: int) -> list[float | None]:
    """The keeper's thread makes so many rounds and ends; returns its pauses."""
    pauses = keeper._stopping = Pauses(rounds)
    keeper.start()
    keeper._thread.join(PATIENCE_SECONDS)
    assert not keeper._thread.is_alive()
    return pauses.taken


def test_the_leases_of_running_steps_are_renewed(
    store: Store, holds: Holds, keeper: LeaseKeeper, hold: Hold, clock: ManualClock
) -> None:
    """As long as a step is held it never falls due, however long it takes; given up, it does."""
    with holds.keeping(hold):
        for _ in range(10):
            clock.advance(LEASE / 2)
            keeper.renew()
            assert store.due.claim(100) == []
        assert due_at(store, hold.subject_id) == clock.now() + LEASE
    clock.advance(LEASE)
    keeper.renew()
    assert len(store.due.claim(100)) == 1


def test_leases_are_renewed_every_third_of_a_lease(
    store: Store, holds: Holds, keeper: LeaseKeeper, hold: Hold, clock: ManualClock
) -> None:
    """Its thread begins at once, and looks often enough that one failure costs nothing."""
    clock.advance(5.0)
    with holds.keeping(hold):
        assert run(keeper, rounds=2) == [pytest.approx(LEASE / 3)] * 2
    assert due_at(store, hold.subject_id) == clock.now() + LEASE


def test_a_store_that_is_away_is_tried_again_soon(
    store: Store, holds: Holds, hold: Hold, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart of the store costs no lease: the renewal that failed is made up for in half a second."""
    fail_once(store, monkeypatch, RedisConnectionError("away"))
    clock.advance(5.0)
    with holds.keeping(hold):
        assert run(LeaseKeeper(store.due, holds), rounds=2) == [0.5, pytest.approx(LEASE / 3)]
    assert due_at(store, hold.subject_id) == clock.now() + LEASE


def test_a_mistake_of_ours_does_not_end_the_keeping(
    store: Store, holds: Holds, hold: Hold, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose leases nobody renews would look dead for ever, and have all of its steps started twice."""
    fail_once(store, monkeypatch, RuntimeError("a mistake of ours"))
    monkeypatch.setattr(threading, "excepthook", lambda _arguments: None)
    clock.advance(5.0)
    with holds.keeping(hold):
        assert len(run(LeaseKeeper(store.due, holds), rounds=2)) == 2
    assert due_at(store, hold.subject_id) == clock.now() + LEASE


def test_a_lost_lease_is_told_once_it_is_known(
    store: Store, holds: Holds, keeper: LeaseKeeper, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    """A step that goes on without its lease is a warning with its name; one that has ended meanwhile is none."""
    assert store.jobs.transition(a_job(id=hold.subject_id), EVENTS["cancel"])
    with holds.keeping(hold):
        keeper.renew()
    keeper.renew()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (record.message, record.__dict__["subject_id"]) == ("lease.lost", hold.subject_id)


def test_a_step_that_hangs_goes_to_another_worker(
    store: Store, hold: Hold, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """BRK16: its lease is not renewed any more, it is told once, and it counts as a start without an end."""
    monotonic = ManualClock(50.0)
    holds = Holds(hang_seconds=3600.0, monotonic=monotonic.now)
    keeper = LeaseKeeper(store.due, holds)
    with holds.keeping(hold):
        keeper.renew()
        monotonic.advance(3601.0)
        clock.advance(LEASE)
        keeper.renew()
        keeper.renew()
        claimed = store.due.claim(100)
        store.due.hand_out(claimed)
        taken = store.due.begin(hold.subject_id, hold.step, "sceneshift.submit")
    assert (taken.is_taken, taken.starts) == (True, 2)
    [told] = [record for record in caplog.records if record.message == "step.hangs"]
    assert (told.levelname, told.__dict__["subject_id"], told.__dict__["step"]) == ("ERROR", hold.subject_id, hold.step)


def test_nothing_is_asked_for_a_process_that_does_nothing(
    store: Store, keeper: LeaseKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker leaves the job store alone."""
    asked: list[object] = []
    monkeypatch.setattr(store.due, "renew", asked.append)
    keeper.renew()
    assert asked == []


def test_a_keeper_ends_when_it_is_told_to(keeper: LeaseKeeper) -> None:
    """Its thread is gone when `stop` returns."""
    keeper.start()
    keeper.stop()
    assert not keeper._thread.is_alive()
