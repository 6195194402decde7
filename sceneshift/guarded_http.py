"""The one HTTP client for URLs that came from outside: webhook endpoints, result images, source images.

Each name is looked up once, every address of the answer is checked, and the connection goes to a checked one, so that
no second look-up can give another answer. TLS still verifies the name. Nothing is decoded or remembered: no cookies,
proxies or content encodings; bytes and total time are bounded whatever the other side does. A redirect is followed only
by `peek`, which gives nothing away and keeps nothing, and each hop is a guarded request of its own.

It stands on httpcore, the layer under httpx, whose network backend is the public place for such checks. And since URLs
are read by `url_rules` alone, no second parser can see another host in them.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import BinaryIO

import certifi
import httpcore

from sceneshift import __version__
from sceneshift.fetch_errors import (
    FetchBlockedError,
    FetchError,
    FetchFailedError,
    FetchStatusError,
    FetchTimeoutError,
    FetchTooLargeError,
    FetchTruncatedError,
)
from sceneshift.guarded_network import ExchangeTime, GuardedBackend, Resolver, resolve
from sceneshift.redirects import REDIRECTS, redirect_target
from sceneshift.url_rules import AcceptedUrl, canonical_hosts, check_url, read_url

__all__ = [
    "Answer",
    "Downloaded",
    "FetchBlockedError",
    "FetchError",
    "FetchFailedError",
    "FetchStatusError",
    "FetchTimeoutError",
    "FetchTooLargeError",
    "FetchTruncatedError",
    "GuardedClient",
    "NotYet",
    "Peek",
    "Resolver",
    "check_url",
    "resolve",
    "retry_after_seconds",
]

USER_AGENT = f"sceneshift/{__version__}"
IDLE_CONNECTIONS = 20
IDLE_SECONDS = 15.0

_OK = 200
_WITH_A_BODY = frozenset({_OK, 203, 206})
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent"})
_SECONDS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """What was written; `content_type` is what the server declared, and is not to be trusted."""

    size_bytes: int
    sha256: str
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer of any status, with lower-case header names and at most the first bytes of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peek:
    """The first bytes of an answer's body, as they were sent, and what its headers declare.

    Attributes:
        body: without what the reader let go.
        is_whole: the body is known to have ended with these bytes.
        announced_bytes: the length of the whole body by `Content-Length`; None when none was announced.
        content_encoding: in lower case, and empty when the header is missing. Nothing was decoded.
    """

    body: bytes
    is_whole: bool
    announced_bytes: int | None
    content_encoding: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """There is not enough yet, and these bytes are to be kept in place of those so far, which they are fewer than."""

    body: bytes

    def __bool__(self) -> bool:
        return False


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The pause that a `Retry-After` header asks for, never negative; None when it is missing or unreadable.

    A date counts from the answer's own `Date`, so that the two clocks need not agree.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        pause = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, pause.total_seconds())


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
        self._time = ExchangeTime(monotonic)
        backend = GuardedBackend(self._allowed, resolver, self._time)
        authorities = verify or _public_authorities()
        self._pool = _connection_pool(backend, authorities, idle_connections=IDLE_CONNECTIONS)
        self._single_use = _connection_pool(backend, authorities, idle_connections=0)

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
        """The whole body of a 200 answer has been written. After an exception `into` may hold a part of it.

        Raises:
            FetchError: one of its kinds; none of them is raised for what `into` raises.
        """
        with self._exchange("GET", url, {"Accept": "*/*"}, None, timeout_seconds) as (accepted, response):
            headers = _headers(response)
            _check_download(accepted.host, response.status, headers, max_bytes)
            digest, size_bytes = hashlib.sha256(), 0
            for chunk in _body(response, accepted.host):
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise FetchTooLargeError(f"{accepted.host}: the body has more than {max_bytes} bytes")
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
            with self._exchange("GET", url, {"Accept": "*/*"}, None, seconds, pool=self._single_use) as (
                accepted,
                response,
            ):
                headers = _headers(response)
                if response.status not in REDIRECTS:
                    _check_status(accepted.host, response.status, headers, expected=_WITH_A_BODY)
                    return _peeked(headers, *_beginning(_body(response, accepted.host), max_bytes, is_enough))
                url = redirect_target(url, accepted.host, response.status, headers, followed=followed)
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
        with self._exchange("POST", url, _checked_headers(headers), body, timeout_seconds) as (accepted, response):
            return Answer(
                status=response.status,
                headers=_headers(response),
                body=_first_bytes(response, accepted.host, max_answer_bytes),
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
        body: bytes | None,
        timeout_seconds: float,
        *,
        pool: httpcore.ConnectionPool | None = None,
    ) -> Iterator[tuple[AcceptedUrl, httpcore.Response]]:
        """The answer's status and headers have arrived; its body may be read inside the block."""
        accepted = read_url(url, allowed=self._allowed)
        self._time.start(timeout_seconds)
        with (
            _protocol_errors(accepted.host),
            (pool or self._pool).stream(
                method,
                httpcore.URL(scheme=accepted.scheme, host=accepted.host, port=accepted.port, target=accepted.target),
                headers=[("Host", accepted.host_header), *self._headers, *headers.items()],
                content=body,
                extensions={"timeout": self._timeouts},
            ) as response,
        ):
            yield accepted, response


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


def _headers(response: httpcore.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "").strip().lower() not in {"", "identity"}


def _announced_bytes(headers: Mapping[str, str]) -> int | None:
    announced = headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else None


def _check_status(host: str, status: int, headers: Mapping[str, str], *, expected: Collection[int] = (_OK,)) -> None:
    if status not in expected:
        error = FetchStatusError(f"{host} answered with status {status}", status=status)
        if error.retryable:
            error.retry_after_seconds = retry_after_seconds(headers)
        raise error


def _check_download(host: str, status: int, headers: Mapping[str, str], max_bytes: int) -> None:
    _check_status(host, status, headers)
    if _is_encoded(headers):
        raise FetchFailedError(f"{host}: the body is encoded although we asked for it as it is")
    announced = _announced_bytes(headers)
    if announced is not None and announced > max_bytes:
        raise FetchTooLargeError(f"{host}: the body announces {announced} bytes, more than {max_bytes}")


def _body(response: httpcore.Response, host: str) -> Iterator[bytes]:
    """The body's bytes; whatever breaks the connection from here on has truncated it."""
    try:
        yield from response.iter_stream()
    except (httpcore.ProtocolError, FetchFailedError) as error:
        raise FetchTruncatedError(f"{host}: the body ended early") from error


def _beginning(
    chunks: Iterator[bytes], max_bytes: int, is_enough: Callable[[bytes], bool | NotYet]
) -> tuple[bytes, bool]:
    """What is kept of the first bytes of the chunks, and whether there were no more."""
    kept, read_bytes, asked_at_bytes = bytearray(), 0, 0
    try:
        for chunk in chunks:
            kept += chunk
            read_bytes += len(chunk)
            if read_bytes >= max_bytes:
                return bytes(kept[: len(kept) - (read_bytes - max_bytes)]), False
            if len(kept) >= 2 * asked_at_bytes:
                verdict = is_enough(bytes(kept))
                if verdict:
                    return bytes(kept), False
                if isinstance(verdict, NotYet):
                    kept = bytearray(verdict.body)
                asked_at_bytes = len(kept)
    except FetchTimeoutError:
        if not is_enough(bytes(kept)):
            raise
        return bytes(kept), False
    return bytes(kept), True


def _peeked(headers: Mapping[str, str], body: bytes, is_whole: bool) -> Peek:
    return Peek(
        body=body,
        is_whole=is_whole,
        announced_bytes=_announced_bytes(headers),
        content_encoding=headers.get("content-encoding", "").strip().lower(),
    )


def _first_bytes(response: httpcore.Response, host: str, max_bytes: int) -> bytes:
    """At most this many bytes of a readable body, as far as they came."""
    received = bytearray()
    if _is_encoded(_headers(response)):
        return b""
    try:
        for chunk in _body(response, host):
            received += chunk
            if len(received) >= max_bytes:
                break
    except (FetchTruncatedError, FetchTimeoutError):
        pass
    return bytes(received[:max_bytes])


@contextmanager
def _protocol_errors(host: str) -> Iterator[None]:
    try:
        yield
    except (httpcore.ProtocolError, httpcore.NetworkError) as error:
        raise FetchFailedError(f"{host}: the answer is not HTTP/1.1 ({type(error).__name__})") from error
