"""The job records: accepting, reading, and moving them, each in one script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sceneshift.jobs.change import Change, StaleEventError
from sceneshift.jobs.endpoints import addressed
from sceneshift.jobs.events import (
    CancelRequested,
    Event,
    ImagesStored,
    JobRefused,
    Resolved,
    ResultKeyTaken,
    Retried,
    SubmissionAccepted,
    SubmissionDelayed,
)
from sceneshift.jobs.faults import DUPLICATE_RESULT_KEY
from sceneshift.jobs.known_words import JOB_WORDS
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.jobs.transitions import advance
from sceneshift.store.changes import (
    change_document,
    change_keys,
    new_result_key,
    result_key_digest,
    timeline_entry,
)
from sceneshift.store.endpoints import EndpointBook
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import Script, load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

ATTEMPTS = 5
"""How often an event is put to a job that keeps moving under it."""


def record_of(fields: Mapping[str, str], order: str | None, results: str | None) -> JobRecord | None:
    """What was read of a job, as a record; None when it is not there, or expires at this moment.

    Raises:
        UnknownRecordError: a later release wrote it, perhaps with its order elsewhere.
    """
    if not fields or (order is None and not JOB_WORDS.unknown_in(fields)):
        return None
    return JobRecord.from_fields(fields, order or "", results)


class SlotsFullError(Exception):
    """Raised when an intent cannot be stored because the provider is at as many jobs as it may be."""


class RecoveringError(Exception):
    """Raised when a job can neither be submitted nor end as not submitted, because of recovery mode."""


class RolledBackError(Exception):
    """Raised when an intent cannot be stored because the server has forgotten an earlier one of this worker."""


class NotOnDiskError(Exception):
    """Raised when the server has made a change and its disk did not confirm it in time; `change` is that change."""

    def __init__(self, change: Change) -> None:
        super().__init__("the job store's disk has not confirmed")
        self.change = change


class AcceptanceNotOnDiskError(Exception):
    """Raised when the server has a new job and its disk did not confirm it in time."""


class ResultKeyTakenError(Exception):
    """Raised when a result key cannot be attached because another job, `owner_id`, has it."""

    def __init__(self, owner_id: str) -> None:
        super().__init__(owner_id)
        self.owner_id = owner_id


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentGuard:
    """What must hold when an intent is stored: a slot is free, and the server remembers this worker's earlier ones.

    `takes_slot` is not so for a job that has one; `witnessed` counts the intents that the witness knows of.
    """

    takes_slot: bool = True
    witness: str = ""
    witnessed: int = 0


class Applied(NamedTuple):
    """What became of a change: the script's answer, and whether it is on the server's disk (None: not asked)."""

    answer: str
    on_disk: bool | None = None


class DiskCall(Protocol):
    """Runs a script, and waits until the server's disk has what it wrote."""

    def call(self, script: Script, keys: Sequence[str], args: Sequence[str | float]) -> tuple[Any, bool | None]:
        """The script's answer, and whether its writes are on disk; None when the server cannot tell."""
        ...


class JobStore:
    """The records of all jobs, on one Redis-protocol server."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        clock: Clock,
        *,
        lease_seconds: float,
        retention_seconds: float,
        slots: int | None = None,
        disk: DiskCall | None = None,
        endpoints: EndpointBook | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._retention_seconds = retention_seconds
        self._slots = slots
        self._disk = disk
        self._endpoints = endpoints or EndpointBook(client, keys)
        self._accept = load_script(client, "accept")
        self._advance = load_script(client, "advance")
        self._mark = load_script(client, "mark")

    def accept(self, job: JobRecord, *, publish: bool) -> str:
        """The job is stored and due; returns its id, or that of the job that has the same idempotency key.

        `publish` says that its first message follows at once, so the timekeepers leave it alone for a lease.

        Raises:
            AcceptanceNotOnDiskError: it is stored, and the server's disk has not confirmed that in time.
        """
        keys, key = self._keys, job.order.idempotency_key
        fields = {**job.to_fields(), **({"fence": "1"} if publish else {})}
        entry = timeline_entry(job.created_at, JobState.QUEUED, "enqueued", {"lane": job.order.lane})
        due_at = job.created_at + (self._lease_seconds if publish else 0.0)
        answer, on_disk = self._on_disk(
            self._accept,
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
        if on_disk is False:
            raise AcceptanceNotOnDiskError
        return str(answer)

    def _on_disk(self, script: Script, keys: Sequence[str], args: Sequence[str | float]) -> tuple[Any, bool | None]:
        """The script's answer, after its writes are on disk where that can be had."""
        if self._disk is None:
            return script(keys=keys, args=args), None
        return self._disk.call(script, keys, args)

    def is_on_disk(self) -> bool:
        """Whether all that this process has stored so far is on the server's disk, as far as it can tell."""
        _, on_disk = self._on_disk(self._mark, [self._keys.disk_mark], [f"{self._clock.now():.3f}"])
        return on_disk is not False

    def load(self, job_id: str) -> JobRecord | None:
        """The job as it is now, or None when there is none.

        Raises:
            UnknownRecordError: a later release wrote it.
        """
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(self._keys.job(job_id))
            pipeline.get(self._keys.order(job_id))
            pipeline.get(self._keys.results(job_id))
            fields, order, results = pipeline.execute()
        return record_of(fields, order, results)

    def transition(self, job: JobRecord, event: Event, *, guard: IntentGuard | None = None) -> Change | None:
        """What the event makes of the job is stored; returns the change, or None when the event came too late.

        When something else marked the job meanwhile, the event is put to the job as it is now. An event of a step that
        has passed is dropped. An acceptance under a result key that another job has holds this job instead.

        Raises:
            SlotsFullError: the event is an intent, and as many jobs as may be are at the provider.
            RecoveringError: it is an intent, or the end of a job that was not submitted as far as is known here, and
                intents that the store has lost are not merged back yet.
            RolledBackError: it is an intent, and the server has forgotten an earlier one of this worker.
            ResultKeyTakenError: a person's decision names a result key that another job has.
            NotOnDiskError: the change is made, and the server's disk has not confirmed it.
        """
        current: JobRecord | None = job
        unclaimed_on = ""
        for _ in range(ATTEMPTS):
            if current is None or not _still_concerns(event, job, current):
                return None
            try:
                change = addressed(advance(current, event, self._clock.now()), self._endpoints.known)
            except StaleEventError:
                return None
            applied = self.apply(change, guard=guard, unclaimed_on=unclaimed_on)
            if applied.answer == "applied":
                if applied.on_disk is False:
                    raise NotOnDiskError(change)
                return change
            word, _, detail = applied.answer.partition(":")
            unclaimed_on = detail if word == "unclaimed" else unclaimed_on
            if word == "endpoints":
                self._endpoints.read()
            event = _instead_of(event, word, detail)
            current = self.load(job.id)
        return None

    def apply(self, change: Change, *, guard: IntentGuard | None = None, unclaimed_on: str = "") -> Applied:
        """The change is stored whole, or the job has moved and nothing was.

        Intents and result keys have waited for the server's disk, where it can tell. `unclaimed_on` is the day
        (YYYY-MM-DD) on which the ledger has the change's result key as unclaimed, when it has it so.
        """
        keys, now = self._keys, self._clock.now()
        new_key, script_keys = new_result_key(change), change_keys(keys, change, now)
        document = change_document(
            change,
            now=now,
            lease_seconds=self._lease_seconds,
            retention_seconds=self._retention_seconds,
            channel=keys.changes(change.before.id),
        )
        if self._slots is not None:
            document["slots"] = self._slots
        if guard is not None:
            document["intent"] = _guard_document(guard)
        if new_key:
            document["result_key"] = result_key_digest(new_key)
        if new_key and unclaimed_on:
            script_keys.append(keys.ledger(unclaimed_on))
            document["unclaimed"] = {"key": len(script_keys), "images": change.before.order.num_output}
        arguments = [json.dumps(document, ensure_ascii=False)]
        if guard is None and not new_key:
            return Applied(str(self._advance(keys=script_keys, args=arguments)))
        answer, on_disk = self._on_disk(self._advance, script_keys, arguments)
        return Applied(str(answer), on_disk)

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
    if isinstance(event, SubmissionAccepted | ResultKeyTaken) and seen.nonce:
        # The answer to this very submission counts even after its worker was given up for dead.
        return current.nonce == seen.nonce
    if isinstance(event, SubmissionDelayed | JobRefused) and seen.state is JobState.SUBMITTING:
        # So does a refusal, unless the request was sent more than once: it tells nothing of the others.
        return (current.nonce, current.submits) == (seen.nonce, seen.submits)
    if isinstance(event, ImagesStored) and current.cancel == "discard" != seen.cancel:
        # The step must run again, to remove what it has stored.
        return False
    if isinstance(event, Retried) and current.result_key != seen.result_key:
        # Its answer came after all: what would have been paid for again can be had for free.
        return False
    return (current.state, current.step) == (seen.state, seen.step)


def _guard_document(guard: IntentGuard) -> dict[str, Any]:
    witness = {"witness": guard.witness, "count": guard.witnessed} if guard.witness else {}
    return {"takes_slot": guard.takes_slot, **witness}


def _instead_of(event: Event, word: str, detail: str) -> Event:
    """The event to try next, after the script said no in this word.

    Raises:
        SlotsFullError, RecoveringError, RolledBackError, ResultKeyTakenError: as in `transition`.
    """
    refusals = {"full": SlotsFullError, "recovering": RecoveringError, "rolled_back": RolledBackError}
    if word in refusals:
        raise refusals[word]
    if word != "taken":
        return event
    if isinstance(event, Resolved):
        raise ResultKeyTakenError(detail)
    key = event.result_key if isinstance(event, SubmissionAccepted) else ""
    return ResultKeyTaken(
        fault=JobFault(
            code=DUPLICATE_RESULT_KEY, message=f"the provider answered with the result key {key[:100]} of {detail}"
        )
    )
