"""Photos of this machine brought to where the provider can fetch them: into the bucket, under names of their contents.

    sources/{sha256}.{ext}

The same file is stored once, whoever stages it how often; another file has another name, so nothing is overwritten.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sceneshift.errors import ConfigurationError, InvalidRequestError
from storage.image_headers import format_of
from storage.names import EXTENSIONS
from storage.objects import ObjectStore, StorageError

_HEAD_BYTES = 4096


def stage_file(store: ObjectStore, path: Path, *, max_bytes: int) -> str:
    """The file is in the bucket; its `s3://` URL, which a job takes as `image` or `mask`.

    Raises:
        InvalidRequestError: it cannot be read, is too large, or is no PNG, JPEG or WEBP.
        ConfigurationError: the store is a directory, from which no provider can fetch.
        StorageError: the store failed, or has something else under this name.
    """
    if not store.uri("sources/x").startswith("s3://"):
        raise ConfigurationError(
            "SCENESHIFT_STORAGE_URL names a directory: files can be staged in an s3:// bucket only"
        )
    try:
        with path.open("rb") as file:
            content_type = _content_type(path, file.read(_HEAD_BYTES))
            size_bytes = file.seek(0, 2)
            if size_bytes > max_bytes:
                raise InvalidRequestError(f"{path.name}: {size_bytes} bytes are more than the allowed {max_bytes}")
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            key = f"sources/{sha256}.{EXTENSIONS[content_type]}"
            created = store.put(key, file, size_bytes=size_bytes, sha256=sha256, content_type=content_type, metadata={})
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise InvalidRequestError(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not created:
        _check_present(store, key, size_bytes=size_bytes, sha256=sha256)
    return store.uri(key)


def _content_type(path: Path, head: bytes) -> str:
    kind = format_of(head)
    if kind is None:
        raise InvalidRequestError(f"{path.name} is no PNG, JPEG or WEBP image")
    return f"image/{kind.lower()}"


def _check_present(store: ObjectStore, key: str, *, size_bytes: int, sha256: str) -> None:
    """What was there before is this file."""
    info = store.head(key)
    if info is None or info.size_bytes != size_bytes or info.sha256 not in {None, sha256}:
        raise StorageError(f"{key} is there already, with other bytes than its name says: remove it")
