"""`sceneshift.finalize`: copy every result image into the bucket, verified, and the manifest last.

Run twice: the same names hold the same bytes; what is stored already is found again, not written again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from celery import shared_task

from sceneshift.errors import SceneshiftError
from sceneshift.fetch_errors import FetchBlockedError, FetchStatusError
from sceneshift.jobs.decisions import after_copying
from sceneshift.jobs.events import ImagesStored, StoringDelayed
from sceneshift.jobs.pauses import store_backoff_seconds
from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput, OutputImage
from sceneshift.provider.protocol import Succeeded
from storage.copying import CopyLimits, copy_result
from storage.manifest import ManifestConflictError, read_manifest, write_manifest
from storage.names import job_folder, manifest_name
from storage.objects import StorageError
from tasks.services import Services, current_services
from tasks.steps import Report, conclude, taking

log = logging.getLogger(__name__)

URL_GONE = frozenset({400, 401, 403, 404, 410})
"""What servers say of a result URL that has expired."""

MENDABLE = (FetchStatusError, FetchBlockedError)
"""What a fresh URL, the provider or an operator may still mend: the image is paid for, so it is not given up."""


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
            _remove_if_dropped(services, job)
        return report


def _discard(services: Services, job: JobRecord) -> Report:
    """Nothing of the job is in the bucket, and the job has ended as its owner asked."""
    try:
        _remove(services, job)
    except StorageError as error:
        return conclude(services, job, _delayed(job, job.urls, job.outputs, error))
    return conclude(services, job, ImagesStored(outputs=(), missing=()))


def _remove(services: Services, job: JobRecord) -> None:
    """Nothing of the job is in the bucket, the manifest gone first.

    Raises:
        StorageError: the bucket did not do it.
    """
    keys = sorted(services.objects.list(f"{job_folder(job.id)}/"), key=lambda key: key != manifest_name(job.id))
    for key in keys:
        services.objects.delete(key)


def _remove_if_dropped(services: Services, job: JobRecord) -> None:
    """A slow run has stored images while another removed them because nobody wants them: they are removed again."""
    current = services.store.jobs.load(job.id)
    if current is None or current.cancel != "discard":
        return
    try:
        _remove(services, job)
    except StorageError as error:
        log.warning("result.not_removed", extra={"job_id": job.id, "error": error.code})


def _delayed(
    job: JobRecord, urls: tuple[str, ...], outputs: tuple[OutputImage, ...], error: SceneshiftError
) -> StoringDelayed:
    """The bucket is the shop's own, so it is waited for, however long that takes."""
    return StoringDelayed(
        outputs=outputs,
        urls=urls,
        fault=JobFault(code=error.code, message=error.message),
        retry_in_seconds=store_backoff_seconds(job),
    )


def _next_event(services: Services, job: JobRecord, copying: Copying) -> StoringDelayed | ImagesStored:
    return after_copying(
        job,
        outputs=tuple(copying.outputs.values()),
        urls=copying.urls,
        lost=tuple(copying.lost),
        delayed=copying.delayed,
        policy=services.policy,
        now=services.store.clock.now(),
    )


@dataclass(slots=True)
class Copying:
    """The copying of one job's images, one after the other; `delayed` is why some of them must wait."""

    services: Services
    job: JobRecord
    urls: tuple[str, ...] = ()
    outputs: dict[int, OutputImage] = field(default_factory=dict)
    lost: list[MissingOutput] = field(default_factory=list)
    delayed: JobFault | None = None
    refreshed: bool = False

    def __post_init__(self) -> None:
        self.urls = self.job.urls
        self.outputs = {output.index: output for output in self.job.outputs}

    def copy_all(self) -> None:
        """Each ordered image is stored, lost for a reason that no later try can mend, or delayed."""
        for index in range(self.job.order.num_output):
            if index in self.outputs:
                continue
            if index >= len(self.urls):
                self._lose(index, "not_delivered", "the provider delivered fewer images than were ordered")
                continue
            try:
                self.outputs[index] = self._copy(index)
            except SceneshiftError as error:
                if error.retryable or isinstance(error, MENDABLE):
                    self.delayed = JobFault(code=error.code, message=error.message)
                else:
                    self._lose(index, error.code, error.message)

    def _copy(self, index: int) -> OutputImage:
        try:
            return self._copy_from(self.urls[index], index)
        except FetchStatusError as error:
            if error.status not in URL_GONE or self.refreshed:
                raise
            self._refresh_urls()
            return self._copy_from(self.urls[index], index)

    def _copy_from(self, url: str, index: int) -> OutputImage:
        job, settings = self.job, self.services.settings
        return copy_result(
            self.services.fetcher,
            self.services.objects,
            url=url,
            job_id=job.id,
            index=index,
            limits=CopyLimits(
                max_bytes=settings.result_max_bytes,
                max_pixels=settings.result_max_pixels,
                timeout_seconds=settings.result_timeout_seconds,
            ),
            metadata={"job-id": job.id, "sku": job.sku or ""},
        )

    def _refresh_urls(self) -> None:
        """The provider was asked once more for URLs; no fewer of the ordered ones than before, or the old ones stay."""
        self.refreshed = True
        outcome = self.services.provider.query(self.job.result_key)
        if isinstance(outcome, Succeeded) and len(outcome.urls) >= min(len(self.urls), self.job.order.num_output):
            self.urls = outcome.urls
            log.info("result.urls_refreshed", extra={"job_id": self.job.id})

    def _lose(self, index: int, code: str, message: str) -> None:
        self.lost.append(MissingOutput(index=index, code=code, message=message))


def _committed(services: Services, job: JobRecord, event: ImagesStored) -> ImagesStored:
    """The event as the manifest has it: written now, or found as a run before this one wrote it."""
    try:
        write_manifest(
            services.objects, job_id=job.id, images=event.outputs, missing=event.missing, about={"sku": job.sku}
        )
    except ManifestConflictError:
        manifest = read_manifest(services.objects, job_id=job.id)
        if manifest is not None:
            return ImagesStored(outputs=manifest.images, missing=manifest.missing)
    return event
