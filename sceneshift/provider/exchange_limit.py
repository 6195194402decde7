"""An HTTP transport on which a whole exchange has an end, its headers included.

The HTTP library's own time-outs are for one silence each: who sends a byte now and then, or interim answers without
end, would hold a worker for ever.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from sceneshift.guarded_http.limits import ExchangeTime

SEND_BY = "sceneshift_send_by"
"""The request's extension that says until when, on the transport's clock, its bytes may be sent; None: at any time."""


class LimitedTransport(httpx.HTTPTransport):
    """Sends requests directly, without proxies and repetitions; each exchange takes so many seconds at the most.

    Looking up the name is the system's resolver's business, and takes as long as it takes. Whatever else is not done by
    then fails as the HTTP library's time-out of that step: nothing was sent before the connection, and nobody knows
    after it.

    `monotonic` tells seconds that go on while the machine is suspended, as `clock.elapsed` does.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        limits: httpx.Limits,
        exchange_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._exchange_seconds = exchange_seconds
        self._time = ExchangeTime(monotonic)
        self._sending = _SendingTime(monotonic)
        # The base class has no parameter for the network below its pool.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            retries=0,
            network_backend=_Backend(self._time, self._sending),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's headers have arrived; its body is read by this thread, in what is left of the time."""
        self._time.start(self._exchange_seconds)
        self._sending.start(request.extensions.get(SEND_BY))
        return super().handle_request(request)


class _SendingTime:
    """Until when this thread may send its request."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._thread = threading.local()

    def start(self, send_by: float | None) -> None:
        self._thread.send_by = send_by
        self._thread.has_sent = False

    def check(self) -> None:
        """The next bytes may be sent.

        Raises:
            httpcore.ConnectTimeout: it is too late, and nothing was sent.
            httpcore.WriteTimeout: it is too late, and a part was sent.
        """
        if self._thread.send_by is not None and self._monotonic() > self._thread.send_by:
            error = httpcore.WriteTimeout if self._thread.has_sent else httpcore.ConnectTimeout
            raise error("too late to be sent: the worker was asleep")
        self._thread.has_sent = True


@contextmanager
def _ending_as(error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise error("the exchange took too long") from None


class _Backend(httpcore.NetworkBackend):
    def __init__(self, remaining: ExchangeTime, sending: _SendingTime) -> None:
        self._backend = httpcore.SyncBackend()
        self._time = remaining
        self._sending = sending

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        with _ending_as(httpcore.ConnectTimeout):
            left = self._time.left(timeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._time, self._sending)


class _Stream(httpcore.NetworkStream):
    """A connection of which every step has what is left of the exchange."""

    def __init__(self, stream: httpcore.NetworkStream, remaining: ExchangeTime, sending: _SendingTime) -> None:
        self._stream = stream
        self._time = remaining
        self._sending = sending

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _ending_as(httpcore.ReadTimeout):
            left = self._time.left(timeout)
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._sending.check()
        with _ending_as(httpcore.WriteTimeout):
            left = self._time.left(timeout)
        self._stream.write(buffer, left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with _ending_as(httpcore.ConnectTimeout):
            left = self._time.left(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._time, self._sending)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
