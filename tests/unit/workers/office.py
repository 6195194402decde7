"""A timekeeper with everything around it in a test's hands, and jobs for it to look after."""

from __future__ import annotations

import threading
from pathlib import Path

from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.store.jobs import JobStore
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.health import Heartbeat
from workers.timekeeper import Timekeeper


class Beating(Heartbeat):
    """A heartbeat that a test can wait for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.beaten = threading.Event()

    def beat(self) -> None:
        super().beat()
        self.beaten.set()


class Office:
    """A timekeeper with everything around it in a test's hands."""

    def __init__(self, store: Store, path: Path) -> None:
        self.store = store
        self.publisher = RecordingPublisher()
        self.lengths: dict[str, int] = {}
        self.broker_away = False
        self.asked: list[str] = []
        self.heartbeat = Beating(path)
        self.monotonic = ManualClock(50.0)
        self.timekeeper = self.employ(store)

    def employ(self, store: Store) -> Timekeeper:
        """Another timekeeper, with this store, stands for the first from now on."""
        self.store = store
        self.timekeeper = Timekeeper(
            store=store,
            publisher=self.publisher,
            queue_length=self.length_of,
            heartbeat=self.heartbeat,
            interval_seconds=0.01,
            poll_batch_max=40,
            monotonic=self.monotonic.now,
        )
        return self.timekeeper

    def length_of(self, queue: str) -> int:
        self.asked.append(queue)
        if self.broker_away:
            raise ConnectionResetError("the broker is away")
        return self.lengths.get(queue, 0)

    def later(self, clock: ManualClock, seconds: float) -> int:
        """Time passes on both clocks, and the timekeeper looks once."""
        clock.advance(seconds)
        self.monotonic.advance(seconds)
        return self.timekeeper.tick()

    def begun(self, task: str, count: int) -> None:
        """So many steps of the task have been begun by the fleet."""
        self.store.client.hincrby(self.store.keys.begun, task, count)


def accepted(office: Office, count: int, **values: object) -> list[JobRecord]:
    """So many jobs that nobody has been at, the longest overdue first."""
    store = office.store
    # Without waiting for the disk: there are many of them.
    acceptance = JobStore(store.client, store.keys, store.clock, lease_seconds=20.0, retention_seconds=3600.0)
    jobs = [a_job(created_at=NOW - number / 100, **values) for number in range(count, 0, -1)]
    for job in jobs:
        acceptance.accept(job, publish=False)
    return jobs


def rendering(office: Office, count: int) -> list[JobRecord]:
    return [place(office.store, SITUATIONS["rendering"].evolve(id=a_job().id)) for _ in range(count)]
