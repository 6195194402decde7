"""An open breaker: what is to be submitted is parked without messages, one finds out, and all come back spaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sceneshift.clock import ManualClock
from sceneshift.store.due import DueStep
from sceneshift.store.permits import Limits, Permits
from tests.factories import NOW
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import due_at, place
from tests.unit.workers.breakers import ScriptedBreaker
from tests.unit.workers.office import Office, accepted

TICK = 0.1
LOOK = 2.0


@pytest.fixture
def breaker(office: Office) -> ScriptedBreaker:
    """The office's breaker, in a test's hands."""
    return ScriptedBreaker(office)


def limited(office: Office, submit_rate: float) -> None:
    store = office.store
    permits = Permits(store.client, store.keys, store.clock, Limits(submit_rate=submit_rate))
    office.employ(replace(store, permits=permits))


class Counted:
    """How many steps are put off and handed out from now on."""

    def __init__(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        due = office.store.due
        self.scripts: Counter[str] = Counter()
        for name in ("postpone", "hand_out"):
            monkeypatch.setattr(due, name, self._counting(name, getattr(due, name)))

    def _counting(self, name: str, call: Any) -> Any:
        def counting(steps: Sequence[DueStep], *arguments: float, **options: Any) -> Any:
            self.scripts[name] += len(steps)
            return call(steps, *arguments, **options)

        return counting


def test_what_is_to_be_submitted_is_parked_without_messages(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker
) -> None:
    """New jobs and delayed ones stay queued at the due index, and say why and until when."""
    (new,) = accepted(office, 1)
    delayed = place(office.store, SITUATIONS["queued after a refusal"])
    breaker.opens(until=NOW + 60.0)
    office.later(clock, 1.5)
    assert office.publisher.calls == []
    for job in (new, delayed):
        stored = office.store.jobs.load(job.id)
        assert stored is not None
        assert (stored.state, stored.step, stored.revision) == ("queued", job.step, job.revision)
        assert stored.blocked_by == "provider_unavailable"
        assert stored.blocked_until == pytest.approx(NOW + 60.0, abs=0.1)
        assert clock.now() < (due_at(office.store, job.id) or 0.0) <= clock.now() + LOOK + 0.1


def test_a_request_that_may_be_at_the_provider_is_not_parked(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker
) -> None:
    """Its worker is dead, and whoever takes its step recovers it instead of sending anything; those beside it wait."""
    accepted(office, 1)
    sending = place(office.store, SITUATIONS["submitting"].evolve(fence=2, begun=1))
    breaker.opens(until=NOW + 60.0)
    office.later(clock, 1.5)
    assert office.publisher.task_ids == [f"{sending.id}:submit-1"]
    assert due_at(office.store, sending.id) == clock.now() + office.store.due.lease_seconds
    stored = office.store.jobs.load(sending.id)
    assert stored is not None
    assert stored.blocked_by == ""


def test_other_work_goes_on(office: Office, clock: ManualClock, breaker: ScriptedBreaker) -> None:
    """Results are asked for and copied while nothing is submitted, and nobody asks about the breaker for that."""
    place(office.store, SITUATIONS["rendering"])
    breaker.opens(until=NOW + 60.0)
    office.later(clock, 2.0)
    assert [message.task for message in office.publisher.messages] == ["sceneshift.poll"]
    assert breaker.looks == 0


def test_one_finds_out_whether_the_provider_is_back(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker
) -> None:
    """The longest overdue is let through, and for the time that it may take, nobody else."""
    jobs = accepted(office, 20)
    office.lengths["sceneshift.submit"] = 10_000
    breaker.opens(until=NOW, lets_one_through=True)
    office.timekeeper.tick()
    for _ in range(15):
        office.later(clock, TICK)
    assert office.publisher.task_ids == [f"{jobs[0].id}:submit-1"]
    stored = office.store.jobs.load(jobs[0].id)
    assert stored is not None
    assert stored.blocked_by == ""
    for _ in range(10):
        office.later(clock, TICK)
    assert len(office.publisher.task_ids) == 2


def test_the_one_goes_exactly_when_the_breaker_says(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker
) -> None:
    """However often it was looked at before, it is there at the moment of the next probe."""
    (job,) = accepted(office, 1)
    breaker.opens(until=NOW + 7.3)
    while clock.now() < NOW + 7.15:
        office.later(clock, TICK)
    assert office.publisher.calls == []
    assert due_at(office.store, job.id) == NOW + 7.3
    breaker.opens(until=NOW + 60.0, lets_one_through=True)
    office.later(clock, TICK)
    assert office.publisher.task_ids == [f"{job.id}:submit-1"]


def test_an_outage_with_many_jobs_costs_little_at_each_tick(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first look, five hundred jobs are fifty steps in a tick at the most, and the breaker is asked once."""
    accepted(office, 500)
    breaker.opens(until=NOW + 1200.0)
    office.timekeeper.tick()
    counted = Counted(office, monkeypatch)
    for _ in range(50):
        breaker.looks = 0
        before = counted.scripts["postpone"]
        office.later(clock, TICK)
        assert counted.scripts["postpone"] - before <= 51
        assert breaker.looks <= 1
    assert counted.scripts["hand_out"] == 0
    assert counted.scripts["postpone"] <= 500 * 5.0 / LOOK
    assert office.publisher.calls == []


def test_after_an_outage_all_come_back_soon_and_without_a_burst(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker
) -> None:
    """Without a rate, five hundred jobs are handed out within a look and a second, fifty in a tick at the most."""
    jobs = accepted(office, 500)
    breaker.opens(until=NOW + 1200.0)
    for _ in range(30):
        office.later(clock, TICK)
    breaker.closes()
    closed_at = clock.now()
    while len(office.publisher.messages) < len(jobs):
        before = len(office.publisher.messages)
        office.later(clock, TICK)
        assert len(office.publisher.messages) - before <= 51
        assert clock.now() <= closed_at + LOOK + 500 / 500 + TICK
    assert set(office.publisher.task_ids) == {f"{job.id}:submit-1" for job in jobs}


def test_after_an_outage_all_come_back_at_their_rate(
    office: Office, clock: ManualClock, breaker: ScriptedBreaker
) -> None:
    """Ten a second are ten a second from the moment that the breaker closes, and the last is not late."""
    limited(office, 10.0)
    jobs = accepted(office, 40)
    breaker.opens(until=NOW + 1200.0)
    for _ in range(100):
        office.later(clock, TICK)
    breaker.closes()
    closed_at = clock.now()
    while len(office.publisher.messages) < len(jobs):
        before = len(office.publisher.messages)
        office.later(clock, TICK)
        assert len(office.publisher.messages) - before <= 2
        assert clock.now() <= closed_at + LOOK + 40 / 10 + TICK
    assert {message.kwargs["job_id"] for message in office.publisher.messages} == {job.id for job in jobs}


def test_those_that_come_later_stand_behind(office: Office, breaker: ScriptedBreaker) -> None:
    """Jobs that were parked at different times come back one after the other too."""
    limited(office, 10.0)
    breaker.opens(until=NOW + 1200.0)
    first = accepted(office, 20)
    office.timekeeper.tick()
    second = accepted(office, 20)
    office.timekeeper.tick()
    looks = [due_at(office.store, job.id) or 0.0 for job in (*first, *second)]
    assert looks == pytest.approx([NOW + LOOK + place / 10 for place in range(40)], abs=0.001)
