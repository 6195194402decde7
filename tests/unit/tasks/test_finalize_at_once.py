"""The images of one job are copied at once: bounded, each for itself, and resumed image by image after a kill."""

from __future__ import annotations

import threading

import pytest

from sceneshift.fetch_errors import FetchStatusError
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Succeeded
from storage.manifest import read_manifest
from storage.names import job_folder
from tasks.services import provide_services
from tests.factories import an_order
from tests.unit.storage.pictures import picture
from tests.unit.tasks.lifespan import KilledError, Lifespan, mortal
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.workshop import Workshop

IMAGES = 4
GONE = FetchStatusError("result.example answered with status 403", status=403)


@pytest.fixture(params=["fakeredis"])
def redis_client(redis_client: object) -> object:
    """The in-process store alone: these tests are about threads."""
    return redis_client


@pytest.fixture(autouse=True)
def at_once(work: Workshop) -> None:
    """Four images may be copied at once, and a job has as many."""
    work.use(settings=work.services.settings.model_copy(update={"copy_concurrency": IMAGES}))
    work.provider.on_query = lambda _key: Succeeded(urls=result_urls(IMAGES))


def meet(work: Workshop, together: threading.Barrier) -> None:
    """A download from a first address goes on when as many others have begun."""

    def wait(url: str) -> None:
        if "first" in url:
            together.wait(timeout=30)

    work.web.on_download = wait


def names(job_id: str) -> set[str]:
    return {f"{job_folder(job_id)}/{name}" for name in ("0.png", "1.png", "2.png", "3.png", "manifest.json")}


def test_all_images_of_a_job_are_fetched_at_the_same_time(work: Workshop) -> None:
    """No download ends before all four have begun, and the job succeeds with its images in their order."""
    job = work.storing(order=an_order(num_output=IMAGES))
    together = threading.Barrier(IMAGES)
    meet(work, together)
    assert work.wake(job.id)["state"] == "succeeded"
    assert [output.index for output in work.job(job.id).outputs] == [0, 1, 2, 3]
    assert set(work.bucket.objects) == names(job.id)


def test_an_expired_address_is_asked_for_anew_once_for_all(work: Workshop) -> None:
    """Four downloads find their address expired at the same moment, and the provider is asked one time."""
    job = work.storing(order=an_order(num_output=IMAGES))
    fresh = result_urls(IMAGES, signature="fresh")
    for old, new in zip(result_urls(IMAGES), fresh, strict=True):
        work.web.files |= {new: work.web.files[old], old: GONE}
    together = threading.Barrier(IMAGES)
    meet(work, together)
    work.provider.on_query = lambda _key: Succeeded(urls=fresh)
    asked = len(work.provider.questions)
    work.wake(job.id)
    assert work.job(job.id).state is JobState.SUCCEEDED
    assert len(work.provider.questions) == asked + 1


def test_the_step_does_not_end_before_its_slowest_image(work: Workshop) -> None:
    """One image is lost and one late at once; what the other two have become is known all the same."""
    job = work.storing(order=an_order(num_output=IMAGES))
    urls = result_urls(IMAGES)
    work.web.files |= {urls[0]: picture("GIF"), urls[2]: FetchStatusError("busy", status=503)}
    others = threading.Barrier(2)

    def be_late(url: str) -> None:
        if url in {urls[2], urls[3]}:
            others.wait(timeout=30)

    work.web.on_download = be_late
    work.wake(job.id)
    waiting = work.job(job.id)
    assert (waiting.state, waiting.blocked_by) == (JobState.STORING, "http_status")
    assert [output.index for output in waiting.outputs] == [1, 3]
    work.web.on_download = lambda _url: None
    work.web.files[urls[2]] = picture(seed=2)
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, [each.code for each in after.missing]) == (JobState.PARTIAL, ["format_not_allowed"])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_effect_is_resumed_image_by_image(work: Workshop, *, after: bool) -> None:
    """The same names hold the same bytes, there is one manifest, and a stored image is not fetched a second time."""
    bodies = [work.web.files[url] for url in result_urls(IMAGES)]
    number, killed = 0, True
    while killed:
        number += 1
        job = work.storing(order=an_order(num_output=IMAGES))
        life = Lifespan(dies_at=number, after=after)
        provide_services(mortal(work.services, life))
        try:
            work.wake(job.id)
            killed = False
        except KilledError:
            killed = True
        provide_services(work.services)
        stored = {int(key[-5]) for key in work.bucket.objects if job.id in key and key.endswith(".png")}
        work.web.downloads.clear()
        for _ in range(3):
            work.bring_back()
        where = f"killed {'after' if after else 'before'} effect {number}"
        done = work.job(job.id)
        manifest = read_manifest(work.bucket, job_id=job.id)
        assert manifest is not None, where
        assert (done.state, manifest.images, work.due_at(job.id)) == (JobState.SUCCEEDED, done.outputs, None), where
        assert {key for key in work.bucket.objects if job.id in key} == names(job.id), where
        assert [work.bucket.contents[output.key] for output in done.outputs] == bodies, where
        assert not stored & {int(name[0]) for name in work.web.paths}, where
    assert number > IMAGES * 3
