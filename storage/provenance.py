"""Results that say how they were made, where `SCENESHIFT_PROVENANCE` is `embed`.

The label goes in while an image is on its way, before it is looked at: what is decoded, hashed and stored is one and
the same.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from storage.copying import SPOOL_MEMORY_BYTES, DownloadedFile, Downloader
from storage.labelling import GROWTH_MAX_BYTES, Piece, Span, UnlabelledError, labelled_pieces

CHUNK_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


def downloader(client: Downloader, provenance: str) -> Downloader:
    """What fetches results under this value of `SCENESHIFT_PROVENANCE`."""
    return LabellingDownloader(client) if provenance == "embed" else client


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """The file as it is now."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LabellingDownloader:
    """A downloader whose images carry the label; one that is not built like an image arrives as it was sent."""

    client: Downloader

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> DownloadedFile:
        """The image is in the file, labelled; so much of `max_bytes` as the label may need is not for the image."""
        image_max_bytes = max(1, max_bytes - GROWTH_MAX_BYTES)
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES) as spool:
            file = cast("BinaryIO", spool)
            sent = self.client.download(url, file, max_bytes=image_max_bytes, timeout_seconds=timeout_seconds)
            return _write(file, _pieces(file, sent.size_bytes), into)


def _pieces(file: BinaryIO, size_bytes: int) -> list[Piece]:
    try:
        return labelled_pieces(file)
    except UnlabelledError as error:
        log.warning("provenance.not_embedded", extra={"reason": str(error)})
        return [Span(0, size_bytes)]


def _write(file: BinaryIO, pieces: list[Piece], into: BinaryIO) -> LabelledFile:
    digest, size_bytes = hashlib.sha256(), 0
    for piece in pieces:
        for chunk in _chunks(file, piece):
            digest.update(chunk)
            size_bytes += len(chunk)
            into.write(chunk)
    return LabelledFile(size_bytes, digest.hexdigest())


def _chunks(file: BinaryIO, piece: Piece) -> Iterator[bytes]:
    if isinstance(piece, bytes):
        yield piece
        return
    file.seek(piece.start)
    left = piece.end - piece.start
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
