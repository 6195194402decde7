"""Whether a source can be rendered, judged from the beginning of its file: what the provider would refuse is told here.

Its limits come from the provider's document (400 to 4096 pixels a side; PNG, JPEG and WEBP); that the mask has the
image's size, and that print colours and films are no photos, is what every service of this kind asks for.
"""

from __future__ import annotations

from typing import Literal

from sceneshift.fetch_errors import (
    FetchBlockedError,
    FetchError,
    FetchStatusError,
    FetchTimeoutError,
    FetchTruncatedError,
)
from sceneshift.guarded_http import NotYet, Peek
from storage import file_kinds
from storage.image_headers import (
    DamagedHeaderError,
    ImageHeader,
    IncompleteHeaderError,
    RareVariantError,
    format_of,
    read_header,
    without_passed_segments,
)
from storage.source_errors import (
    MaskSizeError,
    MaskTurnedError,
    SourceAnimatedError,
    SourceBlockedError,
    SourceColourError,
    SourceDamagedError,
    SourceEmptyError,
    SourceEncodedError,
    SourceError,
    SourceForbiddenError,
    SourceFormatError,
    SourceNoAnswerError,
    SourceNotAnImageError,
    SourceNotFoundError,
    SourceRedirectError,
    SourceServerError,
    SourceSideTooLongError,
    SourceSideTooShortError,
    SourceStatusError,
    SourceTimeoutError,
    SourceTooLargeError,
    SourceTruncatedError,
)

Param = Literal["image", "mask"]

SIDE_MIN_PIXELS = 400
SIDE_MAX_PIXELS = 4096
HEAD_MAX_BYTES = 8 * 1024 * 1024
"""So much of a file is read in search of its size; only metadata without measure pushes it further back."""
KEPT_MAX_BYTES = 256 * 1024
"""When a header goes on behind so many bytes, a JPEG's are made fewer, and no other's are waited for any longer."""

_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress"})
"""All that HTTP knows; stores also hand out whatever an uploader wrote there, such as `base64` or `utf-8`."""
_REDIRECTS = range(300, 400)


def is_decided(head: bytes) -> bool | NotYet:
    """Whether these first bytes of a file are enough to judge it: more could not change the answer, or is not awaited.

    Of a JPEG with much metadata, those go on that the answer still depends on.
    """
    try:
        header = read_header(head)
    except IncompleteHeaderError:
        if len(head) < KEPT_MAX_BYTES:
            return False
        shorter = without_passed_segments(head)
        return NotYet(shorter) if len(shorter) < len(head) else True
    except (DamagedHeaderError, RareVariantError):
        return True
    return header is not None or len(head) >= file_kinds.LOOK_BYTES


def read_source(param: Param, peek: Peek, *, max_bytes: int) -> ImageHeader | None:
    """The header of a source that is fit by itself; None when its size stands too far back to be known.

    Raises:
        SourceError: it is not fit.
    """
    if peek.announced_bytes is not None and peek.announced_bytes > max_bytes:
        raise SourceTooLargeError(
            f"{param}: {peek.announced_bytes} bytes are more than the allowed {max_bytes}: give a smaller file, "
            "or raise SCENESHIFT_SOURCE_MAX_BYTES"
        )
    if not peek.body:
        raise SourceEmptyError(f"{param}: the answer has no bytes: upload the file again")
    header = _header(param, peek)
    if header is not None:
        _check_kind(param, header)
        _check_sides(param, header)
    return header


def _header(param: Param, peek: Peek) -> ImageHeader | None:
    try:
        header = read_header(peek.body)
    except IncompleteHeaderError as error:
        header = None
        if kind := format_of(peek.body):
            if not peek.is_whole:
                return error.known
            raise SourceDamagedError(
                f"{param}: the file ends in the header of this {kind}: upload it again, or save the image again"
            ) from None
    except DamagedHeaderError as error:
        raise SourceDamagedError(
            f"{param}: the {format_of(peek.body)} header is damaged ({error}): save the image again"
        ) from None
    except RareVariantError as error:
        raise SourceFormatError(f"{param}: this is {error}: save it as an ordinary JPEG, PNG or WEBP") from None
    if header is None:
        raise _foreign(param, peek.body, peek.content_encoding)
    return header


def _foreign(param: Param, head: bytes, content_encoding: str) -> SourceError:
    if not _COMPRESSIONS.isdisjoint(name.strip() for name in content_encoding.split(",")):
        return SourceEncodedError(
            f"{param}: the body has the content encoding {content_encoding[:20]!a}, which nobody asked for: "
            "serve the file as it is"
        )
    if kind := file_kinds.image_format(head):
        return SourceFormatError(f"{param}: this is {kind}; the provider takes PNG, JPEG and WEBP: convert it")
    return SourceNotAnImageError(
        f"{param}: the body looks like {file_kinds.description(head)}, not like a PNG, JPEG or WEBP image: "
        "correct the URL, or look at what its server answers"
    )


def _check_kind(param: Param, header: ImageHeader) -> None:
    if header.is_animated:
        raise SourceAnimatedError(f"{param}: this {header.format} is animated: give a still image")
    if header.is_cmyk:
        raise SourceColourError(
            f"{param}: this {header.format} has four colours for print (CMYK or YCCK): convert it to RGB"
        )


def _check_sides(param: Param, header: ImageHeader) -> None:
    found = f"{param}: {header.width} by {header.height} pixels"
    if max(header.width, header.height) > SIDE_MAX_PIXELS:
        raise SourceSideTooLongError(f"{found}; a side may have {SIDE_MAX_PIXELS} at the most: scale it down")
    if min(header.width, header.height) < SIDE_MIN_PIXELS:
        raise SourceSideTooShortError(
            f"{found}; each side must have {SIDE_MIN_PIXELS} at the least: give a larger image"
        )


def check_pair(image: ImageHeader | None, mask: ImageHeader | None) -> None:
    """The mask has the image's size, where both are known.

    Raises:
        SourceError: it has not.
    """
    if image is None or mask is None:
        return
    size = (image.width, image.height)
    if (mask.width, mask.height) == size:
        return
    found = f"mask: {mask.width} by {mask.height} pixels, and image has {image.width} by {image.height}"
    if image.is_turned_when_shown and (mask.height, mask.width) == size:
        raise MaskTurnedError(
            f"{found} as stored: viewers turn the photo, as its Exif orientation {image.orientation} asks, but its "
            "pixels are not turned: save the photo with turned pixels"
        )
    raise MaskSizeError(f"{found}: both must have one size")


def of_fetch_error(param: Param, error: FetchError) -> SourceError:
    """What a failed fetch of a source means."""
    if isinstance(error, FetchBlockedError):
        return SourceBlockedError(
            f"{param}: this URL, or one that it redirects to, is not allowed: its host is not a public one, or its "
            "port not an ordinary one; "
            "if you trust the host, name it in SCENESHIFT_ALLOW_HOSTS"
        )
    if isinstance(error, FetchStatusError):
        return _of_status(param, error)
    if isinstance(error, FetchTimeoutError):
        return SourceTimeoutError(f"{param}: {error.message}")
    if isinstance(error, FetchTruncatedError):
        return SourceTruncatedError(f"{param}: {error.message}")
    return SourceNoAnswerError(f"{param}: {error.message}")


_STATUSES: dict[int, tuple[type[SourceError], str]] = {
    **dict.fromkeys((404, 410), (SourceNotFoundError, "there is nothing at this URL: correct it")),
    **dict.fromkeys(
        (401, 403), (SourceForbiddenError, "the provider has no credentials either: make the URL public, or sign it")
    ),
    **dict.fromkeys(
        _REDIRECTS, (SourceRedirectError, "the provider may not follow redirects: give the URL that this one leads to")
    ),
}


def _of_status(param: Param, error: FetchStatusError) -> SourceError:
    if error.retryable:
        return SourceServerError(f"{param}: {error.message}", retry_after_seconds=error.retry_after_seconds)
    kind, remedy = _STATUSES.get(
        error.status, (SourceStatusError, "no image comes with it: look at what its server says")
    )
    return kind(f"{param}: {error.message}; {remedy}")
