"""Raw loopback servers for the tests of HTTP clients, and guarded clients that reach them under made-up names."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Self

import pytest

from sceneshift.fetch_errors import FetchError
from sceneshift.guarded_http import Downloaded, GuardedClient

Reply = Callable[[socket.socket, bytes], None]

NEVER = 60.0
"""A limit that no test reaches."""


class Listener:
    """A loopback server that records what it was sent and answers each request with raw bytes of the test's choice."""

    def __init__(
        self, reply: bytes | Reply = b"", *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._reply = reply
        self._tls = tls
        self._ended = threading.Event()
        self._socket = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        # Closing a socket does not wake up the thread that accepts on it; a connection does.
        with socket.socket(self._socket.family) as last:
            last.connect(self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def wait_for_end(self) -> None:
        """What a server does that never answers."""
        self._ended.wait(NEVER)

    def _accept(self) -> None:
        threads = []
        while True:
            connection, _ = self._socket.accept()
            if self._ended.is_set():
                connection.close()
                break
            self.connections += 1
            threads.append(threading.Thread(target=self._serve, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, plain: socket.socket) -> None:
        with plain:
            # The client may hang up at any time; that is often the point of the test.
            try:
                connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
                with connection:
                    connection.settimeout(NEVER)
                    while request := self._read_request(connection):
                        self.requests.append(request)
                        if not callable(self._reply):
                            connection.sendall(self._reply)
                            continue
                        self._reply(connection, request)
                        return
            except OSError:
                return

    def _read_request(self, connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (some := connection.recv(65_536)):
                return b""
            received += some
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65_536)
        return head + b"\r\n\r\n" + body


def answer(body: bytes = b"", *, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answers(*texts: str) -> Callable[[str, int], Sequence[str]]:
    """A resolver with one answer per look-up, the last one repeated; addresses are separated by spaces."""
    rest = list(texts)

    def resolver(_host: str, _port: int) -> Sequence[str]:
        return (rest.pop(0) if len(rest) > 1 else rest[0]).split()

    return resolver


@contextmanager
def client_for(
    *texts: str,
    allow: Sequence[str] = ("shop.example",),
    read: float = NEVER,
    verify: ssl.SSLContext | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[GuardedClient]:
    """A client whose resolver gives these answers, 127.0.0.1 unless told otherwise."""
    client = GuardedClient(
        allow_hosts=allow,
        resolver=answers(*(texts or ("127.0.0.1",))),
        read_timeout_seconds=read,
        verify=verify,
        monotonic=monotonic,
    )
    with closing(client):
        yield client


def download(
    client: GuardedClient, url: str, *, max_bytes: int = 1000, timeout: float = NEVER
) -> tuple[Downloaded, bytes]:
    into = io.BytesIO()
    return client.download(url, into, max_bytes=max_bytes, timeout_seconds=timeout), into.getvalue()


def failed_download(
    listener: Listener, expected: type[FetchError], *, max_bytes: int = 1000, timeout: float = NEVER
) -> FetchError:
    """The error of a download from this listener, whose text never repeats the query string."""
    url = f"http://shop.example:{listener.port}/a?token=canary"
    with client_for() as client, pytest.raises(expected) as caught:
        download(client, url, max_bytes=max_bytes, timeout=timeout)
    assert type(caught.value) is expected
    assert "canary" not in str(caught.value)
    return caught.value
