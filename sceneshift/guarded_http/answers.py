"""What comes of a guarded request, and what an answer's status and headers say about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpcore

from sceneshift.fetch_errors import FetchFailedError, FetchStatusError, FetchTooLargeError

_OK = 200
WITH_A_BODY = frozenset({_OK, 203, 206})
"""Statuses whose body may be what was asked for."""

WITHOUT_A_BODY = frozenset({204, 304})
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


def headers_of(response: httpcore.Response) -> dict[str, str]:
    """The answer's headers by lower-case name; one that came several times has all its values, with commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def content_encoding(headers: Mapping[str, str]) -> str:
    """The declared encoding in lower case; empty when none is declared."""
    return headers.get("content-encoding", "").strip().lower()


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Whether the body is declared to be anything but what it is."""
    return content_encoding(headers) not in {"", "identity"}


def announced_bytes(headers: Mapping[str, str]) -> int | None:
    """The body's length by `Content-Length`."""
    announced = headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else None


def framed_bytes(status: int, headers: Mapping[str, str]) -> int | None:
    """How many bytes follow the head on the wire; None when only the body itself can tell."""
    if status in WITHOUT_A_BODY:
        return 0
    return None if "transfer-encoding" in headers else announced_bytes(headers)


def check_status(
    host: str, status: int, headers: Mapping[str, str], *, expected: Collection[int] = frozenset({_OK})
) -> None:
    """The status is an expected one.

    Raises:
        FetchStatusError: it is not.
    """
    if status not in expected:
        error = FetchStatusError(f"{host} answered with status {status}", status=status)
        if error.retryable:
            error.retry_after_seconds = retry_after_seconds(headers)
        raise error


def check_download(host: str, status: int, headers: Mapping[str, str], max_bytes: int) -> None:
    """The answer promises a body that may be downloaded.

    Raises:
        FetchError: it does not: by its status, by an encoding, or by its length.
    """
    check_status(host, status, headers)
    if is_encoded(headers):
        raise FetchFailedError(f"{host}: the body is encoded although we asked for it as it is")
    announced = announced_bytes(headers)
    if announced is not None and announced > max_bytes:
        raise FetchTooLargeError(f"{host}: the body announces {announced} bytes, more than {max_bytes}")
