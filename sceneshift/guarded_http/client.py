"""The client itself: what is asked for, with which headers and limits, and what is made of the answer."""

from __future__ import annotations

import hashlib
import logging
import re
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO

import certifi
import httpcore

from sceneshift import __version__
from sceneshift.fetch_errors import FetchBlockedError, FetchFailedError, FetchTooLargeError
from sceneshift.guarded_http.answers import (
    WITH_A_BODY,
    Answer,
    Downloaded,
    NotYet,
    Peek,
    announced_bytes,
    check_download,
    check_status,
    content_encoding,
    framed_bytes,
    headers_of,
)
from sceneshift.guarded_http.bodies import beginning_of, body_of, first_bytes_of
from sceneshift.guarded_http.limits import ExchangeLimits
from sceneshift.guarded_http.network import GuardedBackend, Resolver, resolve
from sceneshift.guarded_http.stream import GuardedStream
from sceneshift.redirects import REDIRECTS, redirect_target
from sceneshift.url_rules import canonical_hosts, read_url

log = logging.getLogger(__name__)

USER_AGENT = f"sceneshift/{__version__}"
IDLE_CONNECTIONS = 20
IDLE_SECONDS = 15.0

_ANYTHING = {"Accept": "*/*"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent"})


class GuardedClient:
    """Sends guarded requests from any number of threads; one per process, made after a fork."""

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] = (),
        resolver: Resolver = resolve,
        connect_timeout_seconds: float = 5.0,
        read_timeout_seconds: float = 15.0,
        verify: ssl.SSLContext | None = None,
        user_agent: str = USER_AGENT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = canonical_hosts(allow_hosts)
        self._headers = (("User-Agent", user_agent), ("Accept-Encoding", "identity"))
        self._monotonic = monotonic
        self._timeouts = {
            "connect": connect_timeout_seconds,
            "read": read_timeout_seconds,
            "write": read_timeout_seconds,
        }
        self._limits = ExchangeLimits(monotonic)
        backend = GuardedBackend(self._allowed, resolver, self._limits)
        authorities = verify or _public_authorities()
        self._pool = _connection_pool(backend, authorities, idle_connections=IDLE_CONNECTIONS)
        self._single_use = _connection_pool(backend, authorities, idle_connections=0)

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
        """The whole body of a 200 answer has been written. After an exception `into` may hold a part of it.

        Raises:
            FetchError: one of its kinds; none of them is raised for what `into` raises.
        """
        with self._exchange("GET", url, _ANYTHING, max_body_bytes=max_bytes, timeout_seconds=timeout_seconds) as (
            host,
            headers,
            response,
        ):
            check_download(host, response.status, headers, max_bytes)
            digest, size_bytes = hashlib.sha256(), 0
            for chunk in body_of(response, host):
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise FetchTooLargeError(f"{host}: the body has more than {max_bytes} bytes")
                digest.update(chunk)
                into.write(chunk)
        return Downloaded(
            size_bytes=size_bytes, sha256=digest.hexdigest(), content_type=headers.get("content-type") or None
        )

    def peek(
        self, url: str, *, max_bytes: int, timeout_seconds: float, is_enough: Callable[[bytes], bool | NotYet]
    ) -> Peek:
        """The beginning of an answer's body has been read, up to what `is_enough` wanted or to `max_bytes`.

        It is an ordinary GET, without a `Range`, so that it is answered as any other client's would be. It has a
        connection of its own, which is dropped: what is not read is not transferred, and a kept one that the server is
        just closing cannot look like a server without an answer. `is_enough` is asked about the bytes so far each time
        they have doubled, so that a body in many small pieces is not looked at once for each, and once more when no
        others come in time.

        Redirects are followed as `redirect_target` says, each hop through the guard; the time is that of all together.

        Raises:
            FetchError: one of its kinds, but never `FetchTooLargeError`.
        """
        ends_at, followed = self._monotonic() + timeout_seconds, 0
        while True:
            seconds = ends_at - self._monotonic()
            with self._exchange(
                "GET", url, _ANYTHING, max_body_bytes=max_bytes, timeout_seconds=seconds, pool=self._single_use
            ) as exchanged:
                host, headers, response = exchanged
                if response.status not in REDIRECTS:
                    check_status(host, response.status, headers, expected=WITH_A_BODY)
                    return _peeked(headers, *beginning_of(body_of(response, host), max_bytes, is_enough))
                url = redirect_target(url, host, response.status, headers, followed=followed)
                followed += 1

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        max_answer_bytes: int = 20_000,
    ) -> Answer:
        """The body has been sent once and a status came back, whichever it is.

        The status counts even when the answer's body stalls, breaks off, is too long or is encoded: the other side has
        decided by then, and its body is only for people to read.

        Raises:
            FetchError: no status came back.
            ValueError: a header is not for the caller to set, or has characters that could break the request apart.
        """
        started_at = self._monotonic()
        sent = _checked_headers(headers)
        with self._exchange(
            "POST", url, sent, max_body_bytes=max_answer_bytes, timeout_seconds=timeout_seconds, body=body
        ) as (host, received, response):
            return Answer(
                status=response.status,
                headers=received,
                body=first_bytes_of(response, host, max_answer_bytes),
                elapsed_seconds=self._monotonic() - started_at,
            )

    def close(self) -> None:
        """All idle connections are closed."""
        self._pool.close()
        self._single_use.close()

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        max_body_bytes: int,
        timeout_seconds: float,
        body: bytes | None = None,
        pool: httpcore.ConnectionPool | None = None,
    ) -> Iterator[tuple[str, dict[str, str], httpcore.Response]]:
        """The answer's status and headers have arrived; its body may be read inside the block."""
        with _refusals_in_the_log():
            accepted = read_url(url, allowed=self._allowed)
            self._limits.start(timeout_seconds)
            with (
                _protocol_errors(accepted.host),
                (pool or self._pool).stream(
                    method,
                    httpcore.URL(
                        scheme=accepted.scheme, host=accepted.host, port=accepted.port, target=accepted.target
                    ),
                    headers=[("Host", accepted.host_header), *self._headers, *headers.items()],
                    content=body,
                    extensions={"timeout": self._timeouts},
                ) as response,
            ):
                received = headers_of(response)
                self._limits.expect_body(max_body_bytes)
                stream: GuardedStream = response.extensions["network_stream"]
                stream.expect_body(framed_bytes(response.status, received))
                yield accepted.host, received, response


def _connection_pool(
    backend: GuardedBackend, authorities: ssl.SSLContext, *, idle_connections: int
) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=authorities,
        # A thread has one exchange at a time, so the threads are the limit.
        max_connections=None,
        max_keepalive_connections=idle_connections,
        keepalive_expiry=IDLE_SECONDS,
        http1=True,
        http2=False,
        retries=0,
        network_backend=backend,
    )


@cache
def _public_authorities() -> ssl.SSLContext:
    """Trusts what certifi and the system trust, so that an internal authority is added in the usual place."""
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    return context


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _OUR_HEADERS or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the request header {name!r} is reserved, or it is not plain printable ASCII")
    return dict(headers)


def _peeked(headers: Mapping[str, str], body: bytes, is_whole: bool) -> Peek:
    return Peek(
        body=body,
        is_whole=is_whole,
        announced_bytes=announced_bytes(headers),
        content_encoding=content_encoding(headers),
    )


@contextmanager
def _refusals_in_the_log() -> Iterator[None]:
    """Why a request was refused is told to the operator alone."""
    try:
        yield
    except FetchBlockedError as error:
        log.warning("request.blocked", extra={"reason": error.reason})
        raise


@contextmanager
def _protocol_errors(host: str) -> Iterator[None]:
    try:
        yield
    except (httpcore.ProtocolError, httpcore.NetworkError) as error:
        raise FetchFailedError(f"{host}: the answer is not HTTP/1.1 ({type(error).__name__})") from error
