"""The spool: keys of accepted submissions, on this machine's disk before the job store hears of them.

Between the provider's answer and its place in the job store, a key of something paid exists in one process only. A line
in a file, forced to disk, outlives the process and an outage of the store; whoever starts next on this machine, or this
very process when the store is back, hands it on.

Each process has a file of its own, which it holds locked as long as it lives: an unlocked one is an inheritance.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import threading
import uuid
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sceneshift.errors import ConfigurationError

log = logging.getLogger(__name__)

_SUFFIX = ".jsonl"
_FILE_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledKey:
    """The provider has accepted this job's `number`-th submission, whose intent is of `sent_at` (unix seconds).

    Number and epoch are there for a job store that has forgotten the submission. `unknown_fields` is what a later
    release has added, as JSON.
    """

    job_id: str
    nonce: str
    result_key: str
    request_id: str | None
    sent_at: float
    number: int = 0
    epoch: int = 1
    unknown_fields: str = "{}"

    def to_json(self) -> str:
        """One line of the spool."""
        known = {name: value for name, value in asdict(self).items() if name != "unknown_fields"}
        return json.dumps({**known, **json.loads(self.unknown_fields)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes) -> SpooledKey:
        """What `to_json` wrote.

        Raises:
            AttributeError, TypeError, ValueError: it is something else.
        """
        document: dict[str, Any] = json.loads(text)
        known = {
            item.name: document.pop(item.name)
            for item in fields(cls)
            if item.name in document and item.name != "unknown_fields"
        }
        return cls(**known, unknown_fields=json.dumps(document, separators=(",", ":")))


class Spool:
    """One process's part of a directory that the processes of a machine share. Without a directory it keeps nothing."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._open: dict[SpooledKey, None] = {}
        self._deferred: dict[SpooledKey, None] = {}
        self._file: _OwnFile | None = None
        self._left: set[str] = set()

    def check(self) -> None:
        """The directory is there and can be written.

        Raises:
            ConfigurationError: it cannot.
        """
        if self._directory is None:
            return
        try:
            _OwnFile(self._directory).remove()
        except OSError as error:
            raise ConfigurationError(
                f"SCENESHIFT_SPOOL_DIRECTORY: {self._directory} cannot be written ({error.strerror}): "
                "make it, name another one, or say none"
            ) from None

    def keep(self, key: SpooledKey) -> None:
        """The key is on disk. A disk that refuses is logged: the job store is still to come."""
        if self._directory is None:
            return
        with self._lock:
            self._open[key] = None
            try:
                if self._file is None or self._file.size_bytes > _FILE_MAX_BYTES:
                    self._roll(self._directory)
                else:
                    self._file.append([key])
            except OSError:
                log.exception("spool.not_written", extra={"job_id": key.job_id, "result_key": key.result_key})

    def _roll(self, directory: Path) -> None:
        """A new file holds what is still needed, and then the old one goes."""
        old, new = self._file, _OwnFile(directory)
        new.append(self._open)
        self._file = new
        if old is not None:
            old.remove()

    def settle(self, key: SpooledKey) -> None:
        """The job store has it: the key is not needed here any more."""
        with self._lock:
            self._open.pop(key, None)
            self._deferred.pop(key, None)
            if self._file is not None and not self._open:
                self._file.empty()

    def defer(self, key: SpooledKey) -> None:
        """The job store could not be told; it will be tried again."""
        with self._lock:
            self._deferred[key] = None

    def deferred(self) -> list[SpooledKey]:
        """The keys of this process that the job store could not be told."""
        with self._lock:
            return list(self._deferred)

    def inheritances(self) -> Iterator[Inheritance]:
        """What dead processes have left, one after the other; each is this process's while it has it.

        One with lines that nobody here can read is met once by each process, and stays for a later release.
        """
        if self._directory is None:
            return
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            descriptor = None if path.name in self._left else _locked(path)
            if descriptor is None:
                continue
            try:
                inheritance = Inheritance(path)
                yield inheritance
                if inheritance.unreadable_lines:
                    self._left.add(path.name)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """The file is let go of, as at the end of the process; without a key in it, it is removed."""
        with self._lock:
            if self._file is not None:
                self._file.close() if self._open else self._file.remove()
                self._file = None


class Inheritance:
    """The file of a dead process, locked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.unreadable_lines = 0

    def read(self) -> list[SpooledKey]:
        """Its keys. A line that the process did not finish was not followed by anything."""
        *lines, _unfinished = self._path.read_bytes().split(b"\n")
        return [key for line in lines if line and (key := self._key_in(line))]

    def remove(self) -> None:
        """All of it has been handed on; a file with a line that could not be read stays, for that may be a paid key."""
        if self.unreadable_lines:
            return
        with suppress(OSError):
            self._path.unlink()

    def _key_in(self, line: bytes) -> SpooledKey | None:
        try:
            return SpooledKey.from_json(line)
        except (AttributeError, TypeError, ValueError):
            self.unreadable_lines += 1
            about = {"path": str(self._path), "size_bytes": len(line)}
            log.error("spool.unreadable_line", extra=about)  # noqa: TRY400  # a traceback says nothing more
            return None


class _OwnFile:
    """A new file, locked until it is closed or its process is dead."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / f"{uuid.uuid4().hex}{_SUFFIX}"
        # Under a name that nobody looks for, until it is locked.
        unlocked = self._path.with_suffix(".new")
        self._descriptor = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o600)
        self._closing = weakref.finalize(self, os.close, self._descriptor)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(self._path)
        _force_to_disk(directory)
        self.size_bytes = 0

    def append(self, keys: Iterable[SpooledKey]) -> None:
        lines = b"".join(key.to_json().encode() + b"\n" for key in keys)
        self.size_bytes += len(lines)
        if os.write(self._descriptor, lines) != len(lines):
            # The next line would be glued to half of this one: another file will be begun instead.
            self.size_bytes += _FILE_MAX_BYTES
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._descriptor)

    def empty(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            self.size_bytes = 0

    def remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()
        self.close()

    def close(self) -> None:
        self._closing()


def _force_to_disk(directory: Path) -> None:
    """A power failure will not forget the new file's name."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """A descriptor of the file, locked, if its process is dead and nobody else has taken or removed it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
