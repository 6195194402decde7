"""A worker is killed at each single effect of `finalize`, and the next one must end what it began."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.events import CancelRequested
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import Succeeded
from sceneshift.settings import Settings
from storage.manifest import read_manifest
from storage.names import job_folder
from storage.objects import StorageUnavailableError
from tasks.services import provide_services
from tests.unit.tasks.lifespan import KilledError, Lifespan, mortal
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.workshop import Workshop
from workers.leases import LeaseKeeper


def killed_and_brought_back(work: Workshop, life: Lifespan) -> tuple[bool, str]:
    """Whether the first worker was killed, and the job that another one has then brought to its end."""
    job = work.storing()
    provide_services(mortal(work.services, life))
    try:
        work.wake(job.id)
        killed = False
    except KilledError:
        killed = True
    provide_services(work.services)
    for _ in range(3):
        work.bring_back()
    return killed, job.id


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("expired", [False, True], ids=["fresh addresses", "expired addresses"])
def test_whatever_a_worker_was_at_the_next_one_ends_it(work: Workshop, *, expired: bool, after: bool) -> None:
    """The same names hold the same bytes, there is one manifest, the job has succeeded, and nothing is paid again."""
    bodies = [work.web.files[url] for url in result_urls(2)]
    fresh = result_urls(2, signature="fresh")
    work.web.files |= dict(zip(fresh, bodies, strict=True))
    number, killed = 0, True
    while killed:
        number += 1
        work.provider.on_query = lambda _key: Succeeded(urls=result_urls(2, signature="old" if expired else "first"))
        work.web.on_download = lambda _url: setattr(work.provider, "on_query", lambda _key: Succeeded(urls=fresh))
        life = Lifespan(dies_at=number, after=after)
        killed, job_id = killed_and_brought_back(work, life)
        where = f"killed {'after' if after else 'before'} {life.effects[-1]}, effect {number}"
        job, folder = work.job(job_id), job_folder(job_id)
        assert (job.state, work.due_at(job_id)) == (JobState.SUCCEEDED, None), where
        objects = {key: body for key, body in work.bucket.contents.items() if key.startswith(folder)}
        manifest = read_manifest(work.bucket, job_id=job_id)
        assert manifest is not None, where
        assert objects.keys() == {f"{folder}/{name}" for name in ("0.png", "1.png", "manifest.json")}, where
        assert [objects[output.key] for output in job.outputs] == bodies, where
        assert manifest.images == job.outputs, where
    assert number > 13
    assert len(work.provider.submissions) == number


def cancelling(work: Workshop, job_id: str) -> Callable[[str], None]:
    """What happens at a download: at the last one, the owner says that nothing of the job is wanted."""

    def cancel(url: str) -> None:
        if "1.png" in url:
            work.store.jobs.transition(work.job(job_id), CancelRequested(keep_result=False))

    return cancel


def refusing_deletes(operation: str, _key: str) -> None:
    """The bucket removes nothing now, so that all of it is left to a later run."""
    if operation == "delete":
        raise StorageUnavailableError("503")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whatever_a_worker_was_at_a_discarded_job_leaves_nothing(work: Workshop, *, after: bool) -> None:
    """Cancelled while its last image was copied, and then killed at any effect of removing what was stored."""
    number, effects = 0, 1
    while number < effects:
        number += 1
        job = work.storing()
        work.web.on_download = cancelling(work, job.id)
        work.bucket.before = refusing_deletes
        work.wake(job.id)
        work.web.on_download = lambda _url: None
        work.bucket.before = lambda _operation, _key: None
        life = Lifespan(dies_at=number, after=after)
        provide_services(mortal(work.services, life))
        with contextlib.suppress(KilledError):
            work.bring_back()
        provide_services(work.services)
        for _ in range(3):
            work.bring_back()
        where = f"killed {'after' if after else 'before'} {life.effects[-1]}, effect {number}"
        ended = work.job(job.id)
        assert (ended.state, ended.outputs, work.due_at(job.id)) == (JobState.CANCELLED, (), None), where
        assert [key for key in work.bucket.objects if job.id in key] == [], where
        effects = max(effects, len(life.effects) + (len(life.effects) == number))
    assert number > 6


def test_a_long_copy_keeps_its_lease(work: Workshop, settings: Settings, clock: ManualClock) -> None:
    """As long as its worker lives and renews it, the step is given to nobody else, however long it takes."""
    job = work.storing()
    found: list[int] = []
    leases = LeaseKeeper(work.store.due, work.holds)

    def take_long(_url: str) -> None:
        for _ in range(10):
            clock.advance(settings.lease_seconds / 3)
            leases.renew()
            found.append(len(work.store.due.claim(10)))

    work.web.on_download = take_long
    assert work.wake(job.id)["state"] == "succeeded"
    assert sum(found) == 0
    assert len(found) == 20
