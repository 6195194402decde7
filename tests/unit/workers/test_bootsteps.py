"""What a worker process starts beside its tasks, and what is left of it while the last tasks end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from kombu.exceptions import OperationalError

import tasks.services
from sceneshift.celery_app import SceneshiftCelery
from sceneshift.messages import CeleryPublisher, StepMessage, celery_settings, step_message
from sceneshift.settings import PREFIX, Settings, current_settings
from tests.factories import a_job
from workers.bootsteps import QueueLengths, TimekeeperStep
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer


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
    yield SimpleNamespace(app=an_app(redis_server.url))
    current_settings.cache_clear()


def test_leases_are_kept_after_the_worker_was_told_to_stop(worker: SimpleNamespace) -> None:
    """Nothing new is claimed, and the steps that still run keep their leases until the process ends."""
    step = TimekeeperStep(worker)
    step.start(worker)
    timekeeper, leases = step._timekeeper, step._leases
    assert timekeeper is not None
    assert leases is not None
    try:
        step.stop(worker)
        assert not timekeeper._thread.is_alive()
        assert leases._thread.is_alive()
        step.terminate(worker)
        assert leases._thread.is_alive()
    finally:
        leases.stop()


def test_leases_and_timekeeper_share_no_connection(worker: SimpleNamespace) -> None:
    """A claim that hangs holds up no renewal; and the leases are those of the steps that the tasks are at."""
    step = TimekeeperStep(worker)
    step.start(worker)
    timekeeper, leases = step._timekeeper, step._leases
    assert timekeeper is not None
    assert leases is not None
    try:
        services = tasks.services.current_services()
        assert leases._holds is services.holds
        assert (
            len({id(client) for client in (leases._due._client, timekeeper._store.client, services.store.client)}) == 3
        )
    finally:
        step.stop(worker)
        leases.stop()


def test_the_timekeeper_has_the_settings_limits(worker: SimpleNamespace) -> None:
    """How many polls may share a message is what the environment says."""
    step = TimekeeperStep(worker)
    step.start(worker)
    assert step._timekeeper is not None
    assert step._leases is not None
    try:
        assert step._timekeeper._poll_batch_max == 40
    finally:
        step.stop(worker)
        step._leases.stop()


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
