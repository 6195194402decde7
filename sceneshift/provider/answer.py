"""One HTTP answer as a value: what classification needs of it, without the HTTP library."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from sceneshift.provider.documented import SUCCESS_CODES, kinds_of_code
from sceneshift.provider.protocol import Endpoint, ErrorKind, NotedAnswer, ProviderError
from sceneshift.provider.redaction import Redactor, clip
from sceneshift.provider.wire import Envelope, parse_envelope

KEPT_ANSWER_MAX_BYTES = {Endpoint.SUBMIT: 65_536, Endpoint.QUERY: 2_048}
"""So much of an answer that could not be read is kept: all that may hold a paid key, and the look of the others."""

NOTED_MESSAGE_LENGTH = 120

_RETRY_AFTER_SECONDS_MAX = 3600.0
_IDENTIFIER_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `envelope` is None when the body is not the provider's JSON or did not arrive whole.

    Gateway texts are redacted, and empty when the header is absent. `fault` says why the body is incomplete.
    `date` is the other end's clock in Unix seconds, when it says.
    """

    http_status: int
    gateway_code: str = ""
    gateway_message: str = ""
    gateway_request_id: str = ""
    retry_after_seconds: float | None = None
    date: float | None = None
    envelope: Envelope | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    fault: str | None = None
    redact: Redactor = field(repr=False)

    @property
    def is_2xx(self) -> bool:
        """The HTTP layer says that the call went well; the envelope may say otherwise."""
        return HTTPStatus.OK <= self.http_status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_4xx(self) -> bool:
        """The HTTP layer says that the request was at fault."""
        return HTTPStatus.BAD_REQUEST <= self.http_status < HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def claims_success(self) -> bool:
        """The body speaks of a success, or of a submission: no error beside it is the whole truth."""
        if self.envelope is None:
            return False
        code = self.envelope.code or ""
        # In one reading, a success's code is that of a documented error too.
        says_success = code in SUCCESS_CODES and not kinds_of_code(self.http_status, code)
        return self.envelope.success is True or says_success or self.envelope.speaks_of_submission

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
        return clip(self.redact(self._text()))

    def kept_text(self, endpoint: Endpoint) -> str:
        """The body as a text with its line breaks, as much of it as is kept of this call's answers, safe to keep."""
        return self.redact.lines(self._text(), max_bytes=KEPT_ANSWER_MAX_BYTES[endpoint])

    def _text(self) -> str:
        return self.body.decode(json.detect_encoding(self.body), errors="replace")

    def error(self, kind: ErrorKind, message: str = "", *, is_guess: bool = False) -> ProviderError:
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
            is_guess=is_guess,
        )

    def noted(self, endpoint: Endpoint, message: str = "") -> NotedAnswer:
        """This answer as something to be counted. Code and message are of one speaker: gateway or provider."""
        code, spoken = self.gateway_code, self.gateway_message
        if self.envelope and not code and (self.envelope.code or not spoken):
            code, spoken = self.envelope.code or "", self.envelope.message
        return NotedAnswer(
            endpoint=endpoint,
            http_status=self.http_status,
            code=self.identifier(code),
            message=clip(self.redact(message or spoken or self._speechless()), NOTED_MESSAGE_LENGTH),
        )

    def _speechless(self) -> str:
        if self.fault:
            return "(the body did not arrive whole)"
        return "(not the provider's JSON)" if self.is_2xx and self.envelope is None else ""


def read_answer(
    http_status: int, headers: Mapping[str, str], body: bytes, *, fault: str | None, redact: Redactor, now: float
) -> Answer:
    """The answer that these parts make. `headers` finds names in any case; `now` is in Unix seconds."""
    return Answer(
        http_status=http_status,
        gateway_code=redact(headers.get("x-ca-error-code", "")),
        gateway_message=redact(headers.get("x-ca-error-message", "")),
        gateway_request_id=redact(headers.get("x-ca-request-id", "")),
        retry_after_seconds=retry_after_seconds(headers.get("retry-after", ""), now=now),
        date=_moment(headers.get("date", "")),
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
        moment = _moment(value)
        if moment is None:
            return None
        seconds = moment - now
    return min(max(seconds, 0.0), _RETRY_AFTER_SECONDS_MAX) if math.isfinite(seconds) else None


def _moment(value: str) -> float | None:
    """An HTTP date in Unix seconds; None when it is absent or unreadable."""
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
