"""Looking at the beginning of a body: no more of it than wanted, under the same guard as a download."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable

import pytest

from sceneshift.fetch_errors import (
    FetchBlockedError,
    FetchError,
    FetchFailedError,
    FetchStatusError,
    FetchTimeoutError,
    FetchTruncatedError,
)
from sceneshift.guarded_http import GuardedClient, Peek
from tests.loopback import NEVER, Listener, answer, client_for, download

SENT_MAX_BYTES = 50_000_000


def never(_head: bytes) -> bool:
    return False


def has(size_bytes: int) -> Callable[[bytes], bool]:
    return lambda head: len(head) >= size_bytes


def peek(
    client: GuardedClient,
    listener: Listener,
    is_enough: Callable[[bytes], bool] = never,
    *,
    max_bytes: int = 1000,
    timeout: float = NEVER,
) -> Peek:
    url = f"http://shop.example:{listener.port}/a?token=canary"
    return client.peek(url, max_bytes=max_bytes, timeout_seconds=timeout, is_enough=is_enough)


def test_a_short_body_is_read_whole() -> None:
    """What came is what was sent, with its announced length, and it is known that there is no more."""
    with Listener(answer(b"pixels")) as listener, client_for() as client:
        got = peek(client, listener)
    assert got == Peek(body=b"pixels", is_whole=True, announced_bytes=6, content_encoding="")


def test_reading_stops_when_there_is_enough() -> None:
    """A server that would go on for ever is left with the first bytes, and most of its body is never sent."""
    sent: list[int] = []

    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while sum(sent) < SENT_MAX_BYTES:
            sent.append(connection.send(b"x" * 1000))

    with Listener(endless) as listener, client_for() as client:
        got = peek(client, listener, has(100), max_bytes=SENT_MAX_BYTES)
    assert 100 <= len(got.body) <= 100_000
    assert (got.is_whole, got.announced_bytes) == (False, None)
    assert sum(sent) < SENT_MAX_BYTES


def test_no_more_is_kept_than_allowed() -> None:
    """A body in which there is never enough is left at the limit, to the byte."""
    with Listener(answer(b"x" * 100_000)) as listener, client_for() as client:
        got = peek(client, listener, max_bytes=1000)
    assert (len(got.body), got.is_whole, got.announced_bytes) == (1000, False, 100_000)


def test_small_pieces_are_not_looked_at_one_by_one() -> None:
    """The question is put as often as the bytes have doubled, so that its cost is bounded by what is read."""
    asked: list[int] = []

    def not_yet(head: bytes) -> bool:
        asked.append(len(head))
        return False

    def piecemeal(connection: socket.socket, _request: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
        for _ in range(3000):
            connection.sendall(b"x")

    with Listener(piecemeal) as listener, client_for() as client:
        assert len(peek(client, listener, not_yet, max_bytes=10_000).body) == 3000
    assert len(asked) <= 12
    assert all(later >= 2 * earlier for earlier, later in itertools.pairwise(asked))


def test_the_request_is_an_ordinary_one() -> None:
    """A whole GET without a range, with no encoding accepted, as a client sends it that wants the file."""
    with Listener(answer(b"x")) as listener, client_for() as client:
        peek(client, listener)
    head = listener.requests[0].decode().lower()
    assert head.startswith("get /a?token=canary http/1.1\r\n")
    assert "range" not in head
    assert "accept-encoding: identity" in head


def test_each_look_has_a_connection_of_its_own() -> None:
    """None is kept, and none is taken over: a server that closes an idle one cannot be mistaken for a silent one."""
    with Listener(answer(b"x")) as listener, client_for() as client:
        for _ in range(2):
            peek(client, listener)
        download(client, f"http://shop.example:{listener.port}/")
        peek(client, listener)
        assert listener.connections == 4


def test_an_encoding_is_told_and_not_undone() -> None:
    """The bytes are those that were sent."""
    with Listener(answer(b"\x1f\x8b", headers=["Content-Encoding: GZIP "])) as listener, client_for() as client:
        got = peek(client, listener)
    assert (got.body, got.content_encoding) == (b"\x1f\x8b", "gzip")


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content", "301 Moved", "404 Not Found", "503 Busy"])
def test_another_status_is_an_error(status: str) -> None:
    """Only 200 has a body that counts; the pause that was asked for is passed on."""
    reply = answer(status=status, headers=["Retry-After: 7", "Location: http://shop.example/"])
    with Listener(reply) as listener, client_for() as client, pytest.raises(FetchStatusError) as caught:
        peek(client, listener)
    assert (caught.value.status, caught.value.retry_after_seconds) == (int(status[:3]), 7.0)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxx", FetchTruncatedError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", FetchTruncatedError),
        (b"SSH-2.0-OpenSSH\r\n", FetchFailedError),
        (b"", FetchFailedError),
    ],
)
def test_what_breaks_off_is_an_error(raw: bytes, expected: type[FetchError]) -> None:
    """A body that ends early is truncated, and what is no HTTP has failed, as in a download."""
    with (
        Listener(lambda connection, _request: connection.sendall(raw)) as listener,
        client_for() as client,
        pytest.raises(expected) as caught,
    ):
        peek(client, listener)
    assert type(caught.value) is expected


class Ticking:
    """A monotonic clock that moves only when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_one_byte_a_second_ends_at_the_total_deadline(beginning: bytes) -> None:
    """A server that drips, in its headers or in its body, holds nobody for longer than the total time."""
    clock = Ticking()

    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(beginning)
        while True:
            clock.now += 1
            connection.sendall(b"x")

    with Listener(drip) as listener, client_for(monotonic=clock) as client, pytest.raises(FetchTimeoutError):
        peek(client, listener, max_bytes=10**9, timeout=10)


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/", "http://127.0.0.1/", "http://localhost/", "file:///etc/passwd", "http://a@b.example/"],
)
def test_a_url_that_is_not_allowed_is_not_looked_at(url: str) -> None:
    """The guard is that of every other request."""
    with client_for() as client, pytest.raises(FetchBlockedError):
        client.peek(url, max_bytes=1000, timeout_seconds=NEVER, is_enough=has(1))
