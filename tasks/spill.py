"""Images on this machine's disk that the store does not take, so that they outlive the URLs that they came from.

Each is a file `{job_id}.{index}.image` whose bytes were verified when they came. It appears whole or not at
all, and it is found by whatever worker runs on this machine next; a worker elsewhere knows nothing of it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sceneshift.errors import ConfigurationError

log = logging.getLogger(__name__)

_NAME = re.compile(r"(job_[0-9A-Z]{26})\.([0-9]{1,2})\.image", re.ASCII)


@dataclass(frozen=True, slots=True)
class SpilledFile:
    """What came of copying a file, in the words of a download."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SpilledImage:
    """One image on the disk, which can be copied in place of a download."""

    path: Path
    job_id: str
    index: int

    def download(self, _url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> SpilledFile:  # noqa: ARG002  # a file has its size, and no time-out
        """The whole file has been written. Raises `OSError` where the disk fails."""
        digest, size_bytes = hashlib.sha256(), 0
        with self.path.open("rb") as file:
            while piece := file.read(65_536):
                digest.update(piece)
                size_bytes += len(piece)
                into.write(piece)
        return SpilledFile(size_bytes=size_bytes, sha256=digest.hexdigest())

    def remove(self) -> None:
        """The file is gone, whoever removed it."""
        self.path.unlink(missing_ok=True)


class Spill:
    """One machine's directory of such images, bounded in bytes; without a directory it takes nothing. Thread-safe."""

    def __init__(self, directory: Path | None, *, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        return self._directory is not None

    def check(self) -> None:
        """The directory is there and can be written.

        Raises:
            ConfigurationError: it cannot.
        """
        if self._directory is None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self._directory):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"SCENESHIFT_SPILL_DIRECTORY: {self._directory} cannot be written ({error.strerror}): "
                "make it, name another one, or say none"
            ) from None

    def keep(self, job_id: str, index: int, file: BinaryIO, *, size_bytes: int) -> bool:
        """The image is on disk, whole; False when there is no room for it.

        Raises:
            OSError: the disk failed, and nothing of it is left.
        """
        directory = self._directory
        if directory is None:
            return False
        with self._lock:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._used_bytes(directory) + size_bytes > self._max_bytes:
                log.error("spill.full", extra={"job_id": job_id, "directory": str(directory)})
                return False
            _write(directory / f"{job_id}.{index}.image", file)
        return True

    def find(self, job_id: str, index: int) -> SpilledImage | None:
        """The image of this job, when it is here."""
        if self._directory is None:
            return None
        path = self._directory / f"{job_id}.{index}.image"
        return SpilledImage(path, job_id, index) if path.exists() else None

    def images(self) -> Iterator[SpilledImage]:
        """All that are here, the oldest first."""
        if self._directory is None or not self._directory.exists():
            return
        for path in sorted(self._directory.iterdir()):
            if match := _NAME.fullmatch(path.name):
                yield SpilledImage(path, match[1], int(match[2]))

    @staticmethod
    def _used_bytes(directory: Path) -> int:
        used_bytes = 0
        for path in directory.iterdir():
            with suppress(FileNotFoundError):
                used_bytes += path.stat().st_size
        return used_bytes


def _write(path: Path, file: BinaryIO) -> None:
    """The file has this name when all of it is on the disk, and not before."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as part:
        try:
            file.seek(0)
            shutil.copyfileobj(file, part)
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).replace(path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
