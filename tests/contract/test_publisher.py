"""What every publisher promises: messages that a worker understands, or False, and never an exception."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from sceneshift.messages import TASKS, CeleryPublisher, Publisher, StepMessage, producer_app, step_message
from sceneshift.settings import Settings
from tests.factories import a_job
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer

IN_MEMORY = Settings(broker_url="memory://publisher-contract")


@pytest.fixture
def app() -> Iterator[Celery]:
    """A producer whose broker lives in this process, with empty queues."""
    app = producer_app(IN_MEMORY)
    purge(app)
    yield app
    purge(app)
    app.close()


def purge(app: Celery) -> None:
    with app.connection_for_write() as connection:
        for name in TASKS:
            connection.SimpleQueue(name).clear()


@pytest.fixture(params=["celery", "recording"])
def publisher(request: pytest.FixtureRequest, app: Celery) -> Publisher:
    """Every implementation in turn. The recording one stands in for it in other tests, so it keeps its promises."""
    return CeleryPublisher(IN_MEMORY, app) if request.param == "celery" else RecordingPublisher()


def chain_of(job_id: str) -> list[StepMessage]:
    """One message of each task, as they follow each other in a job's life."""
    delivery = f"dlv_{job_id[4:]}_1"
    steps = [
        (job_id, "submit-1", ""),
        (job_id, "poll-001", "submit-1"),
        (job_id, "finalize-1", "poll-001"),
        (delivery, "notify-01", "finalize-1"),
    ]
    return [
        step_message(subject_id=subject, step=step, sku="PERF-050", parent_step=parent, job_id=job_id)
        for subject, step, parent in steps
    ]


def taken(app: Celery, queue: str) -> list[Any]:
    """The messages of a queue, in their order, taken out."""
    with app.connection_for_read() as connection:
        waiting = connection.SimpleQueue(queue)
        messages = [waiting.get(block=False) for _ in range(waiting.qsize())]
        for message in messages:
            message.ack()
        return messages


def test_what_is_published_is_on_its_way(publisher: Publisher) -> None:
    """The answer is yes, for several messages, for one, and for none."""
    messages = chain_of(a_job().id)
    assert publisher.publish(messages)
    assert publisher.publish(messages[:1])
    assert publisher.publish([])


def test_each_message_is_in_the_queue_of_its_task(app: Celery) -> None:
    """One queue per task, of the same name, with exactly the message that belongs there."""
    messages = chain_of(a_job().id)
    assert CeleryPublisher(IN_MEMORY, app).publish(messages)
    for message in messages:
        (received,) = taken(app, message.task)
        assert received.headers["task"] == message.task
        assert received.payload[:2] == [[], message.kwargs]


def test_the_headers_make_a_job_s_tasks_one_chain(app: Celery) -> None:
    """Task id, root and parent are those of the message, which is how Flower draws the job as one chain."""
    job_id = a_job().id
    CeleryPublisher(IN_MEMORY, app).publish(chain_of(job_id))
    seen = [
        (received.headers["id"], received.headers["root_id"], received.headers["parent_id"])
        for task in TASKS
        for received in taken(app, task)
    ]
    root = f"{job_id}:submit-1"
    assert seen == [
        (root, root, None),
        (f"{job_id}:poll-001", root, root),
        (f"{job_id}:finalize-1", root, f"{job_id}:poll-001"),
        (f"dlv_{job_id[4:]}_1:notify-01", root, f"{job_id}:finalize-1"),
    ]


def test_no_message_waits_for_a_time_in_the_broker(app: Celery) -> None:
    """Neither a countdown nor an expiry: when a step is due is the job store's business."""
    CeleryPublisher(IN_MEMORY, app).publish(chain_of(a_job().id))
    for task in TASKS:
        (received,) = taken(app, task)
        assert (received.headers["eta"], received.headers["expires"]) == (None, None)
        assert received.content_type == "application/json"


def test_the_order_of_a_queue_is_the_order_of_publishing(app: Celery) -> None:
    """The longest overdue is published first, and is taken first."""
    jobs = [a_job().id for _ in range(5)]
    CeleryPublisher(IN_MEMORY, app).publish([chain_of(job_id)[0] for job_id in jobs])
    assert [received.payload[1]["job_id"] for received in taken(app, TASKS[0])] == jobs


def test_a_broker_that_is_away_is_said_so_and_left_alone() -> None:
    """The first call finds out within seconds; those that follow cost nothing, from any number of threads."""
    publisher = CeleryPublisher(Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0"))
    messages = chain_of(a_job().id)
    began = time.monotonic()
    assert not publisher.publish(messages)
    assert time.monotonic() - began < 5.0
    answers: list[bool] = []
    began = time.monotonic()
    threads = [threading.Thread(target=lambda: answers.append(publisher.publish(messages))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [False] * 20
    assert time.monotonic() - began < 0.5


def test_a_broker_that_takes_connections_and_says_nothing_is_given_up() -> None:
    """A caller in a web request waits for seconds at the most, not for as long as the other side likes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(broker_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        assert not CeleryPublisher(settings).publish(chain_of(a_job().id))
        assert time.monotonic() - began < 15.0


def test_a_broker_that_is_back_is_used_again(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the quiet seconds the next call tries, and succeeds, without a new publisher."""
    passed = 0.0
    monotonic = time.monotonic
    monkeypatch.setattr("sceneshift.messages.time.monotonic", lambda: monotonic() + passed)
    port = free_port()
    publisher = CeleryPublisher(Settings(broker_url=f"redis://127.0.0.1:{port}/0", key_prefix="{contract}"))
    messages = chain_of(a_job().id)
    assert not publisher.publish(messages)
    with Forwarder(port, redis_server.port):
        assert not publisher.publish(messages)
        passed = 5.1
        assert publisher.publish(messages)


class Forwarder:
    """A port that leads to another one, so that a server can appear where none was."""

    def __init__(self, port: int, to: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._to = to
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> None:
        self._threads[0].start()

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            # Closing a socket does not wake up the thread that reads from it.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._sockets += [near, far]
            for source, target in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=(source, target), daemon=True)
                self._threads.append(thread)
                thread.start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except OSError:
            return
