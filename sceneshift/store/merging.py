"""Telling a job store of the submissions that it has forgotten: their jobs are held, and lost ones stored again first.

Done twice, or by several processes at once, it changes nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from sceneshift.errors import StoreUnavailableError, UnknownRecordError
from sceneshift.identifiers import created_at, is_job_id, submission_nonce
from sceneshift.jobs.events import SubmissionForgotten
from sceneshift.jobs.intents import Intent, Merged
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.jobs import AcceptanceNotOnDiskError
from sceneshift.store.opening import Store

log = logging.getLogger(__name__)

BATCH_MAX = 500
ATTEMPTS = 5
_OPEN = frozenset({JobState.QUEUED, JobState.SUBMITTING})


def forgotten(store: Store, numbers: Mapping[str, int], *, lost_after: float) -> Iterator[str]:
    """Of these jobs, those of which the store knows fewer submissions than the given number, or nothing at all.

    Of jobs that were accepted before `lost_after` it need not know: their records have expired.
    """
    ids = iter(numbers)
    while batch := list(islice(ids, BATCH_MAX)):
        with store.client.pipeline(transaction=False) as pipeline:
            for job_id in batch:
                pipeline.hmget(store.keys.job(job_id), "state", "submits")
            for job_id, (state, submits) in zip(batch, pipeline.execute(), strict=True):
                if int(submits or 0) < numbers[job_id] and (state or created_at(job_id) > lost_after):
                    yield job_id


def merge(store: Store, intents: Iterable[Intent], *, lost_after: float, is_done: Callable[[str], bool]) -> Merged:
    """The jobs of these intents are held where the store has forgotten the latest of them.

    A lost job that `is_done`, because its results are in the bucket, stays lost: it needs nobody's attention. A job
    that this release does not understand is only counted.
    """
    latest: dict[str, Intent] = {}
    for intent in intents:
        known = latest.get(intent.job_id)
        if known is None or intent.number >= known.number:
            latest[intent.job_id] = intent
    merged = Merged(intents=len(latest))
    numbers = {job_id: intent.number for job_id, intent in latest.items()}
    for job_id in list(forgotten(store, numbers, lost_after=lost_after)):
        try:
            merged += _tell(store, latest[job_id], is_done)
        except UnknownRecordError as error:
            log.error("recovery.unknown_record", extra={"job_id": job_id, "what": error.what})  # noqa: TRY400  # it says all
            merged += Merged(unknown=1)
    return merged


def _tell(store: Store, intent: Intent, is_done: Callable[[str], bool]) -> Merged:
    about = {"job_id": intent.job_id, "nonce": intent.nonce, "submission": intent.number}
    restored = 0
    job = store.jobs.load(intent.job_id)
    if job is None:
        if is_done(intent.job_id):
            return Merged()
        job, restored = _restore(store, intent), 1
    if _hold(store, job, reminder(intent)):
        log.error("recovery.held", extra={**about, "restored": bool(restored)})
        return Merged(held=1, restored=restored)
    job = store.jobs.load(intent.job_id)
    if job is not None and job.submits >= intent.number:
        return Merged()
    log.error("submission.unclaimed", extra={**about, "state": str(job.state) if job else None})
    return Merged(unclaimed=1)


def reminder(intent: Intent) -> SubmissionForgotten:
    """What the store is told of a submission that it has forgotten."""
    return SubmissionForgotten(
        fault=forgotten_fault(intent.number, intent.at),
        epoch=intent.epoch,
        nonce=intent.nonce,
        submits=intent.number,
        intent_at=intent.at,
        earlier_charge=intent.earlier_charge,
        resubmits=intent.resubmits,
    )


def forgotten_fault(number: int, at: float) -> JobFault:
    """Why a job is held of which the store has forgotten this submission, made at this time (unix seconds)."""
    moment = datetime.fromtimestamp(at, UTC)
    return JobFault(
        code="outcome_unknown",
        message=f"the job store forgot submission {number} of this job, of {moment:%Y-%m-%d %H:%M:%S} UTC: "
        "it may have been accepted and charged",
    )


def remind(store: Store, job: JobRecord, event: SubmissionForgotten) -> JobRecord | None:
    """The job as it is with the submission that the store had forgotten; None when it has gone another way by now."""
    return store.jobs.load(job.id) if _hold(store, job, event) else None


def _hold(store: Store, job: JobRecord | None, event: SubmissionForgotten) -> bool:
    """The event is with the job, though that may move meanwhile; False when it is not for the job as it is.

    Raises:
        StoreUnavailableError: the job moved each time. Nothing may be submitted before it is held: try again.
    """
    for _ in range(ATTEMPTS):
        if job is None or job.state not in _OPEN or job.submits >= event.submits:
            return False
        if store.jobs.transition(job, event) is not None:
            return True
        job = store.jobs.load(job.id)
    raise StoreUnavailableError("the job moves all the time, so that it could not be held; try again")


def _restore(store: Store, intent: Intent) -> JobRecord | None:
    """The job is in the store again, without its idempotency key when that has ordered another one meanwhile."""
    lost, key = intent.lost_job(), intent.order.idempotency_key
    _accept(store, lost)
    job = store.jobs.load(lost.id)
    if job is None and key:
        owner_id: str | None = store.client.get(store.keys.idempotency(key))  # type: ignore[assignment]  # redis-py: maybe awaitable
        if owner_id:
            _hold_successor(store, owner_id, intent)
        _accept(store, lost.evolve(order=replace(lost.order, idempotency_key=None)))
        job = store.jobs.load(lost.id)
    return job


def _accept(store: Store, job: JobRecord) -> None:
    # Should the disk lose it once more, recovery begins once more.
    with suppress(AcceptanceNotOnDiskError):
        store.jobs.accept(job, publish=False)


def _hold_successor(store: Store, owner_id: str, intent: Intent) -> None:
    owner = store.jobs.load(owner_id)
    if owner is None:
        return
    message = f"the job store forgot {intent.job_id}, which has the same idempotency key and may have been charged"
    _hold(store, owner, _suspicion(owner, message))
    log.error("recovery.ordered_again", extra={"job_id": owner_id, "lost_job_id": intent.job_id})


def _suspicion(job: JobRecord, message: str) -> SubmissionForgotten:
    """Nobody has seen a submission of this job that the store forgot, and nobody can say that there was none."""
    return SubmissionForgotten(
        fault=JobFault(code="outcome_unknown", message=message),
        epoch=job.epoch,
        nonce=submission_nonce(job.id, job.epoch),
        submits=job.submits + 1,
        intent_at=job.intent_at or job.created_at,
    )


def without_proof(store: Store, since: float) -> list[str]:
    """The queued jobs that were accepted before that moment: nothing proves that the store forgot no submission."""
    ids = (str(job_id) for job_id, _score in store.client.zscan_iter(store.keys.jobs(JobState.QUEUED)))
    return sorted({job_id for job_id in ids if is_job_id(job_id) and created_at(job_id) < since})


def hold_without_proof(store: Store, since: float) -> int:
    """Those jobs are held; returns how many were."""
    message = "the job store lost recent writes after it had accepted this job: it may have been submitted and charged"
    held = 0
    for job_id in without_proof(store, since):
        job = store.jobs.load(job_id)
        if job is not None and job.state is JobState.QUEUED and _hold(store, job, _suspicion(job, message)):
            log.error("recovery.held", extra={"job_id": job_id, "restored": False})
            held += 1
    return held


def oldest_unfinished(store: Store) -> float | None:
    """When the oldest job that is not final was accepted, in unix seconds."""
    ids = (
        str(job_id)
        for state in JobState
        if not state.is_final
        for job_id, _score in store.client.zscan_iter(store.keys.jobs(state))
    )
    # The ids sort by their creation.
    oldest = min(filter(is_job_id, ids), default=None)
    return created_at(oldest) if oldest else None
