"""`sceneshift.submit`: look at the sources, store the intent, send the request once, store what came of it.

Run twice: the second run finds the intent without an answer and hands the job to a person; it never sends again.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from celery import shared_task

from sceneshift.errors import SceneshiftError
from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.decisions import after_bad_source, next_step
from sceneshift.jobs.events import Event, IntentStored, JobRefused, SubmissionDelayed, SubmissionLost
from sceneshift.jobs.gates import has_fit_sources, holds_permit, slot_delay, without_permit
from sceneshift.jobs.pauses import submit_backoff_seconds
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Accepted, RenderItem
from sceneshift.store.jobs import SlotsFullError
from storage.opening import fetchable_url
from storage.source_errors import SourceError
from tasks.answers import note_answer
from tasks.preflight import check_sources
from tasks.services import Services, current_services
from tasks.spool import SpooledKey
from tasks.steps import Report, conclude, taking

log = logging.getLogger(__name__)


@shared_task(name="sceneshift.submit")
def submit(*, job_id: str, step: str, sku: str = "") -> dict[str, Any]:  # noqa: ARG001  # the sku is for Flower's search
    """One submission of one job."""
    return submit_job(current_services(), job_id, step)


def submit_job(services: Services, job_id: str, step: str) -> Report:
    """The job has been submitted once, or it says what it waits for."""
    with taking(services, job_id, step, counted_as="sceneshift.submit") as taken:
        job = taken.job
        if job is None:
            return {"skipped": taken.reason}
        if job.state is JobState.SUBMITTING:
            fault = JobFault(
                code="outcome_unknown",
                message="the worker that was sending it disappeared: it may have been accepted and charged",
            )
            return conclude(services, job, SubmissionLost(fault=fault))
        admitted = holds_permit(job, services.store.clock.now())
        try:
            item = _render_item(services, job)
            body = services.provider.request_body(item)
            if services.settings.preflight and not has_fit_sources(job):
                check_sources(services, job.id, item)
        except SceneshiftError as error:
            return conclude(services, job, _unsendable(job, error))
        if not admitted and (delay := _wait_for_permit(services, job)):
            return conclude(services, job, delay)
        return _submit_once(services, job, body)


def _wait_for_permit(services: Services, job: JobRecord) -> SubmissionDelayed | None:
    permit = services.store.permits.reserve_submission(job.id)
    return without_permit(job, permit.moment, services.store.clock.now())


def _submit_once(services: Services, job: JobRecord, body: bytes) -> Report:
    nonce = submission_nonce(job.id, job.epoch)
    intent = IntentStored(nonce=nonce, request_hash=hashlib.sha256(body).hexdigest())
    try:
        change = services.store.jobs.transition(job, intent, slots=services.store.permits.limits.max_in_flight)
    except SlotsFullError:
        # Another worker took the last slot since the permit was given.
        return conclude(services, job, slot_delay(job))
    if change is None:
        return {"skipped": "stale"}
    # Nothing that can fail stands between the answer and its place in the store.
    submitting, now = change.after, services.store.clock.now()
    outcome = services.provider.submit(body, nonce=nonce)
    event = next_step(submitting, outcome, services.policy, now)
    if isinstance(outcome, Accepted):
        report = _conclude_accepted(services, submitting, outcome, event, sent_at=now)
    else:
        report = conclude(services, submitting, event)
    note_answer(services, submitting, outcome)
    return report


def _conclude_accepted(
    services: Services, job: JobRecord, outcome: Accepted, event: Event, *, sent_at: float
) -> Report:
    """The key is on disk first, for it is paid: a kill or an outage of the job store does not lose it.

    Not even the clock is asked before, for that may be the job store's.
    """
    key = SpooledKey(
        job_id=job.id,
        nonce=job.nonce,
        result_key=outcome.result_key,
        request_id=outcome.request_id,
        sent_at=sent_at,
    )
    services.spool.keep(key)
    log.info("submission.accepted", extra={"job_id": job.id, "result_key": outcome.result_key})
    try:
        report = conclude(services, job, event)
    except Exception:
        services.spool.defer(key)
        raise
    services.spool.settle(key)
    return report


def _render_item(services: Services, job: JobRecord) -> RenderItem:
    order, settings = job.order, services.settings

    def fetchable(source: str) -> str:
        return fetchable_url(source, storage_url=settings.storage_url, lifetime_seconds=settings.url_lifetime_seconds)

    return RenderItem(
        image=fetchable(order.image),
        mask=fetchable(order.mask),
        positive_prompt=order.positive_prompt,
        negative_prompt=order.negative_prompt,
        guidance_scale=order.guidance_scale,
        strength=order.strength,
        steps=order.steps,
        num_output=order.num_output,
        seed=order.seed,
    )


def _unsendable(job: JobRecord, error: SceneshiftError) -> Event:
    fault = JobFault(code=error.code, message=error.message)
    if isinstance(error, SourceError):
        return after_bad_source(job, fault, may_pass=error.retryable, retry_after_seconds=error.retry_after_seconds)
    if error.retryable:
        return SubmissionDelayed(blocked_by=error.code, retry_in_seconds=submit_backoff_seconds(job), new_epoch=False)
    return JobRefused(fault=fault)
