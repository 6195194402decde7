"""Looking at the beginning of a body: no more of it than wanted, under the same guard as a download."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from sceneshift.fetch_errors import (
    FetchBlockedError,
    FetchError,
    FetchFailedError,
    FetchStatusError,
    FetchTimeoutError,
    FetchTruncatedError,
)
from sceneshift.guarded_http import GuardedClient, NotYet, Peek
from tests.loopback import NEVER, Listener, answer, client_for, download

SENT_MAX_BYTES = 50_000_000


def never(_head: bytes) -> bool:
    return False


def has(size_bytes: int) -> Callable[[bytes], bool]:
    return lambda head: len(head) >= size_bytes


def peek(
    client: GuardedClient,
    listener: Listener,
    is_enough: Callable[[bytes], bool | NotYet] = never,
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


@pytest.mark.parametrize("status", ["203 Non-Authoritative Information", "206 Partial Content"])
def test_other_statuses_may_have_a_body(status: str) -> None:
    """A body that came through a changing proxy, or as a part, is judged by its bytes."""
    with Listener(answer(b"pixels", status=status)) as listener, client_for() as client:
        assert peek(client, listener).body == b"pixels"


@pytest.mark.parametrize("status", ["204 No Content", "300 Choices", "304 Not Modified", "404 Not Found", "503 Busy"])
def test_another_status_is_an_error(status: str) -> None:
    """No body of it counts; the pause that was asked for is passed on where waiting can help."""
    reply = f"HTTP/1.1 {status}\r\nRetry-After: 7\r\nLocation: http://shop.example/\r\n\r\n".encode()
    with Listener(reply) as listener, client_for() as client, pytest.raises(FetchStatusError) as caught:
        peek(client, listener)
    pause = 7.0 if status.startswith("503") else None
    assert (caught.value.status, caught.value.retry_after_seconds) == (int(status[:3]), pause)
    assert "canary" not in str(caught.value)
    assert listener.connections == 1


def test_bytes_that_are_let_go_are_not_kept() -> None:
    """A reader that needs the last byte only sees all of them, in as little memory as it likes, up to the limit."""
    asked: list[int] = []

    def last_byte(head: bytes) -> NotYet:
        asked.append(len(head))
        return NotYet(head[-1:])

    with Listener(answer(b"x" * 3_000_000 + b"!")) as listener, client_for() as client:
        whole = peek(client, listener, last_byte, max_bytes=4_000_000)
        assert max(asked) < 200_000
        asked.clear()
        part = peek(client, listener, last_byte, max_bytes=1_000_001)
    assert (whole.body, whole.is_whole) == (b"!", True)
    assert (len(part.body), part.is_whole) == (1_000_001 - sum(size - 1 for size in asked), False)


def test_what_came_before_the_server_stalled_may_be_enough() -> None:
    """The question is put once more at the end of the time; only when there is not enough it was too slow."""

    def stall(connection: socket.socket, _request: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 700)
        assert first_asked.wait(NEVER)
        connection.sendall(b"x" * 200)
        connection.recv(1)

    first_asked = threading.Event()

    def has_900(head: bytes) -> bool:
        first_asked.set()
        return len(head) >= 900

    with Listener(stall) as listener, client_for(read=0.3) as client:
        got = peek(client, listener, has_900, max_bytes=10_000)
        assert (len(got.body), got.is_whole) == (900, False)
        with pytest.raises(FetchTimeoutError):
            peek(client, listener, has(901), max_bytes=10_000)


def moved(location: str, status: str = "302 Found") -> bytes:
    return answer(b"elsewhere", status=status, headers=[f"Location: {location}"] if location else [])


@contextmanager
def site(pages: Mapping[str, bytes]) -> Iterator[Listener]:
    """A server with these pages by their targets; `{port}` in one stands for its own."""

    def reply(connection: socket.socket, request: bytes) -> None:
        page = pages[request.split(b" ")[1].decode()]
        connection.sendall(page.replace(b"{port}", str(listener.port).encode()))

    with Listener(reply) as listener:
        yield listener


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b?c=d#e", "/b?c=d"),
        ("b", "/b"),
        ("//shop.example:{port}/b", "/b"),
        ("http://other.example:{port}/%C3%A4?sig=a%2Fb", "/%C3%A4?sig=a%2Fb"),
        ("/große Datei".encode().decode("latin-1"), "/gro%C3%9Fe%20Datei"),
    ],
)
def test_a_look_follows_a_redirect(status: str, location: str, target: str) -> None:
    """The body is that of the target, asked for by a bare request under the target's own name."""
    pages = {"/a?token=canary": moved(location, status), target: answer(b"pixels")}
    with site(pages) as listener, client_for(allow=("shop.example", "other.example")) as client:
        assert peek(client, listener).body == b"pixels"
        first, second = (request.decode().lower() for request in listener.requests)
    host = "other.example" if "other" in location else "shop.example"
    assert f"\r\nhost: {host}:{listener.port}\r\n" in second
    assert "canary" not in second
    assert second.count("\r\n") == first.count("\r\n")


def test_three_redirects_and_no_more_are_followed() -> None:
    """The fourth ends the look, so that a circle does too."""
    pages = {"/a?token=canary": moved("/2"), "/2": moved("/3"), "/3": moved("/4"), "/4": answer(b"pixels")}
    with site(pages) as listener, client_for() as client:
        assert peek(client, listener).body == b"pixels"
    with site({**pages, "/4": moved("/2")}) as listener, client_for() as client:
        with pytest.raises(FetchStatusError, match="after 3 redirects") as caught:
            peek(client, listener)
        assert (caught.value.status, len(listener.requests)) == (302, 4)


@pytest.mark.parametrize(
    "location", ["", "ftp://shop.example/a", "mailto:x", "data:image/png;base64,xx", "http://[::1/"]
)
def test_a_redirect_to_nowhere_is_an_error(location: str) -> None:
    """Without a URL that could be asked for, the status is all that is known."""
    with Listener(moved(location)) as listener, client_for() as client:
        with pytest.raises(FetchStatusError, match="without a usable Location") as caught:
            peek(client, listener)
        assert caught.value.status == 302


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/",
        "http://localhost/",
        "//private.example/",
        "http://shop.example@private.example/",
        "http://shop.example\\@private.example/",
        "http://minio.internal:{port}/",
        "http://other.example:6379/",
    ],
)
def test_each_hop_is_guarded(location: str) -> None:
    """A redirect leads to no address that the first URL could not have named, and nothing connects there."""
    pages = {"/a?token=canary": moved("/2"), "/2": moved(location)}
    with site(pages) as listener, client_for("127.0.0.1", "127.0.0.1", "10.0.0.1") as client:
        with pytest.raises(FetchBlockedError):
            peek(client, listener)
        assert listener.connections == 2


def test_redirects_share_one_time() -> None:
    """Each hop has what the ones before it have left."""
    clock = Ticking()

    def slow(connection: socket.socket, _request: bytes) -> None:
        clock.now += 4
        connection.sendall(moved("/again"))

    with Listener(slow) as listener, client_for(monotonic=clock) as client:
        with pytest.raises(FetchTimeoutError):
            peek(client, listener, timeout=10)
        assert len(listener.requests) == 3


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
