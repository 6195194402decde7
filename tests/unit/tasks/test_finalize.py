"""`finalize`: what is paid for ends up in the bucket, whole, once, with its manifest last."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest

from sceneshift.errors import SceneshiftError
from sceneshift.fetch_errors import FetchBlockedError, FetchStatusError, FetchTimeoutError, FetchTooLargeError
from sceneshift.jobs.events import CancelRequested
from sceneshift.jobs.record import JobRecord, MissingOutput
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import ErrorKind, Pending, ProviderError, QueryFailed, QueryOutcome, Succeeded
from storage.manifest import read_manifest, write_manifest
from storage.names import job_folder, manifest_name
from storage.objects import StorageRefusedError, StorageUnavailableError
from tests.factories import an_order
from tests.unit.storage.pictures import animation, picture
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.workshop import Workshop

FIRST, SECOND = result_urls(2)
FRESH = result_urls(2, signature="fresh")
GONE = FetchStatusError("result.example answered with status 403", status=403)
BUSY = FetchStatusError("result.example answered with status 503", status=503)
NOT_ANSWERED = QueryFailed(error=ProviderError(kind=ErrorKind.TRANSIENT, message="HTTP 503"))


@pytest.fixture
def job(work: Workshop) -> JobRecord:
    """A job with two images that the provider has finished."""
    return work.storing()


def names_of(job: JobRecord, *names: str) -> set[str]:
    return {f"{job_folder(job.id)}/{name}" for name in names}


def test_all_images_and_then_the_manifest(work: Workshop, job: JobRecord) -> None:
    """Whoever finds the manifest finds everything that it names: it is written when all images are."""
    writes: list[str] = []
    work.bucket.before = lambda operation, key: writes.append(key) if operation == "put" else None
    assert work.wake(job.id)["state"] == "succeeded"
    folder = job_folder(job.id)
    assert writes == [f"{folder}/0.png", f"{folder}/1.png", f"{folder}/manifest.json"]
    manifest = read_manifest(work.bucket, job_id=job.id)
    assert manifest is not None
    after = work.job(job.id)
    assert (manifest.images, manifest.missing) == (after.outputs, after.missing)
    assert manifest.about == {"sku": "PERF-050"}


def test_the_record_describes_what_is_in_the_bucket(work: Workshop, job: JobRecord) -> None:
    """Names, sizes and hashes are those of the stored bytes, which are the provider's; the job has ended as paid."""
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.charge, after.urls, work.due_at(job.id)) == (
        JobState.SUCCEEDED, Charge.CHARGED, (), None,
    )  # fmt: skip
    for output, url in zip(after.outputs, (FIRST, SECOND), strict=True):
        body = work.bucket.get(output.key)
        assert body == work.web.files[url]
        assert (output.sha256, output.size_bytes) == (hashlib.sha256(body).hexdigest(), len(body))
        assert (output.content_type, output.width, output.height) == ("image/png", 64, 48)
        assert output.uri == f"s3://shots/{output.key}"
    assert [message.task for message in work.publisher.messages] == ["sceneshift.finalize", "sceneshift.notify"]


def test_an_expired_address_is_asked_for_anew_once(work: Workshop, job: JobRecord) -> None:
    """The provider is asked one time for both images, and both come from the fresh addresses."""
    for url, fresh in zip((FIRST, SECOND), FRESH, strict=True):
        work.web.files[fresh] = work.web.files[url]
        work.web.files[url] = GONE
    work.provider.on_query = lambda _key: Succeeded(urls=FRESH)
    asked = len(work.provider.questions)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.SUCCEEDED
    assert len(work.provider.questions) - asked == 1
    assert work.web.downloads == [FIRST, *FRESH]


@pytest.mark.parametrize("answer", [NOT_ANSWERED, Pending(provider_status="RUNNING")], ids=["no answer", "pending"])
def test_an_expired_address_is_no_loss_while_the_provider_does_not_answer(
    work: Workshop, job: JobRecord, answer: QueryOutcome
) -> None:
    """The image is paid for and may still be had: it waits for fresh addresses instead of being given up."""
    work.web.files[FIRST] = GONE
    work.provider.on_query = lambda _key: answer
    work.wake(job.id)
    assert work.job(job.id).state is JobState.STORING
    work.web.files[FRESH[0]] = picture(seed=0)
    work.provider.on_query = lambda _key: Succeeded(urls=FRESH)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.SUCCEEDED


def test_an_address_that_stays_gone_is_asked_for_again_later(work: Workshop, job: JobRecord) -> None:
    """Each run asks once for fresh ones; only when the provider keeps it no longer, the image is missing."""
    work.web.files |= {FIRST: GONE, FRESH[0]: GONE, FRESH[1]: picture(seed=1)}
    work.provider.on_query = lambda _key: Succeeded(urls=FRESH)
    for run in range(1, 4):
        work.wake(job.id)
        waiting = work.job(job.id)
        assert (waiting.state, waiting.blocked_by, waiting.urls) == (JobState.STORING, "http_status", FRESH)
        assert [output.index for output in waiting.outputs] == [1]
        assert len(work.provider.questions) == 1 + run
    work.clock.advance(90_000.0)
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, [missing.code for missing in after.missing]) == (JobState.PARTIAL, ["http_status"])


@pytest.mark.parametrize(
    "error",
    [
        BUSY,
        FetchStatusError("result.example answered with status 302", status=302),
        FetchTimeoutError("result.example: too slow"),
        FetchBlockedError(reason="private"),
        StorageUnavailableError("503"),
        StorageRefusedError("403"),
    ],
    ids=lambda error: error.code,
)
def test_what_time_can_mend_is_tried_again_later(work: Workshop, job: JobRecord, error: SceneshiftError) -> None:
    """What is stored stays and is not fetched again; the pauses grow; the job says what it waits for."""
    if isinstance(error, StorageUnavailableError | StorageRefusedError):

        def refuse(operation: str, key: str) -> None:
            if operation == "put" and key.endswith("/1.png"):
                raise error

        work.bucket.before = refuse
    else:
        work.web.files[SECOND] = error
    pauses = []
    for attempt in range(1, 6):
        work.wake(job.id)
        waiting = work.job(job.id)
        assert (waiting.state, waiting.store_attempts) == (JobState.STORING, attempt)
        assert (waiting.blocked_by, waiting.step) == (error.code, f"finalize-{attempt + 1}")
        assert waiting.blocked_until == pytest.approx(work.due_at(job.id))
        assert [output.index for output in waiting.outputs] == [0]
        pauses.append(work.due_in(job.id))
    assert pauses == pytest.approx([2.0, 4.0, 8.0, 16.0, 32.0], rel=0.21)
    assert [path for path in work.web.paths if path == "0.png"] == ["0.png"]
    assert manifest_name(job.id) not in work.bucket.objects
    work.bucket.before = lambda _operation, _key: None
    work.web.files[SECOND] = picture(seed=1)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (FetchTooLargeError("too large"), "too_large"),
        (animation("PNG"), "animated"),
        (picture("GIF"), "format_not_allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_nothing_can_mend_is_missing(
    work: Workshop, job: JobRecord, file: bytes | SceneshiftError, code: str
) -> None:
    """The job ends as partial with the reason for the one image, and the manifest says the same."""
    work.web.files[SECOND] = file
    work.wake(job.id)
    after = work.job(job.id)
    assert after.state is JobState.PARTIAL
    assert [(missing.index, missing.code) for missing in after.missing] == [(1, code)]
    assert set(work.bucket.objects) == names_of(job, "0.png", "manifest.json")
    document = json.loads(work.bucket.contents[manifest_name(job.id)])
    assert [missing["code"] for missing in document["missing"]] == [code]


def test_a_job_without_any_image_has_failed(work: Workshop, job: JobRecord) -> None:
    """The error is that of the first image, the job is charged, and the bucket holds nothing of it."""
    work.web.files |= {FIRST: FetchTooLargeError("too large"), SECOND: animation("PNG")}
    work.wake(job.id)
    after = work.job(job.id)
    assert after.error is not None
    assert (after.state, after.error.code, after.charge) == (JobState.FAILED, "too_large", Charge.CHARGED)
    assert work.bucket.objects == {}


def test_fewer_images_than_ordered_are_a_part_of_the_order(work: Workshop) -> None:
    """What was not delivered is missing by that name."""
    job = work.storing(order=an_order(num_output=3))
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, len(after.outputs)) == (JobState.PARTIAL, 2)
    assert [(missing.index, missing.code) for missing in after.missing] == [(2, "not_delivered")]


def test_more_images_than_ordered_are_left_alone(work: Workshop) -> None:
    """As many as were ordered are stored, and the job has succeeded."""
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(4))
    job = work.storing()
    work.wake(job.id)
    assert work.job(job.id).state is JobState.SUCCEEDED
    assert set(work.bucket.objects) == names_of(job, "0.png", "1.png", "manifest.json")
    assert len(work.web.downloads) == 2


def cancel_during(work: Workshop, job: JobRecord, url: str, *, keep: bool) -> None:
    """The job's owner cancels it while this image is downloaded."""

    def cancel(downloaded: str) -> None:
        if downloaded == url:
            work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=keep))

    work.web.on_download = cancel


def assert_discarded(work: Workshop, job: JobRecord) -> None:
    """The job has ended as cancelled and charged, and nothing of it is in the bucket."""
    after = work.job(job.id)
    assert (after.state, after.outputs, after.charge) == (JobState.CANCELLED, (), Charge.CHARGED)
    assert (work.bucket.objects, work.due_at(job.id)) == ({}, None)
    assert work.delivery(job.id).type == "job.cancelled"


@pytest.mark.parametrize("url", [FIRST, SECOND], ids=["at the first image", "at the last image"])
def test_a_job_that_is_cancelled_while_it_is_copied_leaves_nothing(work: Workshop, job: JobRecord, url: str) -> None:
    """Its owner wanted no result: neither images nor a manifest that names them stay in the bucket."""
    cancel_during(work, job, url, keep=False)
    assert work.wake(job.id) == {"skipped": "stale"}
    work.bring_back()
    assert_discarded(work, job)
    assert len(work.web.downloads) == 2


def test_a_slow_run_leaves_nothing_of_a_job_that_ended_as_discarded(work: Workshop, job: JobRecord) -> None:
    """Another worker removes everything while it downloads the last image, and the job ends: that one goes too."""

    def cancel_and_overtake(downloaded: str) -> None:
        if downloaded == SECOND:
            work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=False))
            work.bring_back()

    work.web.on_download = cancel_and_overtake
    assert work.wake(job.id) == {"skipped": "stale"}
    assert_discarded(work, job)


def test_a_job_that_is_cancelled_between_two_runs_leaves_nothing(work: Workshop, job: JobRecord) -> None:
    """One image was stored and the other one was late; what is dropped is neither announced nor kept."""
    work.web.files[SECOND] = BUSY
    work.wake(job.id)
    work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=False))
    work.wake(job.id)
    assert_discarded(work, job)


def test_a_job_that_is_cancelled_in_its_second_run_leaves_nothing(work: Workshop, job: JobRecord) -> None:
    """Neither the image of the first run nor that of the second stays in the bucket."""
    work.web.files[SECOND] = BUSY
    work.wake(job.id)
    work.web.files[SECOND] = picture(seed=1)
    cancel_during(work, job, SECOND, keep=False)
    work.wake(job.id)
    work.bring_back()
    assert_discarded(work, job)


def test_a_store_that_deletes_nothing_now_delays_the_end(work: Workshop, job: JobRecord) -> None:
    """The job has not ended before its images are gone, the manifest before all others."""
    deleted: list[str] = []

    def refuse_images(operation: str, key: str) -> None:
        if operation == "delete":
            deleted.append(key.rpartition("/")[2])
            if key.endswith(".png"):
                raise StorageUnavailableError("503")

    work.bucket.before = refuse_images
    cancel_during(work, job, FIRST, keep=False)
    work.wake(job.id)
    work.bring_back()
    waiting = work.job(job.id)
    assert (waiting.state, waiting.blocked_by) == (JobState.STORING, "storage_unavailable")
    assert (deleted[:2], 0 < work.due_in(job.id) < 3.0) == (["manifest.json", "0.png"], True)
    work.bucket.before = lambda _operation, _key: None
    work.wake(job.id)
    assert_discarded(work, job)


def test_a_job_that_is_cancelled_but_kept_has_its_images(work: Workshop, job: JobRecord) -> None:
    """It was paid for and its owner wanted what came of it: cancelled, with outputs and a manifest."""
    cancel_during(work, job, FIRST, keep=True)
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, len(after.outputs), after.charge) == (JobState.CANCELLED, 2, Charge.CHARGED)
    assert set(work.bucket.objects) == names_of(job, "0.png", "1.png", "manifest.json")
    assert work.delivery(job.id).type == "job.cancelled"


def test_the_end_of_the_retention_ends_the_waiting(work: Workshop, job: JobRecord) -> None:
    """Until then a late image is waited for; afterwards the job ends with what there is."""
    work.web.files[SECOND] = BUSY
    work.clock.advance(86_390.0)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.STORING
    work.clock.advance(20.0)
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, [output.index for output in after.outputs]) == (JobState.PARTIAL, [0])
    assert [(missing.index, missing.code) for missing in after.missing] == [(1, "http_status")]
    assert set(work.bucket.objects) == names_of(job, "0.png", "manifest.json")


def test_the_manifest_that_was_committed_counts(work: Workshop, job: JobRecord) -> None:
    """A run before this one said that the second image is missing, and readers of the bucket may have believed it."""
    image = picture(seed=0)
    work.web.files[SECOND] = animation("PNG")
    work.wake(job.id)
    committed = work.job(job.id)

    other = work.storing()
    key = f"{job_folder(other.id)}/0.png"
    work.bucket.put(
        key,
        io.BytesIO(image),
        size_bytes=len(image),
        sha256=hashlib.sha256(image).hexdigest(),
        content_type="image/png",
        metadata={},
    )
    (output,) = committed.outputs
    images: list[Any] = [type(output)(**{**output.to_json(), "key": key, "uri": work.bucket.uri(key)})]
    lost = [MissingOutput(index=1, code="animated", message="two frames")]
    write_manifest(work.bucket, job_id=other.id, images=images, missing=lost, about={"sku": other.sku})
    work.web.files[SECOND] = picture(seed=1)
    work.wake(other.id)
    after = work.job(other.id)
    assert (after.state, list(after.outputs), list(after.missing)) == (JobState.PARTIAL, images, lost)
    # What this run has stored of an image that the other one gave up is nothing that anybody would find.
    assert {name for name in work.bucket.objects if job_folder(other.id) in name} == names_of(
        other, "0.png", "manifest.json"
    )


def test_a_manifest_that_cannot_be_written_yet_delays_the_job(work: Workshop, job: JobRecord) -> None:
    """Nothing is announced before it is committed."""

    def refuse(operation: str, key: str) -> None:
        if operation == "put" and key.endswith("manifest.json"):
            raise StorageUnavailableError("503")

    work.bucket.before = refuse
    work.wake(job.id)
    waiting = work.job(job.id)
    assert (waiting.state, waiting.blocked_by, len(waiting.outputs)) == (JobState.STORING, "storage_unavailable", 2)
    work.bucket.before = lambda _operation, _key: None
    work.wake(job.id)
    assert (work.job(job.id).state, len(work.web.downloads)) == (JobState.SUCCEEDED, 2)


def test_a_job_has_not_succeeded_without_its_manifest(work: Workshop, job: JobRecord) -> None:
    """The bucket is the shop's own: the end of the provider's retention is no reason to do without the commit mark."""

    def refuse(operation: str, key: str) -> None:
        if operation == "put" and key.endswith("manifest.json"):
            raise StorageUnavailableError("503")

    work.bucket.before = refuse
    work.clock.advance(90_000.0)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.STORING
