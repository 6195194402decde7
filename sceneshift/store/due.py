"""The due index: when each unfinished job and delivery must next be looked at, and who is looking at it.

Celery messages are only wake-ups. What makes a job go on after a worker was killed, a message lost or a broker flushed
is its entry here, which outlives all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

STARTS_REMEMBERED_SECONDS = 72 * 3600.0
POSTPONE_MAX_SECONDS = 600.0

BACKLOG = "backlog"
LANE = "lane"
QUERY_RATE = "query_rate"
BROKER = "broker"
"""What a timekeeper alone makes a job wait for, as `blocked_by`; it also says `in_flight`, and the breaker's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A step that a worker has taken: the lease lasts as long as it is renewed."""

    subject_id: str
    step: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DueStep:
    """A claimed step, ready to be published.

    `waiting` says that an earlier message of it was not taken yet; `is_new`, that nobody has ever been at the job;
    `state` is the job's; `claimed_until` is the due time that the claim has set, '' for a step that was not claimed.
    """

    subject_id: str
    step: str
    sku: str
    parent_step: str
    job_id: str
    waiting: bool
    is_new: bool = False
    state: str = ""
    claimed_until: str = ""

    @property
    def is_delivery(self) -> bool:
        return self.subject_id != self.job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a worker got that asked for a step: the record's fields, or why not (`missing`, `stale`, `held`)."""

    status: str
    fields: Mapping[str, str]

    @property
    def is_taken(self) -> bool:
        return self.status == "begun"

    @property
    def starts(self) -> int:
        return int(self.fields.get("starts", "0"))


class DueIndex:
    """The due index of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock, *, lease_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self.lease_seconds = lease_seconds
        self._begin = load_script(client, "begin", parts=["unpark"])
        self._claim = load_script(client, "claim")
        self._hand_out = load_script(client, "hand_out", parts=["unpark"])
        self._renew = load_script(client, "renew")
        self._postpone = load_script(client, "postpone")

    def begin(self, subject_id: str, step: str, counted_as: str | None) -> Taken:
        """This worker has the step for a lease, or the answer says why it must leave it alone.

        `counted_as` is the task in whose count of begun messages it is; None counts nothing.
        """
        now = self._clock.now()
        answer: list[str] = self._begin(
            keys=[self._keys.subject(subject_id), self._keys.due, self._keys.begun, self._keys.waiting_for_slot],
            args=[
                subject_id,
                step,
                f"{now:.3f}",
                f"{now + self.lease_seconds:.3f}",
                counted_as or "",
                STARTS_REMEMBERED_SECONDS,
            ],
        )
        return Taken(status=answer[0], fields=dict(zip(answer[1::2], answer[2::2], strict=True)))

    def claim(self, limit: int) -> list[DueStep]:
        """What is due is this caller's to publish for a lease; the longest overdue first."""
        now = self._clock.now()
        until = f"{now + self.lease_seconds:.3f}"
        ids: list[str] = self._claim(keys=[self._keys.due], args=[f"{now:.3f}", until, limit])
        if not ids:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for subject_id in ids:
                pipeline.hmget(
                    self._keys.subject(subject_id),
                    ["step", "sku", "parent_step", "job_id", "fence", "begun", "state"],
                )
            rows = pipeline.execute()
        orphans = [subject_id for subject_id, row in zip(ids, rows, strict=True) if row[0] is None]
        if orphans:
            self._client.zrem(self._keys.due, *orphans)
        return [
            DueStep(
                subject_id=subject_id,
                step=step,
                sku=sku or "",
                parent_step=parent or "",
                job_id=job_id or subject_id,
                waiting=int(fence or 0) > int(begun or 0),
                is_new=not fence and not parent,
                state=state or "",
                claimed_until=until,
            )
            for subject_id, (step, sku, parent, job_id, fence, begun, state) in zip(ids, rows, strict=True)
            if step is not None
        ]

    def hand_out(self, steps: Sequence[DueStep]) -> list[DueStep]:
        """These steps may be published and taken once each; returns those that nobody has taken on meanwhile."""
        with self._client.pipeline(transaction=False) as pipeline:
            for step in steps:
                self._hand_out(
                    keys=[self._keys.subject(step.subject_id), self._keys.due],
                    args=[step.subject_id, step.step, step.claimed_until],
                    client=pipeline,
                )
            answers = pipeline.execute()
        return [step for step, answer in zip(steps, answers, strict=True) if answer]

    def postpone(
        self,
        steps: Sequence[DueStep],
        seconds: float,
        *,
        apart_seconds: float = 0.0,
        blocked_by: str = "",
        longer_seconds: float = 0.0,
    ) -> None:
        """These steps are looked at again after this time instead of after a lease, unless they have passed.

        Each of them so much later than the one before it, up to `POSTPONE_MAX_SECONDS`. With `blocked_by`, the records
        of their jobs say what they wait for, and until when: until that look, or so much `longer_seconds` when the look
        is only to see whether the wait has ended before its time. Handing the step out ends what they say.
        """
        now = self._clock.now()
        with self._client.pipeline(transaction=False) as pipeline:
            for number, step in enumerate(steps):
                due_at = now + min(seconds + number * apart_seconds, max(seconds, POSTPONE_MAX_SECONDS))
                self._postpone(
                    keys=[self._keys.subject(step.subject_id), self._keys.due],
                    args=[
                        step.subject_id,
                        step.step,
                        f"{due_at:.3f}",
                        "" if step.is_delivery else blocked_by,
                        f"{due_at + longer_seconds:.3f}",
                    ],
                    client=pipeline,
                )
            pipeline.execute()

    def renew(self, holds: Sequence[Hold]) -> list[Hold]:
        """The leases of these steps last a full lease from now; returns those that were lost."""
        until = f"{self._clock.now() + self.lease_seconds:.3f}"
        with self._client.pipeline(transaction=False) as pipeline:
            for hold in holds:
                self._renew(
                    keys=[self._keys.subject(hold.subject_id), self._keys.due],
                    args=[hold.subject_id, hold.step, hold.fence, until],
                    client=pipeline,
                )
            answers = pipeline.execute()
        return [hold for hold, answer in zip(holds, answers, strict=True) if not answer]

    def due_at(self, subject_id: str) -> float | None:
        """When the job or delivery will be looked at (infinite: by a person); None when never again."""
        due_at: float | None = self._client.zscore(self._keys.due, subject_id)
        return due_at

    def begun_counts(self) -> dict[str, int]:
        """How many messages of each task were ever begun, for rates."""
        counts: Mapping[str, str] = self._client.hgetall(self._keys.begun)  # type: ignore[assignment]
        return {task: int(count) for task, count in counts.items()}
