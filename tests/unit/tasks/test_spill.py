"""The store is away for longer than result URLs live: images wait on this machine's disk, and are stored from there."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from sceneshift.errors import ConfigurationError
from sceneshift.fetch_errors import FetchStatusError
from sceneshift.jobs.events import CancelRequested
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from storage.manifest import read_manifest
from storage.objects import StorageUnavailableError
from tasks.spill import Spill
from tasks.spilled import store_spilled
from tests.unit.storage.pictures import picture
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import result_urls
from tests.unit.tasks.workshop import Workshop

URLS = result_urls(2)
MAX_BYTES = 1_000_000
GONE = FetchStatusError("result.example answered with status 403", status=403)


@pytest.fixture(params=["fakeredis"])
def redis_client(redis_client: object) -> object:
    """The in-process store alone: these tests are about files."""
    return redis_client


@pytest.fixture
def directory(work: Workshop, tmp_path: Path) -> Path:
    """Where this machine's workers spill to."""
    directory = tmp_path / "spill"
    work.use(spill=Spill(directory, max_bytes=MAX_BYTES))
    return directory


def go_down(work: Workshop) -> None:
    def refuse(_operation: str, _key: str) -> None:
        raise StorageUnavailableError("503")

    work.bucket.before = refuse


def come_back(work: Workshop) -> None:
    work.bucket.before = lambda _operation, _key: None


def spilled(work: Workshop, clock: ManualClock) -> JobRecord:
    """A job whose images are on the disk, because the store was away; their URLs have ended since."""
    job = work.storing()
    go_down(work)
    clock.advance(work.services.settings.spill_after_seconds)
    work.wake(job.id)
    work.web.files |= dict.fromkeys(URLS, GONE)
    return work.job(job.id)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def assert_stored(work: Workshop, job: JobRecord) -> None:
    done = work.job(job.id)
    manifest = read_manifest(work.bucket, job_id=job.id)
    assert manifest is not None
    assert (done.state, manifest.images) == (JobState.SUCCEEDED, done.outputs)
    assert [work.bucket.contents[output.key] for output in done.outputs] == [picture(seed=0), picture(seed=1)]


def test_images_outlive_their_urls(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """What the store did not take is stored when it is back, although the URLs have ended, and the disk is empty."""
    job = spilled(work, clock)
    assert files(directory) == [f"{job.id}.0.image", f"{job.id}.1.image"]
    come_back(work)
    assert store_spilled(work.services) == 0
    assert files(directory) == []
    work.wake(job.id)
    assert_stored(work, job)


def test_the_step_itself_takes_them_from_the_disk(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """Whoever comes first stores them; the other one finds them stored."""
    job = spilled(work, clock)
    come_back(work)
    work.web.downloads.clear()
    work.wake(job.id)
    assert_stored(work, job)
    assert (work.web.downloads, files(directory)) == ([], [])


def test_another_start_of_the_worker_finds_them(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """They are found by their place alone, and the job's step may be anywhere by then."""
    job = spilled(work, clock)
    come_back(work)
    work.use(spill=Spill(directory, max_bytes=MAX_BYTES))
    assert store_spilled(work.services) == 0
    work.use(spill=Spill(None, max_bytes=0))
    work.wake(job.id)
    assert_stored(work, job)


def test_nothing_is_spilled_before_its_time_or_without_a_directory(
    work: Workshop, clock: ManualClock, directory: Path
) -> None:
    """A short outage costs no second download, and by default nothing is kept on disks."""
    job = work.storing()
    go_down(work)
    work.wake(job.id)
    work.use(spill=Spill(work.services.settings.spill_path, max_bytes=MAX_BYTES))
    clock.advance(3000.0)
    work.wake(job.id)
    assert (work.web.downloads, files(directory)) == ([], [])


def test_the_job_says_where_its_images_are(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """The timeline names the machine, so that a person finds them when it does not come back."""
    assert not files(directory)
    job = spilled(work, clock)
    messages = [entry.get("message", "") for entry in work.store.timeline.read(job.id)]
    assert any("is on the disk of" in str(message) for message in messages)


def test_what_is_on_the_disk_is_never_given_up(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """Even when the provider's retention has ended, the job waits for the store on the machine that has the image."""
    job = spilled(work, clock)
    clock.advance(90_000.0)
    work.wake(job.id)
    assert (work.job(job.id).state, len(files(directory))) == (JobState.STORING, 2)
    come_back(work)
    work.wake(job.id)
    assert_stored(work, job)


def test_what_the_disk_has_damaged_is_fetched_again(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """As long as its URL lives, the image is had from there."""
    job = spilled(work, clock)
    (directory / f"{job.id}.0.image").write_bytes(picture(seed=0)[:100])
    work.web.files[URLS[0]] = picture(seed=0)
    come_back(work)
    work.wake(job.id)
    assert_stored(work, job)
    assert files(directory) == []


def test_a_full_disk_takes_no_more(
    work: Workshop, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The cap holds for all that lies there, and the log says that it was reached."""
    work.use(spill=Spill(tmp_path / "spill", max_bytes=len(picture(seed=0))))
    spilled(work, clock)
    assert len(files(tmp_path / "spill")) == 1
    assert "spill.full" in [record.message for record in caplog.records if record.levelno == logging.ERROR]


def test_what_is_no_picture_is_not_spilled(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """What is on the disk was verified, as what is in the store."""
    work.web.files |= dict.fromkeys(URLS, picture("GIF"))
    spilled(work, clock)
    assert files(directory) == []


def test_what_nobody_wants_is_removed(work: Workshop, clock: ManualClock, directory: Path) -> None:
    """A cancelled job's images leave the disk, and none of them reaches the bucket."""
    job = spilled(work, clock)
    work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=False))
    come_back(work)
    assert store_spilled(work.services) == 0
    assert (files(directory), work.bucket.objects) == ([], {})


@pytest.mark.parametrize("operation", ["list", "put", "head"])
def test_a_kill_while_they_are_stored_loses_and_doubles_nothing(
    work: Workshop, clock: ManualClock, directory: Path, operation: str
) -> None:
    """The next start goes on where this one was."""
    job = spilled(work, clock)

    def kill(found: str, _key: str) -> None:
        if found == operation:
            raise KilledError

    work.bucket.before = kill
    with pytest.raises(KilledError):
        store_spilled(work.services)
    come_back(work)
    assert store_spilled(work.services) == 0
    work.wake(job.id)
    assert_stored(work, job)
    assert files(directory) == []


def test_a_directory_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    """The worker does not start, and the text names the setting."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="SCENESHIFT_SPILL_DIRECTORY"):
        Spill(tmp_path / "file", max_bytes=1).check()
