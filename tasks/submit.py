"""`sceneshift.submit`: look at the sources, store the intent, send the request once, store what came of it.

Run twice: the second run finds the intent without an answer, and does what the policy for unknown outcomes says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery import shared_task

from sceneshift.errors import SceneshiftError
from sceneshift.jobs.decisions import after_bad_source
from sceneshift.jobs.events import CancelRequested, Event, JobRefused, SubmissionDelayed
from sceneshift.jobs.faults import RECOVERY
from sceneshift.jobs.gates import Permit, has_fit_sources, holds_permit, without_permit
from sceneshift.jobs.pauses import submit_backoff_seconds
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.jobs.unknown_outcomes import may_probe, probe_later
from sceneshift.provider.protocol import RenderItem
from sceneshift.store.jobs import RecoveringError
from storage.opening import fetchable_url
from storage.source_errors import SourceError
from storage.source_links import source_link_seconds
from tasks.preflight import check_sources
from tasks.sending import conclude_lost, later, probe, send
from tasks.services import Services, current_services
from tasks.steps import Report, conclude, taking

RECOVERY_LOOK_MAX_SECONDS = 20.0


@shared_task(name="sceneshift.submit")
def submit(*, job_id: str, step: str, sku: str = "", **later: Any) -> dict[str, Any]:  # noqa: ARG001  # for Flower's search, and of a later release
    """One submission of one job."""
    return submit_job(current_services(), job_id, step)


def submit_job(services: Services, job_id: str, step: str) -> Report:
    """The job has been submitted once, or it says what it waits for."""
    with taking(services, job_id, step, counted_as="sceneshift.submit") as taken:
        job = taken.job
        if job is None:
            return {"skipped": taken.reason}
        if job.state is JobState.SUBMITTING:
            return _recover(services, job)
        try:
            return _submit_queued(services, job)
        except RecoveringError:
            return conclude(services, job, later(job, RECOVERY))


def _submit_queued(services: Services, job: JobRecord) -> Report:
    """The job has been submitted once, has ended before that, or says what it waits for.

    Raises:
        RecoveringError: it cannot end now, because the job store may have forgotten a submission of it.
    """
    if services.store.recovery.state():
        return conclude(services, job, later(job, RECOVERY))
    if job.cancel:
        return conclude(services, job, CancelRequested(keep_result=job.cancel == "keep"))
    admitted = holds_permit(job, services.store.clock.now())
    try:
        item = _render_item(services, job)
        body = services.provider.request_body(item)
        if services.settings.preflight and not has_fit_sources(job):
            check_sources(services, item)
    except SceneshiftError as error:
        return conclude(services, job, _unsendable(job, error))
    permit = services.store.permits.reserve_submission(job.id, holds_moment=admitted)
    if delay := without_permit(job, permit, services.store.clock.now()):
        return conclude(services, job, delay)
    return send(services, job, body)


def _recover(services: Services, job: JobRecord) -> Report:
    """A request of this job may have been accepted: its worker disappeared, or it was to be asked again."""
    fault = JobFault(
        code="outcome_unknown",
        message="the worker that was sending it disappeared: it may have been accepted and charged",
    )
    policy, clocks = services.policy.unknown_outcomes, services.read_clocks()
    if not may_probe(job, policy, clocks):
        return conclude_lost(services, job, job.error or fault)
    try:
        body = services.provider.request_body(_render_item(services, job))
    except SceneshiftError:
        # Its source cannot be signed any more: nothing can be asked again.
        return conclude_lost(services, job, fault)
    admitted = holds_permit(job, clocks.store)
    permit = services.store.permits.reserve_submission(job.id, holds_moment=admitted, holds_slot=True)
    if delay := without_permit(job, permit, services.store.clock.now()):
        return conclude(services, job, probe_later(_unhurried(job, permit, delay), policy))
    return probe(services, job, body)


def _unhurried(job: JobRecord, permit: Permit, delay: SubmissionDelayed) -> SubmissionDelayed:
    """Such jobs are not parked, so while the breaker is open they look less and less often whether it still is."""
    if permit.moment is not None:
        return delay
    pause = min(RECOVERY_LOOK_MAX_SECONDS, submit_backoff_seconds(job))
    return replace(delay, retry_in_seconds=max(delay.retry_in_seconds, pause))


def _render_item(services: Services, job: JobRecord) -> RenderItem:
    order, settings = job.order, services.settings

    def fetchable(source: str) -> str:
        return fetchable_url(
            source,
            storage_url=settings.storage_url,
            lifetime_seconds=source_link_seconds(settings.provider_retention_seconds),
            expected_seconds=settings.job_deadline_seconds,
        )

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
