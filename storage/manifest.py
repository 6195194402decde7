"""The commit mark of a job's results: one JSON file beside the images, written last and once.

Whoever reads the bucket without asking us finds a complete set of results where there is a manifest, and nowhere else.
Its bytes depend on the job alone (no times of writing), so that a second run of the step writes the same.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sceneshift.jobs.record import MissingOutput, OutputImage
from storage.names import manifest_name
from storage.objects import ObjectNotFoundError, ObjectStore, StorageError

FORMAT_VERSION = 1


class ManifestConflictError(StorageError):
    """Raised when the job has a manifest that says something else: that one counts, and `read_manifest` reads it."""

    code = "manifest_conflict"
    retryable = False


class UnknownManifestError(StorageError):
    """Raised when a later release has written the job's manifest in a form that this one does not know."""

    code = "manifest_unknown"
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a job has in the store: both lists in the order of their indexes."""

    job_id: str
    images: tuple[OutputImage, ...]
    missing: tuple[MissingOutput, ...]
    about: Mapping[str, Any]


def write_manifest(
    store: ObjectStore,
    *,
    job_id: str,
    images: Sequence[OutputImage],
    missing: Sequence[MissingOutput],
    about: Mapping[str, Any],
) -> str:
    """The job's manifest is in the store; its key. Run twice with the same content: nothing changes.

    `about` holds further facts of the job as JSON values (`sku`, the shop's `metadata`, …): no secrets, no signed URLs.

    Raises:
        ManifestConflictError: an earlier run has committed something else.
        StorageError: the store failed.
    """
    key = manifest_name(job_id)
    body = _encoded(
        Manifest(
            job_id=job_id,
            images=tuple(sorted(images, key=lambda image: image.index)),
            missing=tuple(sorted(missing, key=lambda image: image.index)),
            about=about,
        )
    )
    created = store.put(
        key,
        io.BytesIO(body),
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        content_type="application/json",
        metadata={},
    )
    if not created and store.get(key) != body:
        raise ManifestConflictError("an earlier run has written a manifest with other content", job_id=job_id)
    return key


def read_manifest(store: ObjectStore, *, job_id: str) -> Manifest | None:
    """What an earlier run has committed for this job, or None when nothing is committed yet.

    Raises:
        UnknownManifestError: a later release wrote it in another form.
        StorageError: the store failed.
    """
    try:
        raw = json.loads(store.get(manifest_name(job_id)))
    except ObjectNotFoundError:
        return None
    try:
        if int(raw["version"]) > FORMAT_VERSION:
            raise UnknownManifestError(_unknown(f"version {raw['version']}"), job_id=job_id)
        return Manifest(
            job_id=raw["job_id"],
            images=tuple(OutputImage.from_json(image) for image in raw["images"]),
            missing=tuple(MissingOutput.from_json(image) for image in raw["missing"]),
            about=raw["about"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnknownManifestError(_unknown(f"another form ({type(error).__name__})"), job_id=job_id) from error


def _unknown(what: str) -> str:
    return f"its manifest has {what}, which this release does not know: run the workers of the release that wrote it"


def _encoded(manifest: Manifest) -> bytes:
    document = {
        "version": FORMAT_VERSION,
        "job_id": manifest.job_id,
        "images": [image.to_json() for image in manifest.images],
        "missing": [image.to_json() for image in manifest.missing],
        "about": dict(manifest.about),
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
