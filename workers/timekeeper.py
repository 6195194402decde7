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

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sceneshift.identifiers import step_kind
from sceneshift.messages import Publisher, StepMessage, message_for_due
from sceneshift.store.due import DueStep
from sceneshift.store.opening import Store
from sceneshift.store.permits import Limits
from workers.backlog import FRESH_SECONDS, BeginRates, admit, pause_for_backlog
from workers.health import Heartbeat
from workers.recurring import Recurring

log = logging.getLogger(__name__)

CLAIM_MAX = 500
BATCH_FROM = 25
"""From so many polls due at once, a message carries a batch; below it, one job, which Flower shows as its own chain."""
BATCH_MAX = 50
PUBLISH_RETRY_SECONDS = 2.0
RATE_SAMPLE_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 3600.0
STORE_PAUSE_SECONDS = 1.0

FILLED_SLOWLY = frozenset({"sceneshift.submit"})
"""Callers publish urgent jobs to this queue themselves: what comes from here must not stand in front of them."""

QueueLength = Callable[[str], int]


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
        self._queue_length = queue_length
        self._heartbeat = heartbeat
        self._interval_seconds = interval_seconds
        self._poll_batch_max = poll_batch_max
        self._monotonic = monotonic
        self._rates = BeginRates()
        self._claim_from = float("-inf")
        self._next: dict[str, float] = defaultdict(float)
        self._lengths: dict[str, int] = defaultdict(int)
        self._broker_quiet_until = float("-inf")

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

    def _bring_back(self, task: str, steps: list[DueStep]) -> None:
        ready, put_off = self._split(task, steps)
        if put_off:
            pause = self._pause_seconds(task)
            log.info("timekeeper.backlog", extra={"task": task, "steps": len(put_off), "pause_seconds": pause})
            self._store.due.postpone(put_off, pause, apart_seconds=self._apart_seconds(task))
        if task == "sceneshift.poll":
            ready = self._within_query_rate(ready)
        handed_out = self._store.due.hand_out(ready) if ready else []
        if handed_out and not self._publisher.publish(messages_for(task, handed_out, batch_max=self._poll_batch_max)):
            self._store.due.postpone(handed_out, PUBLISH_RETRY_SECONDS)

    def _split(self, task: str, steps: list[DueStep]) -> tuple[list[DueStep], list[DueStep]]:
        """What is published now, and what is put off because of the length of its queue."""
        fresh = [step for step in steps if not step.waiting]
        waiting = [step for step in steps if step.waiting]
        if not waiting and task not in FILLED_SLOWLY:
            return fresh, []
        admission = admit(
            queue_length=self._length(task),
            begun_per_second=self._rates.per_second(task),
            lease_seconds=self._store.due.lease_seconds,
            filled_slowly=task in FILLED_SLOWLY,
        )
        room = len(fresh) if admission.fresh is None else admission.fresh
        if task in FILLED_SLOWLY:
            fresh, room = self._behind_urgent_ones(fresh, room)
        if admission.waiting:
            return [*waiting, *fresh[:room]], fresh[room:]
        return fresh[:room], [*waiting, *fresh[room:]]

    def _behind_urgent_ones(self, fresh: list[DueStep], room: int) -> tuple[list[DueStep], int]:
        """The steps with those first that somebody was at before, and how many of all the permits have room for.

        Those get their permits where they use them, each with a moment of its own; or they hold one already, and must
        be looked after because their worker is dead.
        """
        known = [step for step in fresh if not step.is_new]
        new = [step for step in fresh if step.is_new]
        wanted = max(0, min(len(new), room - len(known)))
        more = self._store.permits.room_for_bulk(wanted, within_seconds=FRESH_SECONDS) if wanted else 0
        return [*known, *new], min(room, len(known) + more)

    def _within_query_rate(self, steps: list[DueStep]) -> list[DueStep]:
        """The questions that may be asked now; the others are put off until the rate allows them."""
        if not steps:
            return []
        taken, wait_seconds = self._store.permits.take_queries(len(steps))
        if taken < len(steps):
            self._store.due.postpone(steps[taken:], wait_seconds, apart_seconds=1 / (self._limits.query_rate or 1.0))
        return steps[:taken]

    @property
    def _limits(self) -> Limits:
        return self._store.permits.limits

    def _apart_seconds(self, task: str) -> float:
        """What is put off comes back no faster than it can be used."""
        rate = self._limits.submit_rate if task in FILLED_SLOWLY else None
        return 1 / rate if rate else 0.0

    def _length(self, task: str) -> int | None:
        """The queue's length as it was a moment ago, or None when the broker does not say."""
        if self._monotonic() < self._broker_quiet_until:
            return None
        try:
            length = self._lengths[task] = self._queue_length(task)
        except Exception as error:  # noqa: BLE001  # a broker that cannot be asked cannot be published to either
            log.warning("timekeeper.broker_away", extra={"error": type(error).__name__})
            self._broker_quiet_until = self._monotonic() + PUBLISH_RETRY_SECONDS
            return None
        return length

    def _pause_seconds(self, task: str) -> float:
        if self._monotonic() < self._broker_quiet_until:
            return PUBLISH_RETRY_SECONDS
        return pause_for_backlog(self._lengths[task], self._rates.per_second(task), self._store.due.lease_seconds)


def messages_for(task: str, steps: Sequence[DueStep], *, batch_max: int = BATCH_MAX) -> list[StepMessage]:
    """The messages that wake these steps of one task: one each, or batches when many polls are due."""
    if task != "sceneshift.poll" or len(steps) < BATCH_FROM or batch_max == 1:
        return [message_for_due(step) for step in steps]
    return [_batch(steps[start : start + batch_max]) for start in range(0, len(steps), batch_max)]


def _batch(steps: Sequence[DueStep]) -> StepMessage:
    task_id = f"poll-batch:{uuid.uuid4()}"
    return StepMessage(
        task="sceneshift.poll",
        task_id=task_id,
        root_id=task_id,
        parent_id=None,
        kwargs={"job_ids": [step.subject_id for step in steps], "steps": [step.step for step in steps]},
    )
