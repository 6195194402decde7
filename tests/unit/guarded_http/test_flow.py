"""How much and how slowly an answer may come, and that nothing behind it is taken for the next one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Self

import pytest

from sceneshift.fetch_errors import FetchError, FetchFailedError, FetchTimeoutError, FetchTruncatedError
from sceneshift.guarded_http import GuardedClient
from sceneshift.guarded_http.limits import (
    FRAMING_MAX_BYTES,
    HEAD_MAX_BYTES,
    SLOW_WINDOW_SECONDS,
    SLOWEST_BYTES_PER_SECOND,
    ExchangeLimits,
)
from sceneshift.guarded_http.stream import GuardedStream
from tests.loopback import NEVER, Listener, Reply, answer, client_for, download

HOUR_SECONDS = 3600.0
BUFFERS_MAX_BYTES = 16_000_000
"""More than the operating system takes before anybody reads."""


class LockStep:
    """A clock that moves a second whenever the client looks at it, and lets the server send once for that."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._turns = threading.Semaphore(0)
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended = True
        self._turns.release()

    def __call__(self) -> float:
        self.now += 1
        self._turns.release()
        return self.now

    def drip(self, beginning: bytes, repeated: bytes) -> Reply:
        """A server that sends this once for each second, and never pauses for longer."""

        def reply(connection: socket.socket, _request: bytes) -> None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(beginning)
            while self._turns.acquire(timeout=NEVER) and not self._ended:
                connection.sendall(repeated)

        return reply


@pytest.mark.parametrize(
    ("beginning", "repeated"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["headers", "body", "body without length", "chunk extension", "interim answers"],
)
@pytest.mark.parametrize("way", ["result", "source", "webhook"])
def test_a_drip_is_given_up_long_before_the_total_deadline(way: str, beginning: bytes, repeated: bytes) -> None:
    """Each byte is in time, and the whole never would be: it is left after the first slow half minute."""
    clock = LockStep()
    with Listener(clock.drip(beginning, repeated)) as listener, client_for(monotonic=clock) as client, clock:
        url = f"http://shop.example:{listener.port}/"
        began_at = clock.now
        if way == "webhook":
            try:
                assert client.post(url, b"", {}, timeout_seconds=HOUR_SECONDS).status == 200
            except FetchTimeoutError:
                assert b"\r\n\r\n" not in beginning
        elif way == "source":
            with pytest.raises(FetchTimeoutError):
                client.peek(url, max_bytes=10**9, timeout_seconds=HOUR_SECONDS, is_enough=lambda _: False)
        else:
            with pytest.raises(FetchTimeoutError):
                download(client, url, max_bytes=10**9, timeout=HOUR_SECONDS)
        assert SLOW_WINDOW_SECONDS <= clock.now - began_at < 4 * SLOW_WINDOW_SECONDS


def test_a_slow_line_is_not_a_drip() -> None:
    """A body that keeps a little above the floor arrives, however long that takes within its total time."""
    clock, piece = LockStep(), b"x" * int(3 * SLOWEST_BYTES_PER_SECOND)
    beginning = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * len(piece))
    with Listener(clock.drip(beginning, piece)) as listener, client_for(monotonic=clock) as client, clock:
        got, _ = download(client, f"http://shop.example:{listener.port}/", max_bytes=10**9, timeout=HOUR_SECONDS)
    assert got.size_bytes == 100 * len(piece)
    assert clock.now - 1000 > 2 * SLOW_WINDOW_SECONDS


def flood(beginning: bytes, repeated: bytes, sent: list[int]) -> Reply:
    def reply(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(beginning)
        while sum(sent) < 10 * BUFFERS_MAX_BYTES:
            connection.sendall(repeated)
            sent.append(len(repeated))

    return reply


@pytest.mark.parametrize(
    ("beginning", "repeated", "expected"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, FetchFailedError),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"a" * 50_000 + b">\r\n\r\n", FetchFailedError),
        (b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"a" * 100 + b"\r\n", FetchFailedError),
        (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"a" * 1000, FetchFailedError),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"a" * 50_000 + b"\r\nx\r\n",
            FetchTruncatedError,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            b"X-Trailer: aaaaaaaa\r\n" * 100,
            FetchTruncatedError,
        ),
    ],
    ids=["interim answers", "large interim answers", "many headers", "one long header", "chunk extensions", "trailers"],
)
def test_a_flood_beside_the_body_is_left(beginning: bytes, repeated: bytes, expected: type[FetchError]) -> None:
    """What no limit of the body counts has one of its own, and no clock is needed to reach it."""
    sent: list[int] = []
    with Listener(flood(beginning, repeated, sent)) as listener, client_for() as client:
        with pytest.raises(expected) as caught:
            download(client, f"http://shop.example:{listener.port}/", max_bytes=1000)
        assert type(caught.value) is expected
    assert sum(sent) < BUFFERS_MAX_BYTES


def test_a_few_interim_answers_are_ordinary() -> None:
    """Early hints come before an answer that is taken as always, and its connection is kept."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 8
    with Listener(hints + answer(b"pixels")) as listener, client_for() as client:
        for _ in range(2):
            assert download(client, f"http://shop.example:{listener.port}/")[1] == b"pixels"
        assert listener.connections == 1


@pytest.mark.parametrize(
    "surplus",
    [
        answer(b"evil"),
        b"HTTP/1.1 200 OK\r\nX-Swallow: ",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\r\n",
        b"x",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
@pytest.mark.parametrize("way", ["result", "webhook"])
def test_what_comes_behind_an_answer_is_not_the_next_answer(way: str, surplus: bytes) -> None:
    """The next request has a connection of its own, and gets its own answer."""
    with Listener(answer(b"honest") + surplus) as listener, client_for() as client:
        url = f"http://shop.example:{listener.port}/"
        for connections in (1, 2, 3):
            if way == "result":
                body = download(client, url)[1]
            else:
                body = client.post(url, b"", {}, timeout_seconds=NEVER).body
            assert (body, listener.connections, len(listener.requests)) == (b"honest", connections, connections)


@pytest.mark.parametrize(
    ("reply", "is_kept"),
    [
        (answer(b"ok"), True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", False),
        (answer(b"ok", headers=["Connection: close"]), False),
    ],
)
def test_a_connection_is_kept_when_its_answer_was_as_long_as_announced(reply: bytes, *, is_kept: bool) -> None:
    """Where only the body itself could tell its end, or two headers disagree, the next request starts anew."""
    with Listener(reply) as listener, client_for() as client:
        for _ in range(2):
            got = client.post(f"http://shop.example:{listener.port}/", b"", {}, timeout_seconds=NEVER)
            assert got.body in {b"ok", b""}
        assert listener.connections == (1 if is_kept else 2)


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_a_head_ends_where_it_ends_however_it_is_cut(newline: bytes) -> None:
    """In whichever two pieces it comes, the parser gets the head alone, and the body without what is behind it."""
    head = newline.join([b"HTTP/1.1 200 OK", b"Content-Length: 4", b"", b""])
    raw = head + b"body" + b"behind"
    for cut in range(1, len(raw)):
        ours, theirs = socket.socketpair()
        with closing(ours), closing(theirs):
            limits = ExchangeLimits(lambda: 0.0)
            limits.start(NEVER)
            stream = GuardedStream(ours, "shop.example", limits)
            stream.write(b"?")
            got = read_in_two(stream, theirs, raw, cut, len(head))
            assert got == head
            stream.expect_body(4)
            if cut >= len(head):
                theirs.sendall(raw[cut:])
            body = b""
            while len(body) < 4:
                body += stream.read(65_536)
            assert body == b"body"
            assert stream.get_extra_info("is_readable")


def read_in_two(stream: GuardedStream, theirs: socket.socket, raw: bytes, cut: int, head_bytes: int) -> bytes:
    """What the stream gives of a head that arrives in two pieces."""
    theirs.sendall(raw[:cut])
    got = stream.read(65_536)
    if cut < head_bytes:
        theirs.sendall(raw[cut:])
        while len(got) < head_bytes:
            got += stream.read(65_536)
    return got


def test_the_limits_are_as_documented() -> None:
    """These numbers are in the documentation for those who guard the network."""
    assert (HEAD_MAX_BYTES, FRAMING_MAX_BYTES) == (262_144, 65_536)
    assert (SLOWEST_BYTES_PER_SECOND, SLOW_WINDOW_SECONDS) == (1000.0, 30.0)


def test_encoded_bodies_are_never_asked_for() -> None:
    """Every request, whatever it is for, says that only the bytes as they are will do."""
    with Listener(answer(b"x")) as listener, client_for() as client:
        url = f"http://shop.example:{listener.port}/"
        calls: list[Callable[[GuardedClient], object]] = [
            lambda client: download(client, url),
            lambda client: client.peek(url, max_bytes=10, timeout_seconds=NEVER, is_enough=bool),
            lambda client: client.post(url, b"", {}, timeout_seconds=NEVER),
        ]
        for call in calls:
            call(client)
        assert all(b"\r\naccept-encoding: identity\r\n" in request.lower() for request in listener.requests)
        assert len(listener.requests) == 3
