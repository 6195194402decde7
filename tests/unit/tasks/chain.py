"""One job from its acceptance to its webhook, in worker processes that a test kills.

The processes here have what real ones have: the tasks, a timekeeper, and a connection to the job store, the provider,
the bucket, the receiver and the broker. A killed one does nothing any more, not even clean up.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.messages import StepMessage, step_message
from sceneshift.provider.protocol import Pending, QueryOutcome, Succeeded
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import open_job_store
from tasks.replay import replay
from tasks.services import Services, provide_services
from tests.unit.tasks.lifespan import KilledError, Lifespan, mortal
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.workshop import Workshop
from workers.embedded.redis_server import RedisServer
from workers.health import Heartbeat
from workers.timekeeper import Timekeeper

ROUNDS_MAX = 200


class Broker:
    """A queue of messages. It may lose the first copy of each, or hand each one out twice."""

    def __init__(self, *, copies: Sequence[int] = (1,)) -> None:
        self.queue: deque[StepMessage] = deque()
        self._copies = copies
        self._seen = Counter[str]()

    def publish(self, messages: Sequence[StepMessage]) -> bool:
        for message in messages:
            nth = min(self._seen[message.task_id], len(self._copies) - 1)
            self._seen[message.task_id] += 1
            self.queue.extend([message] * self._copies[nth])
        return True


class Chain:
    """One job in a deployment whose worker processes are started one after the other."""

    def __init__(self, work: Workshop, broker: Broker, heartbeat: Path, *, returns: bool = True) -> None:
        self.work = work
        self.broker = broker
        self.returns = returns
        """Whether the broker hands a killed worker's message out again; if not, it is lost."""
        self._heartbeat = heartbeat
        self._answers: deque[QueryOutcome] = deque([Pending(provider_status="RUNNING")])
        work.provider.on_query = self._answer
        work.use(publisher=broker)
        self.job_id = work.accept().id
        first = step_message(
            subject_id=self.job_id, step="submit-1", sku="PERF-050", parent_step="", job_id=self.job_id
        )
        broker.publish([first])

    def _answer(self, _key: str) -> QueryOutcome:
        return self._answers.popleft() if self._answers else Succeeded(urls=result_urls(2))

    def live(self, life: Lifespan) -> None:
        """A worker process takes messages and looks after what is due, until nothing is left to do or it is killed."""
        services = mortal(self.work.services, life)
        provide_services(services)
        try:
            replay(services)
            self._look_after(services)
        finally:
            # The operating system lets go of a dead process's files.
            services.spool.close()

    def _look_after(self, services: Services) -> None:
        timekeeper = Timekeeper(
            store=services.store,
            publisher=services.publisher,
            queue_length=lambda _queue: len(self.broker.queue),
            heartbeat=Heartbeat(self._heartbeat),
            interval_seconds=1.0,
            monotonic=self.work.clock.now,
        )
        for _ in range(ROUNDS_MAX):
            if self.broker.queue:
                self._work_off(self.broker.queue.popleft())
            elif not timekeeper.tick() and not self._wait_for_what_is_due():
                return
        pytest.fail(f"still at it after {ROUNDS_MAX} rounds")

    def _work_off(self, message: StepMessage) -> None:
        try:
            self.work.run(message)
        except KilledError:
            if self.returns:
                self.broker.queue.append(message)
            raise

    def _wait_for_what_is_due(self) -> bool:
        store = self.work.store
        entries: list[tuple[str, float]] = store.client.zrange(store.keys.due, 0, 0, withscores=True)  # type: ignore[assignment]
        if not entries or entries[0][1] == math.inf:
            return False
        self.work.clock.advance(max(0.0, entries[0][1] - self.work.clock.now()) + 0.001)
        return True

    def run(self, *lives: Lifespan) -> None:
        """These processes, each until it is killed, and then one that lives."""
        for life in (*lives, Lifespan()):
            try:
                self.live(life)
            except KilledError:
                continue

    @property
    def job(self) -> JobRecord:
        return self.work.job(self.job_id)


class Town:
    """Makes chains, each on an empty job store with fresh ports.

    With limits, another job has reserved the moment before: each chain begins with a wait for its own.
    """

    def __init__(self, server: RedisServer, settings: Settings, path: Path) -> None:
        self.client = connect(server.url, TIMEKEEPER)
        self._settings = settings
        self._path = path

    def chain(self, broker: Broker | None = None, *, returns: bool = True) -> Chain:
        self.client.flushdb()
        clock = ManualClock()
        store = open_job_store(self._settings, patience=TIMEKEEPER, client=self.client, clock=clock)
        store.permits.reserve_submission("job_before")
        work = Workshop(store, self._settings, clock)
        return Chain(work, broker or Broker(), self._path / "heartbeat", returns=returns)
