"""The copying of one job's images: several at once, each for itself, and what came of each."""

from __future__ import annotations

import logging
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from socket import gethostname

from sceneshift.errors import SceneshiftError
from sceneshift.fetch_errors import FetchBlockedError, FetchStatusError
from sceneshift.jobs.record import JobFault, JobRecord, MissingOutput, OutputImage
from sceneshift.provider.protocol import Succeeded
from storage.copying import CopyLimits, Downloader, copy_result
from storage.images import ImageRejectedError
from storage.object_metadata import object_metadata
from storage.objects import StorageError
from storage.provenance import downloader
from tasks.services import Services

log = logging.getLogger(__name__)

URL_GONE = frozenset({400, 401, 403, 404, 410})
"""What servers say of a result URL that has expired."""

MENDABLE = (FetchStatusError, FetchBlockedError)
"""What a fresh URL, the provider or an operator may still mend: the image is paid for, so it is not given up."""


class Copying:
    """One run of copying; `delayed` is why some of the images must wait, by the first of them."""

    def __init__(self, services: Services, job: JobRecord) -> None:
        self._services = services
        self._job = job
        self._lock = threading.Lock()
        self._has_asked = False
        self._failed: dict[int, SceneshiftError] = {}
        self.urls = job.urls
        self.outputs = {output.index: output for output in job.outputs}
        self.lost: list[MissingOutput] = []
        self.delayed: JobFault | None = None
        self.is_spilled = False
        """An image is on this machine's disk, and waits for the store alone."""

    def copy_all(self) -> None:
        """Each ordered image is stored, lost for a reason that no later try can mend, or delayed."""
        wanted = [index for index in range(self._job.order.num_output) if index not in self.outputs]
        self._copy_each([index for index in wanted if index < len(self.urls)])
        for index in wanted:
            if index in self._failed:
                self._note(index, self._failed[index])
            elif index not in self.outputs:
                self._lose(index, "not_delivered", "the provider delivered fewer images than were ordered")

    def _copy_each(self, indexes: list[int]) -> None:
        """None of them is being copied any more, whatever became of the others."""
        threads = self._services.settings.copy_concurrency
        if threads == 1 or len(indexes) == 1:
            for index in indexes:
                self._try(index)
            return
        copies = [_copiers(threads).submit(self._try, index) for index in indexes]
        wait(copies)
        for copy in copies:
            copy.result()

    def _try(self, index: int) -> None:
        try:
            self.outputs[index] = self._copy(index)
        except SceneshiftError as error:
            self._failed[index] = error

    def _note(self, index: int, error: SceneshiftError) -> None:
        if not (error.retryable or isinstance(error, MENDABLE)):
            self._lose(index, error.code, error.message)
        elif self.delayed is None:
            self.delayed = JobFault(code=error.code, message=error.message)

    def _copy(self, index: int) -> OutputImage:
        urls = self.urls
        try:
            return self._copy_from(urls[index], index)
        except FetchStatusError as error:
            fresh = self._fresh_urls() if error.status in URL_GONE else urls
            if fresh == urls:
                raise
            return self._copy_from(fresh[index], index)

    def _copy_from(self, url: str, index: int) -> OutputImage:
        services = self._services
        spilled = services.spill.find(self._job.id, index)
        try:
            image = copy_image(services, self._job, index, spilled or services.fetcher, url=url)
        except StorageError as error:
            if spilled is not None or (self._is_time_to_spill() and self._spill(url, index)):
                self.is_spilled = True
                error.message = f"{error.message}; image {index} is on the disk of {gethostname()} meanwhile"
            raise
        except ImageRejectedError:
            if spilled is None:
                raise
            # The disk has damaged it: the URL is the better source, if it lives.
            spilled.remove()
            return self._copy_from(url, index)
        if spilled is not None:
            spilled.remove()
        return image

    def _is_time_to_spill(self) -> bool:
        """The store has not taken the image for so long that its URL may end first."""
        services = self._services
        age_seconds = services.store.clock.now() - (self._job.rendered_at or 0.0)
        return services.spill.is_on and age_seconds >= services.settings.spill_after_seconds

    def _spill(self, url: str, index: int) -> bool:
        """Whether the image is on this machine's disk now, verified; the log says why it is not."""
        job, services, limits = self._job, self._services, copy_limits(self._services)
        try:
            with tempfile.TemporaryFile() as file:
                sent = services.fetcher.download(
                    url, file, max_bytes=limits.max_bytes, timeout_seconds=limits.timeout_seconds
                )
                services.decoder.inspect(file, max_pixels=limits.max_pixels)
                is_kept = services.spill.keep(job.id, index, file, size_bytes=sent.size_bytes)
        except (SceneshiftError, OSError) as error:
            log.warning("result.not_spilled", extra={"job_id": job.id, "index": index, "error": type(error).__name__})
            return False
        if is_kept:
            log.warning("result.spilled", extra={"job_id": job.id, "index": index})
        return is_kept

    def _fresh_urls(self) -> tuple[str, ...]:
        """The provider was asked once; no fewer of the ordered images than before, or the old URLs stay."""
        with self._lock:
            if not self._has_asked:
                self._has_asked = True
                outcome = self._services.provider.query(self._job.result_key)
                if isinstance(outcome, Succeeded) and len(outcome.urls) >= min(
                    len(self.urls), self._job.order.num_output
                ):
                    self.urls = outcome.urls
                    log.info("result.urls_refreshed", extra={"job_id": self._job.id})
            return self.urls

    def _lose(self, index: int, code: str, message: str) -> None:
        self.lost.append(MissingOutput(index=index, code=code, message=message))


def copy_limits(services: Services) -> CopyLimits:
    """What one image may cost, by the settings."""
    settings = services.settings
    return CopyLimits(
        max_bytes=settings.result_max_bytes,
        max_pixels=settings.result_max_pixels,
        timeout_seconds=settings.result_timeout_seconds,
    )


def copy_image(services: Services, job: JobRecord, index: int, source: Downloader, *, url: str) -> OutputImage:
    """The job's image of this index is in the store, from this source; errors as in `copy_result`."""
    return copy_result(
        downloader(source, services.settings.provenance),
        services.objects,
        services.decoder,
        url=url,
        job_id=job.id,
        index=index,
        limits=copy_limits(services),
        metadata=object_metadata(job),
    )


@cache
def _copiers(threads: int) -> ThreadPoolExecutor:
    """The threads that all jobs of this process share, so that images in flight are bounded."""
    return ThreadPoolExecutor(threads, thread_name_prefix="copy")
