"""The job records: accepting, reading, and moving them, each in one script."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sceneshift.jobs.change import Change, StaleEventError
from sceneshift.jobs.events import (
    CancelRequested,
    Event,
    ImagesStored,
    JobRefused,
    SubmissionAccepted,
    SubmissionDelayed,
)
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.jobs.transitions import advance
from sceneshift.store.deliveries import delivery_fields
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

HAND_OUT_FIELDS = ("fence", "begun", "starts", "starts_since")
"""What belongs to one step and starts anew with the next."""

ATTEMPTS = 5
"""How often an event is put to a job that keeps moving under it."""


class Applied(StrEnum):
    """What became of a change."""

    APPLIED = "applied"
    STALE = "stale"
    FORBIDDEN = "forbidden"
    FULL = "full"


class SlotsFullError(Exception):
    """Raised when an intent cannot be stored because the provider is at as many jobs as it may be."""


class JobStore:
    """The records of all jobs, on one Redis-protocol server."""

    def __init__(
        self, client: Redis, keys: Keys, clock: Clock, *, lease_seconds: float, retention_seconds: float
    ) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._retention_seconds = retention_seconds
        self._accept = load_script(client, "accept")
        self._advance = load_script(client, "advance")

    def accept(self, job: JobRecord, *, publish: bool) -> str:
        """The job is stored and due; returns its id, or that of the job that has the same idempotency key.

        `publish` says that its first message follows at once, so the timekeepers leave it alone for a lease.
        """
        keys, key = self._keys, job.order.idempotency_key
        fields = {**job.to_fields(), **({"fence": "1"} if publish else {})}
        entry = _timeline_entry(job.created_at, JobState.QUEUED, "enqueued", {"lane": job.order.lane})
        due_at = job.created_at + (self._lease_seconds if publish else 0.0)
        answer = self._accept(
            keys=[
                keys.idempotency(key) if key else keys.job(job.id),
                keys.job(job.id),
                keys.order(job.id),
                keys.timeline(job.id),
                keys.due,
                keys.jobs(JobState.QUEUED),
            ],
            args=[
                job.id,
                job.order.to_json(),
                f"{job.created_at:.3f}",
                f"{due_at:.3f}",
                entry,
                keys.changes(job.id),
                *(part for pair in fields.items() for part in pair),
            ],
        )
        return str(answer)

    def load(self, job_id: str) -> JobRecord | None:
        """The job as it is now, or None when there is none."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(self._keys.job(job_id))
            pipeline.get(self._keys.order(job_id))
            pipeline.get(self._keys.results(job_id))
            fields, order, results = pipeline.execute()
        return JobRecord.from_fields(fields, order, results) if fields and order else None

    def transition(self, job: JobRecord, event: Event, *, slots: int | None = None) -> Change | None:
        """What the event makes of the job is stored; returns the change, or None when the event came too late.

        When something else marked the job meanwhile, the event is put to the job as it is now. An event of a step that
        has passed is dropped.

        Raises:
            SlotsFullError: the event is an intent, and already `slots` jobs are at the provider.
        """
        current: JobRecord | None = job
        for _ in range(ATTEMPTS):
            if current is None or not _still_concerns(event, job, current):
                return None
            try:
                change = advance(current, event, self._clock.now())
            except StaleEventError:
                return None
            applied = self.apply(change, slots=slots)
            if applied is Applied.APPLIED:
                return change
            if applied is Applied.FULL:
                raise SlotsFullError
            current = self.load(job.id)
        return None

    def apply(self, change: Change, *, slots: int | None = None) -> Applied:
        """The change is stored whole, or the job has moved and nothing was."""
        keys, before, after = self._keys, change.before, change.after
        idempotency_key = before.order.idempotency_key
        slot_limit = {} if slots is None else {"slots": slots}
        answer = self._advance(
            keys=[
                keys.job(before.id),
                keys.order(before.id),
                keys.results(before.id),
                keys.timeline(before.id),
                keys.due,
                keys.jobs(before.state),
                keys.jobs(after.state),
                keys.idempotency(idempotency_key) if idempotency_key else keys.job(before.id),
                keys.jobs(JobState.RENDERING),
                *(keys.delivery(draft.id) for draft in change.deliveries),
            ],
            args=[json.dumps({**self._document(change), **slot_limit}, ensure_ascii=False)],
        )
        return Applied(answer)

    def _document(self, change: Change) -> dict[str, Any]:
        before, after, now = change.before, change.after, self._clock.now()
        old, new = before.to_fields(), after.to_fields()
        stepped = before.step != after.step
        results = after.results_json()
        changed = {name: text for name, text in new.items() if old.get(name) != text}
        gone = [name for name in old if name not in new]
        if stepped:
            changed = {name: text for name, text in changed.items() if name not in HAND_OUT_FIELDS}
            gone = [*(name for name in gone if name not in HAND_OUT_FIELDS), *HAND_OUT_FIELDS]
            if change.publish:
                changed["fence"] = "1"
                gone.remove("fence")
        document: dict[str, Any] = {
            "id": before.id,
            "token": secrets.token_hex(6),
            "from": {"state": before.state, "step": before.step, "revision": str(before.revision)},
            "to": after.state,
            "now": f"{now:.3f}",
            "set": changed,
            "unset": gone,
            "timeline": [_timeline_entry(now, after.state, name, about) for name, about in change.timeline],
            "channel": self._keys.changes(before.id),
            "deliveries": [delivery_fields(draft, after) for draft in change.deliveries],
            "delivery_due": f"{now + self._lease_seconds:.3f}",
        }
        if results != before.results_json():
            document["results"] = results
        if not change.keep_due:
            document["due"] = self._due_text(change)
        if after.state.is_final:
            document["ttl_milliseconds"] = int(self._retention_seconds * 1000)
            document["release_key"] = change.releases_idempotency_key
        return document

    def _due_text(self, change: Change) -> str:
        if change.due_at is None:
            return ""
        due_at = change.due_at + (self._lease_seconds if change.publish else 0.0)
        return "+inf" if due_at == float("inf") else f"{due_at:.3f}"

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with self._client.pipeline(transaction=False) as pipeline:
            for state in JobState:
                pipeline.zcard(self._keys.jobs(state))
            return dict(zip(JobState, pipeline.execute(), strict=True))

    def ids(self, state: JobState, *, limit: int) -> Iterator[str]:
        """The jobs in this state, the newest in it first."""
        yield from self._client.zrange(self._keys.jobs(state), 0, limit - 1, desc=True)  # type: ignore[misc]

    def forget_expired(self) -> int:
        """Finished jobs whose records have expired leave the state indexes; returns how many did."""
        before = self._clock.now() - self._retention_seconds
        with self._client.pipeline(transaction=False) as pipeline:
            for state in JobState:
                if state.is_final:
                    pipeline.zremrangebyscore(self._keys.jobs(state), "-inf", before)
            return sum(pipeline.execute())


def _still_concerns(event: Event, seen: JobRecord, current: JobRecord) -> bool:
    """Whether an event that was decided on one record may be put to a later one."""
    if isinstance(event, CancelRequested):
        return True
    if isinstance(event, SubmissionAccepted | SubmissionDelayed | JobRefused) and seen.state is JobState.SUBMITTING:
        # The answer to this very submission counts even after its worker was given up for dead.
        return current.nonce == seen.nonce
    if isinstance(event, ImagesStored) and current.cancel == "discard" != seen.cancel:
        # The step must run again, to remove what it has stored.
        return False
    return (current.state, current.step) == (seen.state, seen.step)


def _timeline_entry(at: float, state: JobState, event: str, about: dict[str, Any]) -> str:
    return json.dumps(
        {"at": round(at, 3), "state": str(state), "event": event, **about}, ensure_ascii=False, separators=(",", ":")
    )
