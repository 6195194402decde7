"""One HTTP answer as a value: what classification needs of it, without the HTTP library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from sceneshift.provider.protocol import ErrorKind, ProviderError
from sceneshift.provider.redaction import Redact, clip
from sceneshift.provider.wire import Envelope, parse_envelope

_RETRY_AFTER_SECONDS_MAX = 3600.0
_IDENTIFIER_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `envelope` is None when the body is not the provider's JSON or did not arrive whole.

    Gateway texts are redacted, and empty when the header is absent. `fault` says why the body is incomplete.
    """

    http_status: int
    gateway_code: str = ""
    gateway_message: str = ""
    gateway_request_id: str = ""
    retry_after_seconds: float | None = None
    envelope: Envelope | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    fault: str | None = None
    redact: Redact = field(repr=False)

    @property
    def is_2xx(self) -> bool:
        """The HTTP layer says that the call went well; the envelope may say otherwise."""
        return HTTPStatus.OK <= self.http_status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_4xx(self) -> bool:
        """The HTTP layer says that the request was at fault."""
        return HTTPStatus.BAD_REQUEST <= self.http_status < HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def request_id(self) -> str | None:
        """The id of this call for the provider's support."""
        written = (self.envelope.request_id if self.envelope else "") or self.gateway_request_id
        return self.identifier(written) or None

    def identifier(self, text: str) -> str:
        """A word of the provider, safe to keep."""
        return clip(self.redact(text), _IDENTIFIER_LENGTH)

    def excerpt(self) -> str:
        """The beginning of the body, safe to keep."""
        return clip(self.redact(self.body.decode("utf-8", errors="replace")))

    def error(self, kind: ErrorKind, message: str = "") -> ProviderError:
        """This answer as an error. Without a message: the gateway's, else the provider's, else what the body says."""
        envelope_message = self.envelope.message if self.envelope else ""
        written = self.redact(message or self.gateway_message) or self.redact(envelope_message) or self.excerpt()
        code = self.gateway_code or (self.envelope.code if self.envelope else None)
        return ProviderError(
            kind=kind,
            message=clip(written or f"HTTP {self.http_status} without a message"),
            http_status=self.http_status,
            code=self.identifier(code) if code else None,
            request_id=self.request_id,
            retry_after_seconds=self.retry_after_seconds,
        )


def read_answer(
    http_status: int, headers: Mapping[str, str], body: bytes, *, fault: str | None, redact: Redact, now: float
) -> Answer:
    """The answer that these parts make. `headers` finds names in any case; `now` is in Unix seconds."""
    return Answer(
        http_status=http_status,
        gateway_code=redact(headers.get("x-ca-error-code", "")),
        gateway_message=redact(headers.get("x-ca-error-message", "")),
        gateway_request_id=redact(headers.get("x-ca-request-id", "")),
        retry_after_seconds=retry_after_seconds(headers.get("retry-after", ""), now=now),
        envelope=None if fault else parse_envelope(body),
        body=body,
        fault=fault,
        redact=redact,
    )


def retry_after_seconds(value: str, *, now: float) -> float | None:
    """The wait that a `Retry-After` header asks for, within 0 to 3600 s; None when it is absent or unreadable."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _RETRY_AFTER_SECONDS_MAX) if math.isfinite(seconds) else None
