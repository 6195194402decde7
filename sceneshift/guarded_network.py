"""Connections that lead to checked addresses only, and on which no step outlasts the exchange.

The network half of the guarded client: httpcore asks it for a connection to a host, and gets one to an address that was
looked up once and checked.
"""

from __future__ import annotations

import queue
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpcore

from sceneshift.address_rules import Address, denial_reason
from sceneshift.fetch_errors import FetchBlockedError, FetchFailedError, FetchTimeoutError

Resolver = Callable[[str, int], Sequence[str]]
"""Gives all addresses of a host name, as texts; raises OSError when there are none."""

ADDRESSES_TRIED = 4


def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses that the system's resolver knows for a name, in its order of preference.

    Raises:
        OSError: the name has no address, or no name server answered.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(socket_address[0]) for *_, socket_address in found))


@contextmanager
def _network_errors(host: str, doing: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise FetchTimeoutError(f"{host}: {doing} took too long") from error
    except OSError as error:
        raise FetchFailedError(f"{host}: {doing} failed ({error.strerror or type(error).__name__})") from error


class ExchangeTime:
    """What is left of the exchange that this thread has started."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._thread = threading.local()

    def start(self, seconds: float) -> None:
        self._thread.ends_at = self._monotonic() + seconds

    def left(self, at_most: float | None) -> float:
        """Seconds until the exchange must be over, bounded by the limit of one step.

        Raises:
            TimeoutError: it must be over by now.
        """
        left: float = self._thread.ends_at - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left if at_most is None else min(left, at_most)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, allowed: frozenset[str], resolver: Resolver, remaining: ExchangeTime) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._time = remaining

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore passes it; none is configured.
        socket_options: Any = None,  # noqa: ARG002 - the same.
    ) -> httpcore.NetworkStream:
        with _network_errors(host, "looking up the name"):
            addresses = self._checked_addresses(host, port, self._time.left(timeout))[:ADDRESSES_TRIED]
        for untried in range(len(addresses), 0, -1):
            try:
                with _network_errors(host, "connecting"):
                    patience_seconds = self._time.left(timeout) / untried
                    return _Stream(_connect(addresses[-untried], port, patience_seconds), host, self._time)
            except (FetchTimeoutError, FetchFailedError):
                if untried == 1:
                    raise
        raise FetchFailedError(f"{host}: the name has no address")

    def _checked_addresses(self, host: str, port: int, patience_seconds: float) -> list[Address]:
        """All addresses of the host; a single one that is not allowed refuses them all."""
        try:
            addresses = [ip_address(host)]
        except ValueError:
            addresses = [_read_address(host, text) for text in _ask(self._resolver, host, port, patience_seconds)]
        for address in addresses:
            if reason := denial_reason(address, local_allowed=host in self._allowed):
                raise FetchBlockedError(reason=f"{host} has the address {address}: {reason}")
        return addresses


def _read_address(host: str, text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise FetchBlockedError(reason=f"{host} resolves to {text!r}, which is not an address") from None


def _ask(resolver: Resolver, host: str, port: int, patience_seconds: float) -> Sequence[str]:
    """The resolver's answer, in time: the system's resolver has no time limit of its own, so it gets a thread.

    Raises:
        OSError: the resolver's own error, or `TimeoutError`.
    """
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that asked.
            answers.put(error)

    threading.Thread(target=ask, name="sceneshift-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=patience_seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _connect(address: Address, port: int, patience_seconds: float) -> socket.socket:
    connection = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)  # noqa: PLR2004 - IPv4
    try:
        connection.settimeout(patience_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


class _Stream(httpcore.NetworkStream):
    """A connection on which every single read and write is bounded by the exchange's remaining time."""

    def __init__(self, connection: socket.socket, host: str, remaining: ExchangeTime) -> None:
        self._connection = connection
        self._host = host
        self._time = remaining

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _network_errors(self._host, "reading"):
            self._connection.settimeout(self._time.left(timeout))
            return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        unsent = memoryview(buffer)
        with _network_errors(self._host, "sending"):
            while unsent:
                self._connection.settimeout(self._time.left(timeout))
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
            with _network_errors(self._host, "TLS"):
                self._connection.settimeout(self._time.left(timeout))
                secured = ssl_context.wrap_socket(
                    self._connection,
                    server_hostname=server_hostname,
                    # A connection that is cut must not look like the end of a body.
                    suppress_ragged_eofs=False,
                )
        except BaseException:
            self.close()
            raise
        return _Stream(secured, self._host, self._time)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks: whether TLS is on, and whether an idle connection was closed by the other side."""
        if info == "ssl_object":
            return self._connection if isinstance(self._connection, ssl.SSLSocket) else None
        if info == "is_readable":
            return _is_readable(self._connection)
        return None


def _is_readable(connection: socket.socket) -> bool:
    if connection.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))
