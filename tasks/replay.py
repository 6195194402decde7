"""Hands spooled keys on to the job store: those of dead processes, and those that an outage has kept here."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from sceneshift.errors import StoreUnavailableError, UnknownRecordError
from sceneshift.jobs.events import SubmissionAccepted, SubmissionForgotten
from sceneshift.store.jobs import NotOnDiskError
from sceneshift.store.merging import forgotten_fault, remind
from tasks.services import Services
from tasks.spool import SpooledKey
from tasks.steps import conclude

log = logging.getLogger(__name__)


def replay(services: Services) -> int:
    """Every spooled key is with its job, as far as the job store could be told; returns how many were handed on."""
    handed_on = 0
    try:
        for key in services.spool.deferred():
            if _hand_on(services, key):
                services.spool.settle(key)
                handed_on += 1
        for inheritance in services.spool.inheritances():
            for key in inheritance.read():
                if _hand_on(services, key):
                    handed_on += 1
                else:
                    services.spool.keep(key)
                    services.spool.defer(key)
            inheritance.remove()
    except (RedisError, StoreUnavailableError) as error:
        log.warning("spool.store_away", extra={"error": type(error).__name__})
    return handed_on


def _hand_on(services: Services, key: SpooledKey) -> bool:
    """Whether the job store knows what there is to know of this key; False while it may still be told of the job."""
    try:
        return _is_handed_on(services, key)
    except UnknownRecordError as error:
        # A worker of the release that wrote the job can attach it; until one runs here, this disk keeps it.
        about = {"job_id": key.job_id, "result_key": key.result_key, "what": error.what}
        log.warning("spool.unknown_record", extra=about)
        return False


def _is_handed_on(services: Services, key: SpooledKey) -> bool:
    job = services.store.jobs.load(key.job_id)
    about = {"job_id": key.job_id, "result_key": key.result_key}
    if job is None and services.store.recovery.state():
        # It may be stored again, from what others remember.
        return False
    if job is not None and job.submits < key.number:
        job = remind(services.store, job, _reminder(key)) or job
    if job is None or job.nonce != key.nonce:
        # Paid for, and its job is gone or went on with another submission: nobody else knows of it.
        log.error("submission.unclaimed", extra={**about, "step": job.step if job else None})
        if job is not None:
            services.store.ledger.note_unclaimed(job.evolve(intent_at=key.sent_at), key.result_key, left_behind=True)
        return True
    if job.result_key == key.result_key:
        if not services.store.jobs.is_on_disk():
            raise StoreUnavailableError("the job store's disk has not confirmed", job_id=job.id)
        return True
    log.warning("spool.handed_on", extra={**about, "state": str(job.state)})
    accepted = SubmissionAccepted(result_key=key.result_key, request_id=key.request_id, first_poll_in_seconds=0.0)
    try:
        conclude(services, job, accepted)
    except NotOnDiskError:
        raise StoreUnavailableError("the job store's disk has not confirmed", job_id=job.id) from None
    return True


def _reminder(key: SpooledKey) -> SubmissionForgotten:
    fault = forgotten_fault(key.number, key.sent_at)
    return SubmissionForgotten(fault=fault, epoch=key.epoch, nonce=key.nonce, submits=key.number, intent_at=key.sent_at)
