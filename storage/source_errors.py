"""Why a source, the `image` or the `mask` of an order, is not sent to the provider: one tree with stable codes.

SourceError
├── SourceNotFoundError         404, 410
├── SourceForbiddenError        401, 403
├── SourceStatusError           another status that has no image
├── SourceRedirectError         3xx that leads nowhere
├── SourceBlockedError          a URL, or an address behind it, that no request may reach
├── SourceNoAnswerError         DNS, connection, TLS, protocol
├── SourceTimeoutError          too slow
├── SourceServerError           5xx, 408, 425, 429
├── SourceTruncatedError        fewer bytes than announced
├── SourceEmptyError            no bytes at all
├── SourceTooLargeError         more bytes announced than allowed
├── SourceEncodedError          compressed
├── SourceNotAnImageError       a page, JSON, text
├── SourceFormatError           an image, but neither PNG, JPEG nor WEBP
├── SourceDamagedError          the header is broken
├── SourceSideTooShortError     a side is too short
├── SourceSideTooLongError      a side is too long
├── SourceColourError           CMYK or YCCK
├── SourceAnimatedError         an animation
├── MaskSizeError               the mask has another size than the image
└── MaskTurnedError             the mask has the size that the image has only when it is shown

Each text names the field, what was found, the limit and a remedy, and holds no part of the URL but its host.
"""

from __future__ import annotations

from sceneshift.errors import SceneshiftError


class SourceError(SceneshiftError):
    """Raised when a source is not one that the provider could render; the retryable ones may pass by themselves.

    Attributes:
        retry_after_seconds: what the source's server asked for, unbounded; None when it asked for nothing.
    """

    code = "source_error"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **about: str | None) -> None:
        super().__init__(message, **about)
        self.retry_after_seconds = retry_after_seconds


class SourceNotFoundError(SourceError):
    """Raised when there is nothing at the URL."""

    code = "source_not_found"


class SourceForbiddenError(SourceError):
    """Raised when the URL asks for credentials, or refuses without them."""

    code = "source_forbidden"


class SourceStatusError(SourceError):
    """Raised when the answer has a status that no waiting will change."""

    code = "source_status"


class SourceRedirectError(SourceError):
    """Raised when the URL redirects too often, from https to http, or without saying where to."""

    code = "source_redirect"


class SourceBlockedError(SourceError):
    """Raised when the URL, or one that it redirects to, is not one that a request may be sent to."""

    code = "source_blocked"


class SourceNoAnswerError(SourceError):
    """Raised when no HTTP answer came."""

    code = "source_no_answer"
    retryable = True


class SourceTimeoutError(SourceError):
    """Raised when the answer, or enough of it, took too long."""

    code = "source_timeout"
    retryable = True


class SourceServerError(SourceError):
    """Raised when the server has a problem of its own, or asks for patience."""

    code = "source_server_error"
    retryable = True


class SourceTruncatedError(SourceError):
    """Raised when the body ended before its announced end."""

    code = "source_truncated"
    retryable = True


class SourceEmptyError(SourceError):
    """Raised when the answer has no body."""

    code = "source_empty"


class SourceTooLargeError(SourceError):
    """Raised when more bytes are announced than allowed."""

    code = "source_too_large"


class SourceEncodedError(SourceError):
    """Raised when the body is compressed although nobody asked for that."""

    code = "source_encoded"


class SourceNotAnImageError(SourceError):
    """Raised when the body is no image at all."""

    code = "source_not_an_image"


class SourceFormatError(SourceError):
    """Raised when it is an image in a format, or a variant of one, that the provider does not take."""

    code = "source_format"


class SourceDamagedError(SourceError):
    """Raised when it begins like an image and its header is broken."""

    code = "source_damaged"


class SourceSideTooShortError(SourceError):
    """Raised when a side has fewer pixels than the provider takes."""

    code = "source_side_too_short"


class SourceSideTooLongError(SourceError):
    """Raised when a side has more pixels than the provider takes."""

    code = "source_side_too_long"


class SourceColourError(SourceError):
    """Raised when the colours are made for print."""

    code = "source_colour"


class SourceAnimatedError(SourceError):
    """Raised when it is an animation."""

    code = "source_animated"


class MaskSizeError(SourceError):
    """Raised when the mask has another size than the image."""

    code = "source_mask_size"


class MaskTurnedError(SourceError):
    """Raised when the mask fits the image only after the quarter turn that the image's Exif data asks for."""

    code = "source_mask_turned"
