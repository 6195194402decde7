"""The timekeeper: claims what is due and publishes its ordinary Celery message, in every worker, without a leader.

It also renews the leases of the steps that this process is at, and leaves a sign of life for health checks. It has its
own thread and its own connection to the job store, so that neither a busy pool nor a broker that is away can stop it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from sceneshift.identifiers import step_kind
from sceneshift.messages import Publisher, StepMessage, message_for_due
from sceneshift.store.due import DueStep
from sceneshift.store.opening import Store
from tasks.holds import Holds
from workers.backlog import BeginRates, pause_for_backlog
from workers.health import Heartbeat

log = logging.getLogger(__name__)

CLAIM_MAX = 500
BATCH_FROM = 25
"""From so many polls due at once, a message carries a batch; below it, one job, which Flower shows as its own chain."""
BATCH_SIZE = 50
PUBLISH_RETRY_SECONDS = 2.0
RATE_SAMPLE_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 3600.0
STORE_PAUSE_SECONDS = 1.0

QueueLength = Callable[[str], int]


class Timekeeper:
    """One worker's timekeeper. Any number may run on one deployment."""

    def __init__(
        self,
        *,
        store: Store,
        publisher: Publisher,
        queue_length: QueueLength,
        holds: Holds,
        heartbeat: Heartbeat,
        interval_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._queue_length = queue_length
        self._holds = holds
        self._heartbeat = heartbeat
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._rates = BeginRates()
        self._retired = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timekeeper", daemon=True)
        self._next: dict[str, float] = defaultdict(float)

    def start(self) -> None:
        self._thread.start()

    def retire(self) -> None:
        """Nothing is claimed any more, and the leases of what still runs are renewed until the process ends."""
        self._retired.set()

    def stop(self) -> None:
        """The thread has ended; leases are not renewed any more."""
        self._stopping.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self._interval_seconds
            try:
                self.tick()
            except RedisError as error:
                log.warning("timekeeper.store_away", extra={"error": type(error).__name__})
                pause = STORE_PAUSE_SECONDS
            except Exception:
                # Whatever it is, a worker without a timekeeper would look alive and renew nothing.
                log.exception("timekeeper.failed")
                pause = STORE_PAUSE_SECONDS
            self._heartbeat.beat()
            self._stopping.wait(pause)

    def tick(self) -> int:
        """What is due has been published or put off, and this process's leases are fresh; returns how many were due."""
        if self._is_time("renewal", self._store.due.lease_seconds / 3):
            self._renew()
        if self._is_time("rates", RATE_SAMPLE_SECONDS):
            self._rates.note(self._monotonic(), self._store.due.begun_counts())
        if self._is_time("housekeeping", HOUSEKEEPING_SECONDS):
            self._store.jobs.forget_expired()
            self._store.deliveries.forget_expired()
        due = [] if self._retired.is_set() else self._store.due.claim(CLAIM_MAX)
        by_task: dict[str, list[DueStep]] = defaultdict(list)
        for step in due:
            by_task[f"sceneshift.{step_kind(step.step)}"].append(step)
        for task, steps in by_task.items():
            self._bring_back(task, steps)
        return len(due)

    def _is_time(self, what: str, every_seconds: float) -> bool:
        now = self._monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + every_seconds
        return True

    def _renew(self) -> None:
        holds = self._holds.current()
        if not holds:
            return
        for lost in self._store.due.renew(holds):
            if lost in self._holds.current():
                log.warning("lease.lost", extra={"subject_id": lost.subject_id, "step": lost.step})

    def _bring_back(self, task: str, steps: list[DueStep]) -> None:
        # A first submission joins its queue only when that is short, so that bulk work waits here and not in front of
        # what is urgent. Everything else that was never published goes out at once.
        fresh = [] if task == "sceneshift.submit" else [step for step in steps if not step.waiting]
        cautious = [step for step in steps if step not in fresh] if fresh else steps
        if cautious and (pause := self._pause(task)) is not None:
            log.info("timekeeper.backlog", extra={"task": task, "steps": len(cautious), "pause_seconds": pause})
            self._store.due.postpone(cautious, pause)
            cautious = []
        ready = self._store.due.hand_out([*fresh, *cautious])
        if ready and not self._publisher.publish(messages_for(task, ready)):
            self._store.due.postpone(ready, PUBLISH_RETRY_SECONDS)

    def _pause(self, task: str) -> float | None:
        try:
            length = self._queue_length(task)
        except Exception as error:  # noqa: BLE001  # a broker that cannot be asked cannot be published to either
            log.warning("timekeeper.broker_away", extra={"error": type(error).__name__})
            return PUBLISH_RETRY_SECONDS
        return pause_for_backlog(length, self._rates.per_second(task), self._store.due.lease_seconds)


def messages_for(task: str, steps: Sequence[DueStep]) -> list[StepMessage]:
    """The messages that wake these steps of one task: one each, or batches when many polls are due."""
    if task != "sceneshift.poll" or len(steps) < BATCH_FROM:
        return [message_for_due(step) for step in steps]
    return [_batch(steps[start : start + BATCH_SIZE]) for start in range(0, len(steps), BATCH_SIZE)]


def _batch(steps: Sequence[DueStep]) -> StepMessage:
    task_id = f"poll-batch:{uuid.uuid4()}"
    return StepMessage(
        task="sceneshift.poll",
        task_id=task_id,
        root_id=task_id,
        parent_id=None,
        kwargs={"job_ids": [step.subject_id for step in steps], "steps": [step.step for step in steps]},
    )
