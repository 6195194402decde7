"""One result image from the provider's server into the store: bounded, verified, written once.

The bytes pass through a temporary file that stays in memory while it is small, so that an image of any allowed size
costs the same memory. What is in the store already counts: a second run of the same step reads it back, verifies it and
reports it, even when the provider has come to send another format.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast
from urllib.parse import quote

from sceneshift.errors import SceneshiftError
from sceneshift.jobs.record import OutputImage
from storage.decoding import ImageDecoder
from storage.images import ImageFacts, ImageRejectedError
from storage.names import EXTENSIONS, output_name, output_prefix
from storage.objects import (
    ObjectNotFoundError,
    ObjectStore,
    StorageError,
    StorageRefusedError,
    StorageUnavailableError,
)

SPOOL_MEMORY_BYTES = 1024 * 1024
"""What of an image is kept in memory; the rest of a larger one is on the disk."""

METADATA_VALUE_MAX_LENGTH = 768
"""Characters that are kept of an encoded metadata value: an SKU of any 64 characters, whole."""

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class StoredImageDamagedError(StorageError):
    """Raised when what is stored under a result's name is not a whole image of its kind; a person must look at it."""

    code = "stored_image_damaged"


class DownloadedFile(Protocol):
    """What a download reports. The declared content type is not asked: the image says what it is."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Downloader(Protocol):
    """The guarded HTTP client, as far as copying needs it; its errors pass through."""

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> DownloadedFile: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLimits:
    """What one image may cost; `timeout_seconds` is the total time of its download."""

    max_bytes: int
    max_pixels: int
    timeout_seconds: float


def copy_result(
    client: Downloader,
    store: ObjectStore,
    decoder: ImageDecoder,
    *,
    url: str,
    job_id: str,
    index: int,
    limits: CopyLimits,
    metadata: Mapping[str, str],
) -> OutputImage:
    """The image is in the store under the job's name for this index. Run twice: the first one stays and is reported.

    Metadata values may be any text: what S3 cannot carry is percent-encoded, and long ones are shortened.

    Raises:
        FetchError: the image could not be fetched (from the client, unchanged).
        ImageRejectedError: what was fetched may not be stored.
        DecoderUnavailableError: nobody could look at it now.
        StorageError: the store failed; all but the programming errors are retryable.
    """
    names = {output_name(job_id, index, content_type) for content_type in EXTENSIONS}
    present = names.intersection(store.list(output_prefix(job_id, index)))
    if present:
        return _read_back(store, decoder, min(present), index=index, limits=limits)
    with _spool() as file:
        sent = client.download(url, file, max_bytes=limits.max_bytes, timeout_seconds=limits.timeout_seconds)
        facts = decoder.inspect(file, max_pixels=limits.max_pixels)
        key = output_name(job_id, index, facts.content_type)
        image = _described(store, key, index, facts, size_bytes=sent.size_bytes, sha256=sent.sha256)
        created = store.put(
            image.key,
            file,
            size_bytes=image.size_bytes,
            sha256=image.sha256,
            content_type=image.content_type,
            metadata=_portable(metadata),
        )
    if not created:
        return _read_back(store, decoder, image.key, index=index, limits=limits)
    _confirm(store, image)
    return image


@contextlib.contextmanager
def _spool() -> Iterator[BinaryIO]:
    """A temporary file that is gone afterwards; when the disk fails it, the job waits as it does for a full store."""
    try:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES) as spool:
            yield cast("BinaryIO", spool)
    except OSError as error:
        if isinstance(error, SceneshiftError):
            raise
        raise StorageRefusedError(f"the temporary file of a download failed ({type(error).__name__})") from error


def _read_back(store: ObjectStore, decoder: ImageDecoder, key: str, *, index: int, limits: CopyLimits) -> OutputImage:
    """The image that is stored under this key, read back and verified.

    Raises:
        StoredImageDamagedError: it is not a whole image of the type that its name says, or over the limits.
        StorageUnavailableError: it was there a moment ago and is not any more.
    """
    try:
        info = store.head(key)
        if info is not None and info.size_bytes > limits.max_bytes:
            raise StoredImageDamagedError(f"{key}: {info.size_bytes} bytes are more than a result may have")
        body = store.get(key)
    except ObjectNotFoundError as error:
        raise StorageUnavailableError(f"{key} vanished while it was looked at") from error
    sha256 = hashlib.sha256(body).hexdigest()
    if info is not None and info.sha256 not in {None, sha256}:
        raise StoredImageDamagedError(f"{key}: the bytes are not the ones that were written")
    try:
        with _spool() as file:
            file.write(body)
            facts = decoder.inspect(file, max_pixels=limits.max_pixels)
    except ImageRejectedError as error:
        raise StoredImageDamagedError(f"{key}: {error.code}: {error}") from error
    if key.rpartition(".")[2] != EXTENSIONS[facts.content_type]:
        raise StoredImageDamagedError(f"{key}: this is {facts.content_type}")
    return _described(store, key, index, facts, size_bytes=len(body), sha256=sha256)


def _portable(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata in what every store carries; a strange SKU must not cost a paid image."""
    encoded = {name: quote(value, safe=_PRINTABLE)[:METADATA_VALUE_MAX_LENGTH] for name, value in metadata.items()}
    return {name: value.strip() for name, value in encoded.items() if value.strip()}


def _described(
    store: ObjectStore, key: str, index: int, facts: ImageFacts, *, size_bytes: int, sha256: str
) -> OutputImage:
    return OutputImage(
        index=index,
        key=key,
        uri=store.uri(key),
        sha256=sha256,
        content_type=facts.content_type,
        width=facts.width,
        height=facts.height,
        size_bytes=size_bytes,
    )


def _confirm(store: ObjectStore, image: OutputImage) -> None:
    """Nothing is announced before the store shows it, as it was written."""
    info = store.head(image.key)
    if info is None:
        raise StorageUnavailableError(f"{image.key} was written, but the store does not show it yet")
    if info.size_bytes != image.size_bytes or info.sha256 not in {None, image.sha256}:
        raise StoredImageDamagedError(f"{image.key}: the store shows other bytes than were written")
