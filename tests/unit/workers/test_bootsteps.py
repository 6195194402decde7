"""What a worker process starts beside its tasks, and what is left of it while the last tasks end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from kombu.exceptions import OperationalError

import tasks.services
from sceneshift.celery_app import SceneshiftCelery
from sceneshift.messages import CeleryPublisher, StepMessage, celery_settings, step_message
from sceneshift.settings import PREFIX, Settings, current_settings
from sceneshift.store.due import Hold
from tests.factories import a_job
from workers.bootsteps import QueueLengths, TimekeeperStep
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer
from workers.lane_keeper import LaneKeeper
from workers.outage_watch import OutageWatch
from workers.spill_keeper import SpillKeeper
from workers.spool_keeper import SpoolKeeper
from workers.timekeeper import Timekeeper


def an_app(url: str) -> SceneshiftCelery:
    app = SceneshiftCelery("test", set_as_current=False)
    app.conf.update(celery_settings(Settings(redis_url=url), timeout_seconds=1.0))
    return app


@pytest.fixture
def worker(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """As much of a Celery worker as the step looks at, with settings of its own."""
    variables = {
        "REDIS_URL": redis_server.url,
        "KEY_PREFIX": "{bootsteps}",
        "PROVIDER_URL": f"http://127.0.0.1:{free_port()}/api",
        "PROVIDER_APPCODE": "test-appcode",
        "STORAGE_URL": (tmp_path / "store").as_uri(),
        "SPOOL_DIRECTORY": str(tmp_path / "spool"),
        "POLL_BATCH_MAX": "40",
    }
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    monkeypatch.setattr(tasks.services, "_services", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    current_settings.cache_clear()
    yield SimpleNamespace(app=an_app(redis_server.url), concurrency=4)
    current_settings.cache_clear()


@contextmanager
def started(worker: SimpleNamespace) -> Iterator[TimekeeperStep]:
    """A step that was started; what lives as long as the process is stopped in the end too."""
    step = TimekeeperStep(worker)
    step.start(worker)
    try:
        yield step
    finally:
        step.stop(worker)
        for each in (step._leases, step._recovery):
            assert each is not None
            each.stop()


def test_what_the_last_tasks_need_goes_on_after_the_worker_was_told_to_stop(worker: SimpleNamespace) -> None:
    """Nothing new is claimed; leases are kept and the job store is watched until the process ends."""
    with started(worker) as step:
        timekeeper, leases, recovery = step._timekeeper, step._leases, step._recovery
        assert timekeeper is not None
        assert leases is not None
        assert recovery is not None
        until_stopped = list(step._until_stopped)
        assert {type(each) for each in until_stopped} == {
            *(Timekeeper, SpoolKeeper, SpillKeeper, OutageWatch, LaneKeeper),
        }
        for end in (step.stop, step.terminate):
            end(worker)
            assert not any(each._thread.is_alive() for each in until_stopped)
            assert leases._thread.is_alive()
            assert recovery._thread.is_alive()


def test_leases_and_timekeeper_share_no_connection(worker: SimpleNamespace) -> None:
    """A claim that hangs holds up no renewal; and the leases are those of the steps that the tasks are at."""
    with started(worker) as step:
        timekeeper, leases, recovery = step._timekeeper, step._leases, step._recovery
        assert timekeeper is not None
        assert leases is not None
        assert recovery is not None
        services = tasks.services.current_services()
        assert leases._holds is services.holds
        assert recovery._services is services
        assert (
            len({id(client) for client in (leases._due._client, timekeeper._store.client, services.store.client)}) == 3
        )


def test_a_worker_whose_step_hangs_shows_no_sign_of_life(
    worker: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BRK16: a probe finds it, and whatever runs workers replaces it."""
    with started(worker) as step:
        assert step._timekeeper is not None
        heartbeat, holds = step._timekeeper._heartbeat, tasks.services.current_services().holds
        assert heartbeat._is_well()
        with holds.keeping(Hold(subject_id="job_1", step="poll-001", fence=1)):
            assert heartbeat._is_well()
            monkeypatch.setattr(holds, "_hang_seconds", -1.0)
            assert not heartbeat._is_well()


def test_the_timekeeper_has_the_settings_limits(worker: SimpleNamespace) -> None:
    """How many polls may share a message is what the environment says."""
    with started(worker) as step:
        assert step._timekeeper is not None
        assert step._timekeeper._poll_batch_max == 40


def a_message() -> StepMessage:
    job_id = a_job().id
    return step_message(subject_id=job_id, step="submit-1", sku="A", parent_step="", job_id=job_id)


def test_the_messages_that_wait_in_a_queue_are_counted(tmp_path: Path) -> None:
    """A queue that nobody has published to is empty; what is published and not taken yet is in it."""
    with RedisServer(tmp_path) as server:
        app = an_app(server.url)
        lengths = QueueLengths(app)
        assert lengths("sceneshift.submit") == 0
        assert CeleryPublisher(Settings(redis_url=server.url), app).publish([a_message() for _ in range(3)])
        assert (lengths("sceneshift.submit"), lengths("sceneshift.poll")) == (3, 0)


def test_a_broker_that_came_back_is_asked_on_a_new_connection(tmp_path: Path) -> None:
    """A question that failed does not spoil those after it."""
    with RedisServer(tmp_path, fsync="always") as server:
        lengths = QueueLengths(an_app(server.url))
        assert lengths("sceneshift.submit") == 0
        server.restart()
        with suppress(Exception):  # the first question may find the dead connection
            lengths("sceneshift.submit")
        assert lengths("sceneshift.submit") == 0


def test_a_broker_that_is_away_is_an_error() -> None:
    """It is not taken for an empty queue."""
    with pytest.raises(OperationalError):
        QueueLengths(an_app(f"redis://127.0.0.1:{free_port()}/0"))("sceneshift.submit")
