"""The broker goes away while a worker holds a message, which Celery 5.7.0 alone does not survive."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sceneshift.jobs.states import JobState
from tests.integration.deployment import running_deployment, wait_until


@pytest.mark.parametrize("answer_while_away", [True, False], ids=["answered while away", "answered after the return"])
def test_a_worker_survives_the_loss_of_its_broker(tmp_path: Path, answer_while_away: bool) -> None:
    """A worker with an unacknowledged message lives on when the broker dies and returns, and finishes the job."""
    with (
        slow_provider() as provider,
        running_deployment(tmp_path, workers=1, PROVIDER_URL=f"http://127.0.0.1:{provider.port}/api") as deployment,
    ):
        client = deployment.client()
        job = deployment.enqueue(client, 1)
        assert provider.asked.wait(60)
        worker = deployment.workers[0]
        if answer_while_away:
            threading.Timer(0.5, provider.answer.set).start()
        deployment.broker.restart()
        connected = deployment.worker_logs().count("Connected to redis")
        assert wait_until(
            lambda: (
                worker.poll() is not None
                or deployment.worker_logs().count("Connected to redis") > max(1, connected - 1)
            ),
            timeout_seconds=60,
        )
        provider.answer.set()
        assert wait_until(lambda: client.load(job.id).state is JobState.RENDERING, timeout_seconds=30)
        second = deployment.enqueue(client, 2)
        assert wait_until(lambda: client.load(second.id).state is JobState.RENDERING, timeout_seconds=60)
        assert worker.poll() is None, deployment.worker_logs()[-3000:]


class SlowProvider:
    """Accepts a submission, and answers when it is told to; a query never finds it finished."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()
        self.port = 0
        self.submissions = 0


@contextmanager
def slow_provider() -> Iterator[SlowProvider]:
    """The provider on a free port."""
    provider = SlowProvider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, key = "RUNNING", request.get("result_key")
            if self.path.endswith("/submit"):
                provider.submissions += 1
                status, key = "WAITING", f"key-{provider.submissions}"
                provider.asked.set()
                provider.answer.wait(90)
            data = {"result_key": key, "task_list": [{"status": status, "results": []}]}
            body = json.dumps(
                {"success": True, "code": 0, "message": "success", "requestId": "R", "data": data}
            ).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        provider.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield provider
        provider.answer.set()
        server.shutdown()
        thread.join()
