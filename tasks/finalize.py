"""`sceneshift.finalize`: copy every result image into the bucket, verified, and the manifest last.

Run twice: the same names hold the same bytes; what is stored already is found again, not written again.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task

from sceneshift.errors import SceneshiftError
from sceneshift.jobs.decisions import after_copying
from sceneshift.jobs.events import ImagesStored, StoringDelayed
from sceneshift.jobs.pauses import store_backoff_seconds
from sceneshift.jobs.record import JobFault, JobRecord, OutputImage
from storage.manifest import ManifestConflictError, read_manifest, write_manifest
from storage.objects import StorageError
from storage.renditions import make_renditions
from tasks.copying import Copying
from tasks.dropped_results import remove_if_dropped, remove_results, remove_unnamed
from tasks.services import Services, current_services
from tasks.steps import Report, conclude, taking

log = logging.getLogger(__name__)


@shared_task(name="sceneshift.finalize")
def finalize(*, job_id: str, step: str, sku: str = "", **later: Any) -> dict[str, Any]:  # noqa: ARG001  # for Flower's search, and of a later release
    """The copying of one job's results."""
    return finalize_job(current_services(), job_id, step)


def finalize_job(services: Services, job_id: str, step: str) -> Report:
    """Every image that can be had is in the bucket and the job has ended, or it is tried again later."""
    with taking(services, job_id, step, counted_as="sceneshift.finalize") as taken:
        job = taken.job
        if job is None:
            return {"skipped": taken.reason}
        if job.cancel == "discard":
            return _discard(services, job)
        copying = Copying(services, job)
        copying.copy_all()
        event = _next_event(services, job, copying)
        if isinstance(event, ImagesStored) and event.outputs:
            try:
                event = _committed(services, job, event)
            except StorageError as error:
                event = _delayed(job, copying.urls, tuple(copying.outputs.values()), error)
        report = conclude(services, job, event)
        if "skipped" in report:
            remove_if_dropped(services, job)
        return report


def _discard(services: Services, job: JobRecord) -> Report:
    """Nothing of the job is in the bucket, and the job has ended as its owner asked."""
    try:
        remove_results(services, job)
    except StorageError as error:
        return conclude(services, job, _delayed(job, job.urls, job.outputs, error))
    return conclude(services, job, ImagesStored(outputs=(), missing=()))


def _delayed(
    job: JobRecord, urls: tuple[str, ...], outputs: tuple[OutputImage, ...], error: SceneshiftError | JobFault
) -> StoringDelayed:
    """The bucket is the shop's own, so it is waited for, however long that takes."""
    return StoringDelayed(
        outputs=tuple(sorted(outputs, key=lambda output: output.index)),
        urls=urls,
        fault=JobFault(code=error.code, message=error.message),
        retry_in_seconds=store_backoff_seconds(job),
    )


def _next_event(services: Services, job: JobRecord, copying: Copying) -> StoringDelayed | ImagesStored:
    if copying.delayed is not None and copying.is_spilled:
        return _delayed(job, copying.urls, tuple(copying.outputs.values()), copying.delayed)
    return after_copying(
        job,
        outputs=tuple(copying.outputs.values()),
        urls=copying.urls,
        lost=tuple(copying.lost),
        delayed=copying.delayed,
        policy=services.policy,
        now=services.store.clock.now(),
    )


def _committed(services: Services, job: JobRecord, event: ImagesStored) -> ImagesStored:
    """The event as the manifest has it: written now, or found as a run before this one wrote it."""
    about: dict[str, Any] = {"sku": job.sku}
    if kinds := services.settings.renditions:
        about["renditions"] = make_renditions(services.objects, event.outputs, kinds)
    try:
        write_manifest(services.objects, job_id=job.id, images=event.outputs, missing=event.missing, about=about)
    except ManifestConflictError:
        manifest = read_manifest(services.objects, job_id=job.id)
        if manifest is not None:
            remove_unnamed(services, manifest)
            return ImagesStored(outputs=manifest.images, missing=manifest.missing)
    return event
