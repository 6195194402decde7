"""The due index: when each unfinished job and delivery must next be looked at, and who is looking at it.

Celery messages are only wake-ups. What makes a job go on after a worker was killed, a message lost or a broker flushed
is its entry here, which outlives all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.jobs.known_words import DELIVERY_WORDS, JOB_WORDS, Vocabulary
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import Call, load_script, run_each

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

STARTS_REMEMBERED_SECONDS = 72 * 3600.0
POSTPONE_MAX_SECONDS = 600.0
UNKNOWN_REMEMBERED_SECONDS = 900.0
"""A record that nobody has found unknown for so long is understood by now, or gone."""

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
    `rendered_at` is when its provider had finished, in unix seconds, and infinite before.
    `unknown` says what this release does not know of the record, so that the step must be left alone; then the rest
    may be empty.
    """

    subject_id: str
    step: str
    sku: str
    parent_step: str
    job_id: str
    """Empty for a webhook that is about no job."""
    waiting: bool
    is_new: bool = False
    state: str = ""
    claimed_until: str = ""
    rendered_at: float = math.inf
    unknown: str = ""

    @property
    def is_delivery(self) -> bool:
        return self.subject_id != self.job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a worker got that asked for a step: the record's fields, or why not.

    `missing`, `stale`, `held`; or `unknown`, and then `unknown` says what of the record this release does not know, so
    that it is to be left alone.
    """

    status: str
    fields: Mapping[str, str]
    unknown: str = ""

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
        self._put_off = load_script(client, "put_off")
        self._put_back = load_script(client, "put_back")

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
                _words_of(subject_id).to_json(),
            ],
        )
        fields = dict(zip(answer[1::2], answer[2::2], strict=True))
        unknown = _words_of(subject_id).unknown_in(fields) if answer[0] == "unknown" else ""
        return Taken(status=answer[0], fields=fields, unknown=unknown)

    def claim(self, limit: int) -> list[DueStep]:
        """What is due is this caller's to publish for a lease; the longest overdue first."""
        now = self._clock.now()
        until = f"{now + self.lease_seconds:.3f}"
        ids: list[str] = self._claim(keys=[self._keys.due], args=[f"{now:.3f}", until, limit])
        if not ids:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for subject_id in ids:
                pipeline.hmget(self._keys.subject(subject_id), _CLAIM_FIELDS)
            rows = [dict(zip(_CLAIM_FIELDS, row, strict=True)) for row in pipeline.execute()]
        claimed = dict(zip(ids, rows, strict=True))
        # What is neither a job nor a delivery is a later release's, wherever its record is.
        orphans = {each for each, row in claimed.items() if row["step"] is None and _is_ours(each)}
        if orphans:
            self._client.zrem(self._keys.due, *orphans)
        return [_due_step(each, row, until) for each, row in claimed.items() if each not in orphans]

    def hand_out(self, steps: Sequence[DueStep]) -> list[DueStep]:
        """These steps may be published and taken once each; returns those that nobody has taken on meanwhile."""
        calls: list[Call] = [
            ([self._keys.subject(step.subject_id), self._keys.due], [step.subject_id, step.step, step.claimed_until])
            for step in steps
        ]
        answers = run_each(self._client, self._hand_out, calls)
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
        latest = max(seconds, POSTPONE_MAX_SECONDS)
        due_at = [now + min(seconds + number * apart_seconds, latest) for number in range(len(steps))]
        calls: list[Call] = [
            (
                [self._keys.subject(step.subject_id), self._keys.due],
                [
                    step.subject_id,
                    step.step,
                    f"{at:.3f}",
                    "" if step.is_delivery else blocked_by,
                    f"{at + longer_seconds:.3f}",
                ],
            )
            for step, at in zip(steps, due_at, strict=True)
        ]
        run_each(self._client, self._postpone, calls)

    def put_off_unknown(self, pauses: Sequence[tuple[DueStep, float]]) -> None:
        """These claimed steps, whose records are unknown, are looked at again after their pauses (seconds).

        Their records stay as they are, and what another worker has done since the claim stands.
        """
        now = self._clock.now()
        calls: list[Call] = [
            (
                [self._keys.due, self._keys.unknown_records],
                [
                    step.subject_id,
                    step.claimed_until,
                    f"{now + seconds:.3f}",
                    f"{now:.3f}",
                    f"{now - UNKNOWN_REMEMBERED_SECONDS:.3f}",
                ],
            )
            for step, seconds in pauses
        ]
        run_each(self._client, self._put_off, calls)

    def put_back(self, hold: Hold, seconds: float) -> None:
        """The step that this worker has taken, and does not understand, was never taken; it is due after so long."""
        now = self._clock.now()
        self._put_back(
            keys=[self._keys.subject(hold.subject_id), self._keys.due, self._keys.unknown_records],
            args=[
                hold.subject_id,
                hold.step,
                hold.fence,
                f"{now + seconds:.3f}",
                f"{now:.3f}",
                f"{now - UNKNOWN_REMEMBERED_SECONDS:.3f}",
            ],
        )

    def unknown(self) -> list[str]:
        """The jobs and deliveries that workers have lately met and not understood."""
        since = self._clock.now() - UNKNOWN_REMEMBERED_SECONDS
        ids: list[str] = self._client.zrange(self._keys.unknown_records, since, "+inf", byscore=True)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return ids

    def renew(self, holds: Sequence[Hold]) -> list[Hold]:
        """The leases of these steps last a full lease from now; returns those that were lost."""
        until = f"{self._clock.now() + self.lease_seconds:.3f}"
        calls: list[Call] = [
            ([self._keys.subject(hold.subject_id), self._keys.due], [hold.subject_id, hold.step, hold.fence, until])
            for hold in holds
        ]
        answers = run_each(self._client, self._renew, calls)
        return [hold for hold, answer in zip(holds, answers, strict=True) if not answer]

    def due_at(self, subject_id: str) -> float | None:
        """When the job or delivery will be looked at (infinite: by a person); None when never again."""
        due_at: float | None = self._client.zscore(self._keys.due, subject_id)
        return due_at

    def begun_counts(self) -> dict[str, int]:
        """How many messages of each task were ever begun, for rates."""
        counts: Mapping[str, str] = self._client.hgetall(self._keys.begun)  # type: ignore[assignment]
        return {task: int(count) for task, count in counts.items()}


_CLAIM_FIELDS = (
    *("sku", "parent_step", "job_id", "fence", "begun", "rendered_at"),
    *sorted({*JOB_WORDS.words, *DELIVERY_WORDS.words}),
)


def _is_ours(subject_id: str) -> bool:
    return subject_id.startswith(("job_", "dlv_"))


def _words_of(subject_id: str) -> Vocabulary:
    return DELIVERY_WORDS if subject_id.startswith("dlv_") else JOB_WORDS


def _time_of(text: str | None) -> float:
    """The stored time, or infinity: it only orders, so a damaged one must not stop the claim of all others."""
    try:
        return float(text or "inf")
    except ValueError:
        return math.inf


def _due_step(subject_id: str, row: Mapping[str, str | None], claimed_until: str) -> DueStep:
    unknown = _words_of(subject_id).unknown_in(row)
    if not _is_ours(subject_id):
        unknown = "an entry of an unknown kind in the due index"
    fence, parent_step = row["fence"] or "0", row["parent_step"] or ""
    return DueStep(
        subject_id=subject_id,
        step=row["step"] or "",
        sku=row["sku"] or "",
        parent_step=parent_step,
        # A webhook may be about no job; a job's own record does not name it.
        job_id=subject_id if row["job_id"] is None else row["job_id"],
        waiting=not unknown and int(fence) > int(row["begun"] or "0"),
        is_new=not row["fence"] and not parent_step and subject_id.startswith("job_"),
        state=row["state"] or "",
        claimed_until=claimed_until,
        rendered_at=_time_of(row["rendered_at"]),
        unknown=unknown,
    )
