"""A job store that hangs or restarts: callers hear in time, and those who wait go on waiting."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import sceneshift.client
from sceneshift import EnqueueError, Job, JobState, StoreUnavailableError, enqueue_job, get_job
from sceneshift import handle as handle_module
from sceneshift.client import Client
from sceneshift.identifiers import new_job_id
from sceneshift.settings import Settings
from sceneshift.store.connection import CALLER, SERVICE, TIMEKEEPER, Patience, connect
from sceneshift.store.opening import Store, open_job_store
from tests.factories import NOW, an_output
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import kill
from workers.embedded.redis_server import RedisServer

PATIENCE_SECONDS = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which forgets nothing that it has answered."""
    with RedisServer(tmp_path, fsync="always") as server:
        yield server


def process_of(server: RedisServer) -> subprocess.Popen[bytes]:
    assert server._process is not None
    return server._process


@contextmanager
def hanging(server: RedisServer) -> Iterator[None]:
    """The server takes connections and answers nothing, as behind a frozen disk."""
    os.kill(process_of(server).pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_of(server).pid, signal.SIGCONT)


def order(key: str) -> Job:
    return enqueue_job(
        image="https://shop.example/1.jpg",
        mask="https://shop.example/1.png",
        positive_prompt="on yellow silk",
        idempotency_key=key,
    )


@pytest.mark.parametrize("warm", [False, True], ids=["first call", "open connection"])
def test_a_store_that_hangs_is_told_within_seconds(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, *, warm: bool
) -> None:
    """A web request hears in less than eight seconds that its order was not taken, and the same call works later."""
    client = Client(Settings(redis_url=server.url), publisher=RecordingPublisher())
    monkeypatch.setattr(sceneshift.client, "_client", client)
    with closing(client.store.client):
        if warm:
            order("shop:0")
        with hanging(server):
            began = time.monotonic()
            with pytest.raises(EnqueueError, match="with the same idempotency_key"):
                order("shop:1")
            assert time.monotonic() - began < 8.0
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                get_job(new_job_id(NOW))
            assert time.monotonic() - began < 8.0
        job = order("shop:1")
        assert get_job(job.id).snapshot().state is JobState.QUEUED


@pytest.mark.parametrize("patience", [CALLER, SERVICE, TIMEKEEPER], ids=["caller", "service", "timekeeper"])
def test_a_connection_has_the_patience_that_it_was_given(patience: Patience) -> None:
    """Connecting and every answer are waited for as long as was said, and tried again as often."""
    client = connect("redis://127.0.0.1:1/0", patience)
    options = client.connection_pool.connection_kwargs
    assert options["socket_timeout"] == options["socket_connect_timeout"] == patience.timeout_seconds
    assert options["retry"]._retries == patience.retries


def test_a_worker_is_the_most_patient() -> None:
    """What it knows may have been paid for; a web request and a timekeeper have others behind them."""
    assert SERVICE.timeout_seconds * SERVICE.retries > 30.0
    assert max(CALLER.timeout_seconds, TIMEKEEPER.timeout_seconds) * (1 + CALLER.retries) < 8.0
    assert TIMEKEEPER.retries == 0


@pytest.fixture
def waiter(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiter]:
    """Somebody who waits for a job on the private server."""
    monkeypatch.setattr(handle_module, "STORE_RETRY_SECONDS", 0.05)
    settings = Settings(redis_url=server.url)
    with closing(connect(server.url, CALLER)) as own, closing(connect(server.url, SERVICE)) as others:
        yield Waiter(
            server,
            Client(settings, store=open_job_store(settings, patience=CALLER, client=own)),
            open_job_store(settings, patience=SERVICE, client=others),
        )


class Waiter:
    """A job that is rendering, a caller who waits for it in a thread, and the store as the workers see it."""

    def __init__(self, server: RedisServer, client: Client, workers: Store) -> None:
        self.server = server
        self.workers = workers
        self.record = place(workers, SITUATIONS["rendering"])
        self.job = Job(id=self.record.id, created=False, client=client)
        self.told: queue.Queue[Any] = queue.Queue()
        self.watched: queue.Queue[str] = queue.Queue()
        self._watching = client.store.timeline.watching
        client.store.timeline.watching = self._telling  # type: ignore[method-assign]  # to know where the waiter is

    @contextmanager
    def _telling(self, job_id: str) -> Iterator[Any]:
        self.watched.put("tried")
        with self._watching(job_id) as watch:
            self.watched.put("watching")
            yield watch

    @contextmanager
    def waiting(self, call: Callable[[Job], Any]) -> Iterator[None]:
        """The call runs beside the test, and tells what it returned or raised; it has ended with the context."""

        def run() -> None:
            try:
                self.told.put(call(self.job))
            except Exception as error:  # noqa: BLE001  # the test looks at it
                self.told.put(error)

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()

    def sees(self, *expected: str) -> None:
        assert [self.watched.get(timeout=PATIENCE_SECONDS) for _ in expected] == list(expected)

    def outage(self) -> None:
        """The server was gone for long enough that the waiter has noticed, and is back."""
        kill(process_of(self.server))
        self.sees("tried", "tried")
        self.server.restart()


def test_a_result_is_waited_for_through_a_restart_of_the_store(waiter: Waiter) -> None:
    """`result` returns the images although the store was away meanwhile."""
    with waiter.waiting(lambda job: job.result(timeout=PATIENCE_SECONDS)):
        waiter.sees("tried", "watching")
        waiter.outage()
        change = waiter.workers.jobs.transition(waiter.record, EVENTS["results"])
        assert change is not None
        assert waiter.workers.jobs.transition(change.after, EVENTS["all stored"])
        assert waiter.told.get(timeout=PATIENCE_SECONDS).outputs == (an_output(0), an_output(1))


def test_events_are_followed_through_a_restart_of_the_store(waiter: Waiter) -> None:
    """Each entry comes once and in order, those of before the restart and those of after it."""

    def follow(job: Job) -> str:
        for event in job.events(timeout=PATIENCE_SECONDS):
            waiter.told.put(event.event)
        return "end"

    with waiter.waiting(follow):
        assert waiter.told.get(timeout=PATIENCE_SECONDS) == "enqueued"
        waiter.sees("tried", "watching", "tried", "watching")
        waiter.outage()
        change = waiter.workers.jobs.transition(waiter.record, EVENTS["results"])
        assert change is not None
        assert waiter.told.get(timeout=PATIENCE_SECONDS) == "rendered"
        assert waiter.workers.jobs.transition(change.after, EVENTS["all stored"])
        assert waiter.told.get(timeout=PATIENCE_SECONDS) == "succeeded"
        assert waiter.told.get(timeout=PATIENCE_SECONDS) == "end"


def test_a_caller_s_own_time_ends_also_while_the_store_is_away(waiter: Waiter) -> None:
    """A waiter with little time is not kept for a store's sake, and hears what it was."""
    kill(process_of(waiter.server))
    with waiter.waiting(lambda job: job.result(timeout=0.2)):
        assert isinstance(waiter.told.get(timeout=PATIENCE_SECONDS), StoreUnavailableError)
