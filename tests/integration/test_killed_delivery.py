"""WH1 with a real process: a worker is killed after its receiver has the webhook, and before anybody noted that."""

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from sceneshift import identifiers
from sceneshift.settings import PREFIX, Settings
from sceneshift.store.connection import SERVICE
from sceneshift.store.deliveries import delivery_of
from sceneshift.store.opening import open_job_store
from sceneshift.webhooks import verify
from tests.factories import an_order
from tests.integration.deployment import wait_until
from tests.loopback import Listener
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from tests.webhook_material import SECRET
from workers.embedded.processes import kill, spawn, stop
from workers.embedded.redis_server import RedisServer

TAKEN = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Fatal:
    """A receiver whose first request ends the worker that made it; it answers from the second on."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.arrived = threading.Event()
        self.killed = threading.Event()

    def __call__(self, connection: socket.socket, request: bytes) -> None:
        self.requests.append(request)
        if len(self.requests) == 1:
            self.arrived.set()
            self.killed.wait(30.0)
        connection.sendall(TAKEN)


def test_a_worker_killed_between_the_post_and_its_record_sends_it_again(tmp_path: Path) -> None:
    """Another worker sends it under the same id, signed anew, and it counts as one try."""
    fatal = Fatal()
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(tmp_path / "redis"))
        listener = stack.enter_context(Listener(fatal))
        environment = {
            PREFIX + "REDIS_URL": server.url,
            PREFIX + "PROVIDER_URL": "http://127.0.0.1:1/api/v1/bg-rep",
            PREFIX + "PROVIDER_APPCODE": "none",
            PREFIX + "STORAGE_URL": (tmp_path / "results").as_uri(),
            PREFIX + "SPOOL_DIRECTORY": str(tmp_path / "spool"),
            PREFIX + "WEBHOOK_SECRET": SECRET,
            PREFIX + "ALLOW_HOSTS": "127.0.0.1",
            PREFIX + "LEASE_SECONDS": "2",
        }
        store = open_job_store(Settings.from_env(environment), patience=SERVICE)
        order = an_order(webhook_url=f"http://127.0.0.1:{listener.port}/hooks")
        now = store.clock.now()
        job = place(store, SITUATIONS["rendering"].evolve(id=identifiers.new_job_id(now), order=order))
        change = store.jobs.transition(job, EVENTS["rendering failed"])
        assert change is not None
        (draft,) = change.deliveries
        command = [sys.executable, "-m", "sceneshift", "worker", "--queues", "notify", "--concurrency", "2"]
        first = spawn(command, log=tmp_path / "first.log", environment=environment)
        stack.callback(stop, first)
        assert fatal.arrived.wait(60.0)
        kill(first)
        fatal.killed.set()
        second = spawn(command, log=tmp_path / "second.log", environment=environment)
        stack.callback(stop, second)

        def load() -> dict[str, str]:
            return store.client.hgetall(store.keys.delivery(draft.id))  # type: ignore[return-value]  # redis-py: maybe awaitable

        assert wait_until(lambda: load()["status"] == "delivered", timeout_seconds=60.0)
        delivery = delivery_of(load())
        store.client.close()
    assert (delivery.attempts, delivery.last_status) == (1, "204")
    first_request, second_request = map(_parsed, fatal.requests)
    assert first_request[0]["webhook-id"] == second_request[0]["webhook-id"] == draft.event_id
    for headers, body in (first_request, second_request):
        assert verify(body, headers, SECRET, now=time.time()).id == draft.event_id


def _parsed(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body
