"""The commit mark of a job's results: its bytes depend on the job alone, and it is written once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sceneshift.identifiers import new_job_id
from sceneshift.jobs.record import MissingOutput, OutputImage
from storage.manifest import ManifestConflictError, read_manifest, write_manifest
from storage.names import output_name
from tests.unit.storage.memory_store import MemoryStore

JOB_ID = new_job_id(1_795_392_000.0)
MISSING = MissingOutput(index=1, code="truncated_image", message="the image does not decode to its end")
ABOUT = {"sku": "TSHIRT-RED-M", "metadata": {"title": "Kühlschrank"}, "requested": 3}


def image(index: int, sha256: str = "a" * 64) -> OutputImage:
    key = output_name(JOB_ID, index, "image/png")
    return OutputImage(
        index=index,
        key=key,
        uri=f"memory:///{key}",
        sha256=sha256,
        content_type="image/png",
        width=64,
        height=48,
        size_bytes=100,
    )


def write(store: MemoryStore, *indexes: int, about: dict[str, Any] | None = None, sha256: str = "a" * 64) -> str:
    images = [image(index, sha256) for index in indexes]
    return write_manifest(
        store, job_id=JOB_ID, images=images, missing=[MISSING], about=ABOUT if about is None else about
    )


def test_a_manifest_says_what_is_there_and_what_is_not() -> None:
    """It is a JSON object beside the images, with both lists and the further facts of the job."""
    store = MemoryStore()
    key = write(store, 0, 2)
    body, info = store.objects[key]
    assert key == output_name(JOB_ID, 0, "image/png").replace("0.png", "manifest.json")
    assert info.content_type == "application/json"
    assert json.loads(body) == {
        "version": 1,
        "job_id": JOB_ID,
        "images": [image(0).to_json(), image(2).to_json()],
        "missing": [{"index": 1, "code": MISSING.code, "message": MISSING.message}],
        "about": ABOUT,
    }
    assert "Kühlschrank".encode() in body


def test_writing_it_twice_changes_nothing() -> None:
    """A second run gives the same bytes, whatever the order of its images, and is content."""
    store = MemoryStore()
    key = write(store, 0, 2)
    body = store.objects[key]
    assert write(store, 2, 0, about=dict(reversed(ABOUT.items()))) == key
    assert store.objects[key] is body


def test_a_manifest_with_other_content_stays_and_is_told() -> None:
    """What was committed first counts; the run that found something else can read it."""
    store = MemoryStore()
    write(store, 0, 2)
    with pytest.raises(ManifestConflictError) as caught:
        write(store, 0)
    assert (caught.value.job_id, caught.value.retryable) == (JOB_ID, False)
    with pytest.raises(ManifestConflictError):
        write(store, 0, 2, sha256="b" * 64)
    committed = read_manifest(store, job_id=JOB_ID)
    assert committed is not None
    assert committed.images == (image(0), image(2))
    assert committed.missing == (MISSING,)
    assert (committed.job_id, committed.about) == (JOB_ID, ABOUT)


def test_without_a_manifest_nothing_is_committed() -> None:
    """A job whose images are being copied has no manifest yet."""
    assert read_manifest(MemoryStore(), job_id=JOB_ID) is None


def test_a_number_that_json_does_not_know_is_refused() -> None:
    """Not-a-number would make a file that other programs cannot read."""
    store = MemoryStore()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(store, 0, about={"ratio": float("nan")})
    assert store.objects == {}
