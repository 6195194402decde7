"""Results in a plain directory: the default of the embedded set-up, with the promises of a real object store.

Layout under the root:

    results/…/0.png         the object, an ordinary file that any program can open
    results/…/.0.png.json   its content type, SHA-256 and metadata
    .incoming/              bodies on their way; what a killed process left there goes when the store is next opened

A body is written and synced under `.incoming` first; `os.link` then gives it its name, which fails when the name is
taken. The file beside it is written before that, under a lock on the directory (`flock`), so that of two writers only
the one whose body is kept leaves its metadata.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sceneshift.clock import Clock, SystemClock
from storage.objects import (
    BodyMismatchError,
    InvalidObjectError,
    Link,
    ObjectInfo,
    ObjectNotFoundError,
    StorageRefusedError,
    StorageUnavailableError,
    check_key,
    check_metadata,
    check_prefix,
)

CHUNK_BYTES = 1024 * 1024
ABANDONED_AFTER_SECONDS = 86_400.0
"""A body that has been on its way for a day has no writer any more."""

_INCOMING = ".incoming"
# What time alone may mend; every other OSError needs a person (permissions, space, a read-only file system).
_TRANSIENT = frozenset({errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT, errno.EIO})


class DirectoryStore:
    """An `ObjectStore` below one directory, which is made when it is missing."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        with _os_errors("open", str(root)):
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve(strict=True)
            self._incoming = self._root / _INCOMING
            self._incoming.mkdir(exist_ok=True)
            self._remove_abandoned()

    def put(
        self,
        key: str,
        body: BinaryIO,
        *,
        size_bytes: int,
        sha256: str,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> bool:
        check_metadata(metadata)
        path = self._path(key)
        description = {"content_type": content_type, "sha256": sha256, "metadata": dict(metadata)}
        part = self._incoming / uuid.uuid4().hex
        with _os_errors("put", key):
            try:
                _write_verified(part, body, size_bytes=size_bytes, sha256=sha256)
                _make_directory(path.parent)
                _write_synced(_beside(part), json.dumps(description, sort_keys=True).encode())
                return _give_name(part, path)
            finally:
                part.unlink(missing_ok=True)
                _beside(part).unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _os_errors("get", key):
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise ObjectNotFoundError(f"no object has the name {key!r}") from None

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with _os_errors("head", key):
            if not path.is_file():
                return None
            return _read_info(path)

    def list(self, prefix: str) -> Iterator[str]:
        check_prefix(prefix)
        with _os_errors("list", prefix):
            folder = self._inside(prefix.rpartition("/")[0])
            for directory, subdirectories, names in os.walk(folder, onerror=_raise_unless_missing):
                subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
                for name in names:
                    key = (Path(directory) / name).relative_to(self._root).as_posix()
                    if not name.startswith(".") and key.startswith(prefix):
                        yield key

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _os_errors("delete", key):
            if not path.is_file():
                return
            with _locked(path.parent):
                path.unlink(missing_ok=True)
                _beside(path).unlink(missing_ok=True)

    def link(self, key: str, *, lifetime_seconds: float) -> Link:  # noqa: ARG002 - a file does not expire
        return Link(url=self.uri(key), expires_at=None)

    def uri(self, key: str) -> str:
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        """The file of this key, inside the root even where somebody put symbolic links below it."""
        check_key(key)
        with _os_errors("resolve", key):
            return self._inside(key)

    def _inside(self, name: str) -> Path:
        path = self._root / name
        if not path.resolve().is_relative_to(self._root):
            raise InvalidObjectError(f"{name!r} leads out of the store's directory by a symbolic link")
        return path

    def _remove_abandoned(self) -> None:
        for part in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if part.stat().st_mtime < self._clock.now() - ABANDONED_AFTER_SECONDS:
                    part.unlink()


def _raise_unless_missing(error: OSError) -> None:
    # Left alone, os.walk would leave out what it may not read, and the list would look complete.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _read_info(path: Path) -> ObjectInfo:
    """What stands beside the object; a file that somebody else put there has nothing beside it."""
    try:
        description: dict[str, Any] = json.loads(_beside(path).read_bytes())
    except (FileNotFoundError, ValueError):
        description = {}
    return ObjectInfo(
        size_bytes=path.stat().st_size,
        content_type=description.get("content_type", "application/octet-stream"),
        sha256=description.get("sha256"),
        metadata=description.get("metadata", {}),
    )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[int]:
    """Only this thread of all processes names or removes objects in the directory; the descriptor is for syncing it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _make_directory(directory: Path) -> None:
    """The directory exists, and still does after a power cut."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidObjectError(f"{directory.name!r}: a part of the name is an object already") from None
    for each in missing:
        _sync_directory(each.parent)


def _give_name(part: Path, path: Path) -> bool:
    """The object has its name, and its description stands beside it; False when the name was taken: nothing changed."""
    with _locked(path.parent) as directory:
        if path.is_dir():
            raise InvalidObjectError(f"{path.name!r}: objects exist below this name")
        if path.exists():
            return False
        _beside(part).replace(_beside(path))
        os.link(part, path)
        os.fsync(directory)
        return True


def _write_verified(part: Path, body: BinaryIO, *, size_bytes: int, sha256: str) -> None:
    """The part holds the body on the disk, and the body is the announced one."""
    digest, written_bytes = hashlib.sha256(), 0
    body.seek(0)
    with part.open("xb") as file:
        while chunk := body.read(CHUNK_BYTES):
            digest.update(chunk)
            written_bytes += file.write(chunk)
            if written_bytes > size_bytes:
                break
        file.flush()
        os.fsync(file.fileno())
    if written_bytes != size_bytes or digest.hexdigest() != sha256:
        raise BodyMismatchError(f"the body does not have the announced {size_bytes} bytes and SHA-256")


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _os_errors(operation: str, key: str) -> Iterator[None]:
    """Every OSError inside becomes the StorageError that says who can mend it."""
    try:
        yield
    except OSError as error:
        kind = StorageUnavailableError if error.errno in _TRANSIENT else StorageRefusedError
        raise kind(f"the directory store failed to {operation} {key!r}: {os.strerror(error.errno or 0)}") from error
