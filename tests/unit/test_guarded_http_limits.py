from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import closing

import pytest

from sceneshift.fetch_errors import (
    FetchFailedError,
    FetchTimeoutError,
    FetchTooLargeError,
    FetchTruncatedError,
)
from sceneshift.guarded_http import Answer, GuardedClient
from tests.loopback import NEVER, Listener, answer, client_for, download, failed_download

CONNECT_LIMIT_SECONDS = 4.0
"""Less than the client's own limit for connecting: whatever ends sooner was ended by the total deadline."""


def test_bodies_are_capped_while_they_stream() -> None:
    """An endless body is left as soon as it passes the limit, however it announces itself."""

    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1000)

    with Listener(endless) as listener:
        assert failed_download(listener, FetchTooLargeError).retryable is False


def test_an_announced_size_is_refused_at_once() -> None:
    """A Content-Length over the limit is refused without waiting for the body, and the limit itself is allowed."""
    with Listener(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n") as listener:
        failed_download(listener, FetchTooLargeError)
    with Listener(answer(b"x" * 1000)) as listener, client_for() as client:
        assert download(client, f"http://shop.example:{listener.port}/")[0].size_bytes == 1000


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 99,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    ],
)
def test_truncated_bodies(cut: bytes) -> None:
    """A body that ends before its announced end, or breaks its chunking, is truncated and may be fetched again."""
    with Listener(lambda connection, _request: connection.sendall(cut)) as listener:
        assert failed_download(listener, FetchTruncatedError).retryable


def test_a_reset_in_the_body_is_a_truncation() -> None:
    """A connection that is reset in mid-body has truncated it."""

    def reset(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxx")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    with Listener(reset) as listener:
        failed_download(listener, FetchTruncatedError)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"hello\r\n\r\n",
        b"<html>HTTP/0.9</html>",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_failure(junk: bytes) -> None:
    """An answer that HTTP/1.1 does not allow is a failure, never a crash and never a body."""
    with Listener(lambda connection, _request: connection.sendall(junk)) as listener:
        assert failed_download(listener, FetchFailedError).retryable


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unknown", "identity, gzip", "GZIP"])
def test_encoded_bodies_are_refused(encoding: str) -> None:
    """An encoded body, which could unpack to any size, is refused; for a post its status still counts."""
    with Listener(answer(gzip.compress(b"x" * 100), headers=[f"Content-Encoding: {encoding}"])) as listener:
        failed_download(listener, FetchFailedError)
        with client_for() as client:
            got = client.post(f"http://shop.example:{listener.port}/", b"", {}, timeout_seconds=NEVER)
    assert (got.status, got.body) == (200, b"")


class Ticking:
    """A monotonic clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("beginning", "repeated"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b"x" * 100_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["headers", "body", "body at a good pace", "interim answers"],
)
def test_one_byte_at_a_time_ends_at_the_total_deadline(beginning: bytes, repeated: bytes) -> None:
    """A server that never pauses for long, but never finishes either, is left when the total time is over."""
    clock = Ticking()

    def trickle(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(beginning)
        while True:
            clock.now += 1
            connection.sendall(repeated)

    with (
        Listener(trickle) as listener,
        client_for(monotonic=clock) as client,
        pytest.raises(FetchTimeoutError) as caught,
    ):
        download(client, f"http://shop.example:{listener.port}/?token=canary", max_bytes=10**9, timeout=20)
    assert caught.value.retryable
    assert clock.now >= 1020


@pytest.mark.parametrize("limits", [{"read": 0.05}, {"timeout": 0.1}])
def test_silence_ends_at_whichever_limit_comes_first(limits: dict[str, float]) -> None:
    """A server that says nothing is left after the read limit, or at the total deadline when that is earlier."""
    with Listener(lambda _connection, _request: silent.wait_for_end()) as listener:
        silent = listener
        with client_for(read=limits.get("read", NEVER)) as client, pytest.raises(FetchTimeoutError):
            download(client, f"http://shop.example:{listener.port}/", timeout=limits.get("timeout", NEVER))


def test_a_resolver_that_hangs_is_left_at_the_deadline() -> None:
    """A name server that never answers cannot hold a worker beyond the total deadline."""
    release = threading.Event()

    def hang(_host: str, _port: int) -> Sequence[str]:
        release.wait(NEVER)
        return []

    started_at = time.monotonic()
    with closing(GuardedClient(resolver=hang)) as client, pytest.raises(FetchTimeoutError, match="looking up"):
        download(client, "http://shop.example/", timeout=0.1)
    assert time.monotonic() - started_at < CONNECT_LIMIT_SECONDS
    release.set()


def test_a_receiver_that_does_not_read_is_left_at_the_deadline() -> None:
    """A body that the other side does not take is given up at the total deadline."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, client_for() as client, pytest.raises(FetchTimeoutError):
        client.post(f"http://shop.example:{deaf.getsockname()[1]}/", b"x" * 20_000_000, {}, timeout_seconds=0.3)


@pytest.mark.parametrize(
    ("after_status", "expected"),
    [
        (b"Content-Length: 1000000\r\n\r\n" + b"x" * 50_000, b"x" * 20),
        (b"Content-Length: 100\r\n\r\nshort", b"short"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n", b"hello"),
    ],
)
def test_a_status_counts_whatever_becomes_of_the_body(after_status: bytes, expected: bytes) -> None:
    """A post that was answered has its answer, with the first bytes of a body that is too long or breaks off."""
    raw = b"HTTP/1.1 200 OK\r\n" + after_status
    with Listener(lambda connection, _request: connection.sendall(raw)) as listener, client_for() as client:
        got = client.post(f"http://shop.example:{listener.port}/", b"", {}, timeout_seconds=NEVER, max_answer_bytes=20)
    assert isinstance(got, Answer)
    assert (got.status, got.body) == (200, expected)


def test_an_endless_answer_is_left_after_its_first_bytes() -> None:
    """A receiver that answers without end is not listened to for longer than the bytes that are kept."""

    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1000)

    with Listener(endless) as listener, client_for() as client:
        got = client.post(f"http://shop.example:{listener.port}/", b"", {}, timeout_seconds=NEVER, max_answer_bytes=20)
    assert got.body == b"x" * 20
    assert got.elapsed_seconds < NEVER / 2


def test_a_status_counts_when_the_body_stalls() -> None:
    """A post whose answer stalls after the headers has that answer at the deadline, instead of being sent again."""

    def stall(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nso far")
        listener.wait_for_end()

    with Listener(stall) as listener, client_for() as client:
        got = client.post(f"http://shop.example:{listener.port}/", b"", {}, timeout_seconds=0.2)
    assert (got.status, got.body) == (202, b"so far")


def test_an_early_answer_is_read_when_the_server_stops_listening() -> None:
    """A server that refuses a large body and hangs up has its status read, rather than a broken pipe reported."""

    def refuse(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(answer(b"too large", status="413 Too Large", headers=["Connection: close"]))
        connection.shutdown(socket.SHUT_RD)

    class Impatient(Listener):
        def _read_request(self, connection: socket.socket) -> bytes:
            return connection.recv(100)

    with Impatient(refuse) as listener, client_for() as client:
        try:
            assert (
                client.post(f"http://shop.example:{listener.port}/", b"x" * 20_000_000, {}, timeout_seconds=5).status
                == 413
            )
        except FetchFailedError as error:
            # The kernel may drop the unread answer together with the reset.
            assert "reading" in str(error)  # noqa: PT017 - either outcome is right, a third is not.
