"""One connection, on which no step outlasts the exchange and no answer can be mixed up with the one before it.

httpcore keeps a connection when an answer is complete. What a server sent behind that answer would then be read as the
beginning of the next one. So the parser is handed no byte beyond a head before the head is understood, and no byte
beyond the announced length of the body; a connection on which more came, or whose answer had no announced length, is
not used again.
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

from sceneshift.fetch_errors import FetchFailedError, FetchTimeoutError
from sceneshift.guarded_http.limits import ExchangeLimits

# The end of a head, as h11 sees it.
_BLANK_LINE = re.compile(rb"\n\r?\n")
_BLANK_LINE_MAX_BYTES = 3


@contextmanager
def network_errors(host: str, doing: str) -> Iterator[None]:
    """Errors of the operating system leave as errors of the fetch, which name the host and what was being done."""
    try:
        yield
    except TimeoutError as error:
        raise FetchTimeoutError(f"{host}: {doing} took too long") from error
    except OSError as error:
        raise FetchFailedError(f"{host}: {doing} failed ({error.strerror or type(error).__name__})") from error


class GuardedStream(httpcore.NetworkStream):
    """A connection on which every single read and write is bounded by what is left of the exchange."""

    def __init__(self, connection: socket.socket, host: str, limits: ExchangeLimits) -> None:
        self._connection = connection
        self._host = host
        self._limits = limits
        self._head_end = b""
        self._surplus = b""
        self._reading_head = True
        self._body_left_bytes: int | None = None

    def expect_body(self, size_bytes: int | None) -> None:
        """The head is in, and a body of so many bytes follows; None when its length was not announced."""
        self._reading_head = False
        self._body_left_bytes = size_bytes

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with network_errors(self._host, "reading"):
            received, self._surplus = self._surplus or self._receive(max_bytes, timeout), b""
        end = self._head_bytes(received) if self._reading_head else self._body_bytes(received)
        self._surplus = received[end:]
        return received[:end]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._reading_head, self._head_end, self._body_left_bytes = True, b"", None
        unsent = memoryview(buffer)
        with network_errors(self._host, "sending"):
            while unsent:
                self._connection.settimeout(self._limits.left(timeout))
                try:
                    unsent = unsent[self._connection.send(unsent) :]
                except (BrokenPipeError, ConnectionResetError) as error:
                    # httpcore then reads the answer that a server may have sent before it hung up.
                    raise httpcore.WriteError from error

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            with network_errors(self._host, "TLS"):
                self._connection.settimeout(self._limits.left(timeout))
                secured = ssl_context.wrap_socket(
                    self._connection,
                    server_hostname=server_hostname,
                    # A connection that is cut must not look like the end of a body.
                    suppress_ragged_eofs=False,
                )
        except BaseException:
            self.close()
            raise
        return GuardedStream(secured, self._host, self._limits)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: whether TLS is on, and whether an idle connection is of no more use."""
        if info == "ssl_object":
            return self._connection if isinstance(self._connection, ssl.SSLSocket) else None
        if info == "is_readable":
            return bool(self._surplus) or self._body_left_bytes != 0 or _is_readable(self._connection)
        return None

    def _receive(self, max_bytes: int, timeout: float | None) -> bytes:
        self._connection.settimeout(self._limits.left(timeout))
        received = self._connection.recv(max_bytes)
        self._limits.received(len(received))
        return received

    def _head_bytes(self, received: bytes) -> int:
        """How many of these bytes belong to the head that is being read."""
        blank_line = _BLANK_LINE.search(self._head_end + received)
        if blank_line is None:
            self._head_end = (self._head_end + received)[-_BLANK_LINE_MAX_BYTES + 1 :]
            return len(received)
        before, self._head_end = len(self._head_end), b""
        return blank_line.end() - before

    def _body_bytes(self, received: bytes) -> int:
        if self._body_left_bytes is None:
            return len(received)
        taken = min(len(received), self._body_left_bytes)
        self._body_left_bytes -= taken
        return taken


def _is_readable(connection: socket.socket) -> bool:
    if connection.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))
