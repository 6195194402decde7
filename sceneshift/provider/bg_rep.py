"""The `bg-rep` API over HTTP. The only module here that knows the HTTP library, with the transport below it.

A submission is one request on a connection of its own: a kept-alive one that the other end closes at that very moment
would turn a harmless race into an unknown outcome, which somebody has to look at. Queries share kept-alive connections.
The provider's URL is an operator's setting, so the guard for URLs from outside does not apply.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

from sceneshift import __version__
from sceneshift.clock import elapsed
from sceneshift.errors import ConfigurationError
from sceneshift.provider.answer import Answer, read_answer
from sceneshift.provider.classification import is_about_nonce
from sceneshift.provider.exchange_limit import SEND_BY, LimitedTransport
from sceneshift.provider.outcomes import query_outcome, submit_outcome
from sceneshift.provider.protocol import (
    Endpoint,
    ErrorKind,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    QueryFailed,
    QueryOutcome,
    RenderItem,
    SubmitOutcome,
)
from sceneshift.provider.redaction import Redactor, clip
from sceneshift.provider.wire import query_body, submit_body
from sceneshift.settings import Settings

_CONNECTIONS_MAX = 100
_IDLE_CONNECTIONS_MAX = 20
_IDLE_SECONDS = 15.0
_BODY_BYTES_MAX = 1024 * 1024
# Raised before the request has a connection; every other failure may have followed the last byte.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class BgRepProvider:
    """A `Provider` over HTTP; safe to share between threads, not between forked processes.

    Args:
        base_url: the URL to which `/submit` and `/query` are appended.
        appcode: the credential, without the word APPCODE.
        connect_timeout_seconds: for DNS, connect and TLS, and for waiting until a connection is free.
        read_timeout_seconds: for silence, and again for the whole body after the headers. The whole exchange has twice
            the sum of both.
        new_nonce: a fresh unique string, for each attempt of a query.
        max_body_bytes: an answer that is longer counts as unreadable.
        transport: instead of the network.
        now: Unix seconds, to read a `Retry-After` date.
        monotonic: seconds, to measure how long a body and an exchange take, and whether it is too late to send.

    Raises:
        ConfigurationError: the URL or the AppCode cannot be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        appcode: str,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        new_nonce: Callable[[], str],
        max_body_bytes: int = _BODY_BYTES_MAX,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = elapsed,
    ) -> None:
        self._base_url = _checked_base_url(base_url)
        self._redact = Redactor(_checked_appcode(appcode))
        self._read_timeout_seconds = read_timeout_seconds
        self._new_nonce = new_nonce
        self._max_body_bytes = max_body_bytes
        self._now = now
        self._monotonic = monotonic
        timeout = httpx.Timeout(
            connect=connect_timeout_seconds,
            read=read_timeout_seconds,
            write=read_timeout_seconds,
            pool=connect_timeout_seconds,
        )
        exchange_seconds = 2 * (connect_timeout_seconds + read_timeout_seconds)
        transports = (
            _network_transports(exchange_seconds, monotonic)
            if transport is None
            else dict.fromkeys(Endpoint, transport)
        )
        self._clients = {endpoint: _client(appcode, timeout, transports[endpoint]) for endpoint in Endpoint}

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The provider that these settings name.

        Raises:
            ConfigurationError: the URL or the AppCode is missing or cannot be used.
        """
        if settings.provider_url is None:
            raise ConfigurationError(
                "SCENESHIFT_PROVIDER_URL is not set: give the provider's base URL, such as https://HOST/api/v1/bg-rep"
            )
        if settings.provider_appcode is None:
            raise ConfigurationError("SCENESHIFT_PROVIDER_APPCODE is not set: give the AppCode of your subscription")
        return cls(
            base_url=str(settings.provider_url),
            appcode=settings.provider_appcode.get_secret_value(),
            connect_timeout_seconds=settings.provider_connect_timeout_seconds,
            read_timeout_seconds=settings.provider_read_timeout_seconds,
            new_nonce=lambda: str(uuid.uuid4()),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Connections are closed; no further call is possible."""
        for client in self._clients.values():
            client.close()

    def request_body(self, item: RenderItem) -> bytes:
        """The exact bytes that `submit` sends for this item."""
        return submit_body(item)

    def submit(self, body: bytes, *, nonce: str, send_by: float | None = None) -> SubmitOutcome:
        """What became of this submission, after exactly one request with exactly these bytes and this nonce.

        After `send_by` (of the clock `monotonic`) nothing is sent any more.
        """
        answer = self._post(Endpoint.SUBMIT, body, nonce, send_by=send_by)
        return submit_outcome(answer) if isinstance(answer, Answer) else answer

    def query(self, result_key: str) -> QueryOutcome:
        """What became of an earlier submission. A nonce that somebody used before is replaced once."""
        answer = self.ask(result_key)
        if isinstance(answer, Answer):
            return query_outcome(answer, result_key)
        return QueryFailed(error=ProviderError(kind=ErrorKind.TRANSIENT, message=answer.reason))

    def ask(self, result_key: str) -> Answer | NotSent | OutcomeUnknown:
        """The answer to a query as it came, for who looks at the provider and not at a job.

        When it is about the nonce, the query is sent once more with another one.
        """
        answer = self._ask_once(result_key)
        if isinstance(answer, Answer) and is_about_nonce(answer):
            return self._ask_once(result_key)
        return answer

    def _ask_once(self, result_key: str) -> Answer | NotSent | OutcomeUnknown:
        return self._post(Endpoint.QUERY, query_body(result_key), self._new_nonce())

    def _post(
        self, endpoint: Endpoint, body: bytes, nonce: str, *, send_by: float | None = None
    ) -> Answer | NotSent | OutcomeUnknown:
        """The answer to one request, whole or not; where none came, whether the request can have arrived.

        Raises:
            RuntimeError: the provider is closed.
        """
        client = self._clients[endpoint]
        if client.is_closed:
            raise RuntimeError("the provider is closed")
        if send_by is not None and self._monotonic() > send_by:
            return NotSent(reason="too late to be sent: the worker was asleep")
        try:
            with client.stream(
                "POST",
                f"{self._base_url}/{endpoint}",
                content=body,
                headers={"X-Ca-Nonce": nonce},
                extensions={SEND_BY: send_by},
            ) as response:
                read, fault = self._read_body(response)
            return read_answer(
                response.status_code, response.headers, read, fault=fault, redact=self._redact, now=self._now()
            )
        except _NOT_SENT as error:
            return NotSent(reason=self._describe(error))
        except Exception as error:  # noqa: BLE001  # an odd header must not look like a request that was never made
            return OutcomeUnknown(reason=self._describe(error))

    def _read_body(self, response: httpx.Response) -> tuple[bytes, str | None]:
        """What arrived of the body, and why that is not all of it, if so."""
        read = bytearray()
        deadline = self._monotonic() + self._read_timeout_seconds
        try:
            for chunk in response.iter_bytes():
                read += chunk
                if len(read) > self._max_body_bytes:
                    return bytes(read[: self._max_body_bytes]), f"the body exceeds {self._max_body_bytes} bytes"
                if self._monotonic() > deadline:
                    return bytes(read), f"the body took longer than {self._read_timeout_seconds:g} s"
        except (httpx.HTTPError, OSError) as error:
            return bytes(read), f"the body broke off ({self._describe(error)})"
        return bytes(read), None

    def _describe(self, error: Exception) -> str:
        details = self._redact(str(error))
        return clip(f"{type(error).__name__}: {details}" if details else type(error).__name__)


def _checked_base_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            "SCENESHIFT_PROVIDER_URL must be an http(s) URL without user, query and fragment, "
            "such as https://HOST/api/v1/bg-rep"
        )
    return base_url.rstrip("/")


def _checked_appcode(appcode: str) -> str:
    if not appcode or not appcode.isascii() or not appcode.isprintable() or " " in appcode:
        raise ConfigurationError(
            "SCENESHIFT_PROVIDER_APPCODE must be the code alone: printable ASCII, no spaces, without the word APPCODE"
        )
    return appcode


def _network_transports(exchange_seconds: float, monotonic: Callable[[], float]) -> dict[Endpoint, httpx.BaseTransport]:
    # Loading the certificates is the dear part of a client: once, for both.
    tls = httpx.create_ssl_context(trust_env=False)

    def transport(*, idle_connections_max: int) -> httpx.BaseTransport:
        limits = httpx.Limits(
            max_connections=_CONNECTIONS_MAX,
            max_keepalive_connections=idle_connections_max,
            keepalive_expiry=_IDLE_SECONDS,
        )
        return LimitedTransport(tls=tls, limits=limits, exchange_seconds=exchange_seconds, monotonic=monotonic)

    return {
        Endpoint.SUBMIT: transport(idle_connections_max=0),
        Endpoint.QUERY: transport(idle_connections_max=_IDLE_CONNECTIONS_MAX),
    }


def _client(appcode: str, timeout: httpx.Timeout, transport: httpx.BaseTransport) -> httpx.Client:
    return httpx.Client(
        transport=transport,
        timeout=timeout,
        trust_env=False,
        follow_redirects=False,
        # No answer may change a later request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={
            "Authorization": f"APPCODE {appcode}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"sceneshift/{__version__}",
        },
    )
