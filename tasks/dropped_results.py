"""What was stored of a job and belongs to nobody: gone from the bucket."""

from __future__ import annotations

import logging

from sceneshift.jobs.record import JobRecord
from storage.manifest import Manifest
from storage.names import job_folder, manifest_name
from storage.objects import StorageError
from tasks.services import Services

log = logging.getLogger(__name__)


def remove_results(services: Services, job: JobRecord) -> None:
    """Nothing of the job is in the bucket, the manifest gone first.

    Raises:
        StorageError: the bucket did not do it.
    """
    keys = sorted(services.objects.list(f"{job_folder(job.id)}/"), key=lambda key: key != manifest_name(job.id))
    for key in keys:
        services.objects.delete(key)


def remove_unnamed(services: Services, manifest: Manifest) -> None:
    """Of the job, nothing is in the bucket but what its manifest names: it counts, and is never written again.

    A run may have stored an image that another one had to give up before, and wrote the manifest without it.

    Raises:
        StorageError: the bucket did not do it.
    """
    named = {manifest_name(manifest.job_id), *(image.key for image in manifest.images)}
    named |= {rendition["key"] for rendition in manifest.about.get("renditions", ())}
    for key in services.objects.list(f"{job_folder(manifest.job_id)}/"):
        if key not in named:
            services.objects.delete(key)


def remove_if_dropped(services: Services, job: JobRecord) -> None:
    """A slow run has stored images while another removed them because nobody wants them: they are removed again."""
    current = services.store.jobs.load(job.id)
    if current is None or current.cancel != "discard":
        return
    try:
        remove_results(services, job)
    except StorageError as error:
        log.warning("result.not_removed", extra={"job_id": job.id, "error": error.code})
