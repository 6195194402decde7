"""From this machine's disk into the store, as soon as it takes them, whichever worker has the job's step."""

from __future__ import annotations

import logging

from sceneshift.errors import SceneshiftError
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from storage.objects import StorageError
from tasks.copying import copy_image
from tasks.dropped_results import remove_if_dropped
from tasks.services import Services
from tasks.spill import SpilledImage

log = logging.getLogger(__name__)


def store_spilled(services: Services) -> int:
    """Every image here that its job still wants is in the store, as far as that takes them; returns how many remain.

    The job's own step finds what is stored, reads it back and verifies it, as after a kill.
    """
    remaining = 0
    for image in services.spill.images():
        job = services.store.jobs.load(image.job_id)
        if job is None or job.cancel == "discard" or any(output.index == image.index for output in job.outputs):
            image.remove()
            continue
        try:
            if job.state is JobState.STORING:
                _store(services, job, image)
                continue
        except StorageError:
            return remaining + 1
        except SceneshiftError as error:
            log.warning("spill.not_stored", extra={"job_id": job.id, "index": image.index, "error": error.code})
        # Its job has ended without it, or it cannot be read: the only copy of a paid image is a person's to remove.
        remaining += 1
    return remaining


def _store(services: Services, job: JobRecord, image: SpilledImage) -> None:
    copy_image(services, job, image.index, image, url="")
    image.remove()
    remove_if_dropped(services, job)
    log.info("spill.stored", extra={"job_id": job.id, "index": image.index})
