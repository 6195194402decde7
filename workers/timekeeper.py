"""The timekeeper: claims what is due and publishes its ordinary Celery message, in every worker, without a leader.

It has its own thread and its own connection to the job store, so that a busy pool cannot stop it, and leaves a sign of
life for health checks while it does its work.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sceneshift.identifiers import step_kind
from sceneshift.messages import Publisher, StepMessage, message_for_due
from sceneshift.store.due import BACKLOG, BROKER, DueStep
from sceneshift.store.opening import Store
from workers.admission import PUBLISH_RETRY_SECONDS, Admission, QueueLength
from workers.backlog import BeginRates
from workers.health import Heartbeat
from workers.parking import PutOff
from workers.recurring import Recurring
from workers.unknown_steps import UnknownSteps

log = logging.getLogger(__name__)

CLAIM_MAX = 500
BATCH_FROM = 25
"""From so many polls due at once, a message carries a batch; below it, one job, which Flower shows as its own chain."""
BATCH_MAX = 50
WEBHOOKS_BATCH_FROM = 8
WEBHOOKS_BATCH_MAX = 16
"""The same for webhooks, in smaller batches: the slowest of its endpoints ends a batch."""
RATE_SAMPLE_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 3600.0
STORE_PAUSE_SECONDS = 1.0


class Timekeeper(Recurring):
    """One worker's timekeeper. Any number may run on one deployment.

    Once it is stopped, nothing is claimed any more; what this process is at goes on, and keeps its leases.
    """

    def __init__(
        self,
        *,
        store: Store,
        publisher: Publisher,
        queue_length: QueueLength,
        heartbeat: Heartbeat,
        interval_seconds: float,
        poll_batch_max: int = BATCH_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("timekeeper")
        self._store = store
        self._publisher = publisher
        self._heartbeat = heartbeat
        self._interval_seconds = interval_seconds
        self._poll_batch_max = poll_batch_max
        self._monotonic = monotonic
        self._rates = BeginRates()
        self._admission = Admission(store=store, queue_length=queue_length, rates=self._rates, monotonic=monotonic)
        self._unknown = UnknownSteps(store.due)
        self._claim_from = float("-inf")
        self._next: dict[str, float] = defaultdict(float)

    def _turn(self) -> float:
        """One tick, whatever comes of it; returns the pause until the next. Only a store that is away is no fault."""
        try:
            self.tick()
        except (RedisConnectionError, RedisTimeoutError) as error:
            log.warning("timekeeper.store_away", extra={"error": type(error).__name__})
            # When the store is back, the workers that live renew their leases before anybody may think them dead.
            self._claim_from = self._monotonic() + self._store.due.lease_seconds / 2
        except Exception:
            log.exception("timekeeper.failed")
            return STORE_PAUSE_SECONDS
        else:
            self._heartbeat.beat()
            return self._interval_seconds
        self._heartbeat.beat()
        return STORE_PAUSE_SECONDS

    def tick(self) -> int:
        """What is due has been published or put off; returns how many were due."""
        if self._is_time("rates", RATE_SAMPLE_SECONDS):
            self._rates.note(self._monotonic(), self._store.due.begun_counts())
        if self._is_time("housekeeping", HOUSEKEEPING_SECONDS):
            self._store.jobs.forget_expired()
            self._store.deliveries.forget_expired()
        if self._monotonic() < self._claim_from:
            return 0
        due = self._store.due.claim(CLAIM_MAX)
        self._unknown.put_off([step for step in due if step.unknown])
        by_task: dict[str, list[DueStep]] = defaultdict(list)
        for step in (step for step in due if not step.unknown):
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

    def _bring_back(self, task: str, steps: list[DueStep]) -> None:
        ready, put_off = self._admission.sort(task, steps)
        for wait in put_off:
            self._put_off(task, wait)
        handed_out = self._store.due.hand_out(ready) if ready else []
        if handed_out and not self._publisher.publish(messages_for(task, handed_out, batch_max=self._poll_batch_max)):
            self._put_off(task, PutOff(steps=handed_out, blocked_by=BROKER, pause_seconds=PUBLISH_RETRY_SECONDS))

    def _put_off(self, task: str, wait: PutOff) -> None:
        if wait.blocked_by in {BACKLOG, BROKER}:
            about = {"task": task, "steps": len(wait.steps), "pause_seconds": wait.pause_seconds}
            log.info("timekeeper.put_off", extra={**about, "blocked_by": wait.blocked_by})
        self._store.due.postpone(
            wait.steps,
            wait.pause_seconds,
            apart_seconds=wait.apart_seconds,
            blocked_by=wait.blocked_by,
            longer_seconds=wait.longer_seconds,
        )


def messages_for(task: str, steps: Sequence[DueStep], *, batch_max: int = BATCH_MAX) -> list[StepMessage]:
    """The messages that wake these steps of one task: one each, or batches when many polls or webhooks are due."""
    rule = _BATCHES.get(task)
    if rule is None or len(steps) < rule.least or batch_max == 1:
        return [message_for_due(step) for step in steps]
    size = min(batch_max, rule.most)
    return [_batch(task, rule.argument, steps[start : start + size]) for start in range(0, len(steps), size)]


@dataclass(frozen=True, slots=True)
class _Batches:
    """From how many steps due at once messages carry many, how many at the most, and the argument that names them."""

    least: int
    most: int
    argument: str


_BATCHES = {
    "sceneshift.poll": _Batches(BATCH_FROM, CLAIM_MAX, "job_ids"),
    "sceneshift.notify": _Batches(WEBHOOKS_BATCH_FROM, WEBHOOKS_BATCH_MAX, "delivery_ids"),
}


def _batch(task: str, argument: str, steps: Sequence[DueStep]) -> StepMessage:
    task_id = f"{task.rpartition('.')[2]}-batch:{uuid.uuid4()}"
    return StepMessage(
        task=task,
        task_id=task_id,
        root_id=task_id,
        parent_id=None,
        kwargs={argument: [step.subject_id for step in steps], "steps": [step.step for step in steps]},
    )
