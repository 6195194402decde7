"""Why a request to a URL from outside had no usable answer, as one tree with stable codes; standard library only.

FetchError
├── FetchBlockedError    the URL, or an address behind it, is not allowed
├── FetchStatusError     a download was not answered with 200
├── FetchTooLargeError   more bytes than allowed
├── FetchTruncatedError  fewer bytes than announced
├── FetchTimeoutError    too slow
└── FetchFailedError     no answer that HTTP/1.1 allows
"""

from __future__ import annotations

from sceneshift.errors import SceneshiftError

_RETRYABLE_STATUSES = frozenset({408, 425, 429})
_SERVER_ERROR = 500


class FetchError(SceneshiftError):
    """Raised when a request to a URL from outside has no usable answer; texts hold no query and no credentials."""

    code = "fetch_error"


class FetchBlockedError(FetchError):
    """Raised when a URL, or the address that it leads to, is not allowed.

    Its text is the same for every cause, so that whoever chose the URL learns nothing about the network behind it.

    Attributes:
        reason: the cause, for our own log.
    """

    code = "blocked"

    def __init__(self, message: str = "This URL is not allowed.", *, reason: str = "", **about: str | None) -> None:
        super().__init__(message, **about)
        self.reason = reason


class FetchStatusError(FetchError):
    """Raised when a download is answered with anything but 200; 408, 425, 429 and 5xx are retryable.

    Attributes:
        status: the HTTP status.
        retry_after_seconds: what the other side asked for, unbounded; None when it asked for nothing readable.
    """

    code = "http_status"

    def __init__(
        self, message: str, *, status: int = 0, retry_after_seconds: float | None = None, **about: str | None
    ) -> None:
        super().__init__(message, **about)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @property
    def retryable(self) -> bool:  # type: ignore[override]  # The tree declares it per class; here it depends on the status.
        """The same request may succeed later."""
        return self.status in _RETRYABLE_STATUSES or self.status >= _SERVER_ERROR


class FetchTooLargeError(FetchError):
    """Raised when a body has, or announces, more bytes than allowed."""

    code = "too_large"


class FetchTruncatedError(FetchError):
    """Raised when a body ended before its announced end."""

    code = "truncated"
    retryable = True


class FetchTimeoutError(FetchError):
    """Raised when looking up, connecting, one read, or the whole exchange took too long."""

    code = "fetch_timeout"
    retryable = True


class FetchFailedError(FetchError):
    """Raised when there was no answer, or none that HTTP/1.1 allows: DNS, connection, TLS, protocol, encoded body."""

    code = "fetch_failed"
    retryable = True
