"""What a stored image says of itself: in its file where that is wanted, and in the bucket's metadata."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import pytest

from sceneshift.settings import Settings
from storage.manifest import read_manifest
from storage.xmp import DIGITAL_SOURCE_TYPE
from tests.factories import an_order
from tests.unit.tasks.workshop import Workshop

TERM = DIGITAL_SOURCE_TYPE.encode()


def test_an_embedded_label_is_part_of_what_is_described(work: Workshop, settings: Settings) -> None:
    """Record, bucket and bytes agree on the hash and the size of the labelled file."""
    work.use(settings=settings.model_copy(update={"provenance": "embed"}))
    job = work.storing()
    assert work.wake(job.id)["state"] == "succeeded"
    for output in work.job(job.id).outputs:
        body = work.bucket.get(output.key)
        assert TERM in body
        assert (output.sha256, output.size_bytes) == (hashlib.sha256(body).hexdigest(), len(body))


def test_by_default_nothing_is_embedded(work: Workshop) -> None:
    """What is stored is what came, byte for byte."""
    job = work.storing()
    served = [body for body in work.web.files.values() if isinstance(body, bytes)]
    work.wake(job.id)
    assert [work.bucket.get(output.key) in served for output in work.job(job.id).outputs] == [True, True]


@pytest.mark.parametrize("sku", ["PERF-050", "Kühlschrank 100%", "香水-五十", "\U0001f9f4" * 64, "a\\b\"c'd", "+&=? #"])
def test_the_bucket_s_metadata_lead_back_to_job_and_product(work: Workshop, sku: str) -> None:
    """Whatever characters an SKU has, and however many; of the prompt there is a hash, and nothing else is told."""
    job = work.storing(order=an_order(sku=sku, num_output=2))
    work.wake(job.id)
    info = work.bucket.head(work.job(job.id).outputs[0].key)
    assert info is not None
    assert {name: unquote(value) for name, value in info.metadata.items()} == {
        "job-id": job.id,
        "sku": sku,
        "prompt-sha256": hashlib.sha256(job.order.positive_prompt.encode()).hexdigest(),
    }
    assert all(value.isascii() and value.isprintable() for value in info.metadata.values())


def test_renditions_are_in_the_manifest_when_it_is_written(work: Workshop, settings: Settings) -> None:
    """They are stored before it, so whoever finds it finds them; a job whose result nobody wants leaves none."""
    work.use(settings=settings.model_copy(update={"renditions": ("thumbnail", "webp")}))
    job = work.storing()
    writes: list[str] = []
    work.bucket.before = lambda operation, key: writes.append(key) if operation == "put" else None
    work.wake(job.id)
    manifest = read_manifest(work.bucket, job_id=job.id)
    assert manifest is not None
    assert [each["key"] for each in manifest.about["renditions"]] == writes[2:-1]
    assert writes[-1].endswith("manifest.json")
    assert len(writes) == 7


def test_without_the_setting_there_are_no_renditions(work: Workshop) -> None:
    """Nothing but images and manifest is in the bucket."""
    job = work.storing()
    work.wake(job.id)
    assert len(work.bucket.objects) == 3
