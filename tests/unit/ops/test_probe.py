"""The health check of HTTP servers tells alive from dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops.probe import is_alive


class Statuses(BaseHTTPRequestHandler):
    """Answers `/404` with 404."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep the test's output quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Statuses)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "alive"), [(200, True), (401, True), (405, True), (500, False), (503, False)])
def test_any_answer_but_a_server_error_is_life(address: str, status: int, alive: bool) -> None:
    """A server that has no such page is up; one that fails is not."""
    assert is_alive(f"{address}/{status}") is alive


def test_nobody_there_is_death() -> None:
    """A refused connection is an answer too, not an exception."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Statuses)
    port = server.server_port
    server.server_close()
    assert is_alive(f"http://127.0.0.1:{port}/200") is False


def test_proxies_are_not_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment has nothing to do with this container's own server."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert is_alive(f"{address}/200") is True
