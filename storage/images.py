"""What an image really is, found out by decoding it: neither its name nor its declared type is asked.

A result comes from a foreign server. It is believed to be an image when its first bytes say PNG, JPEG or WEBP, its size
is within the limit before anything is decoded, it has one frame, every pixel of it decodes, and a PNG is whole by its
own checksums and rows.

Decoders are large programs in C that eat what strangers send: a worker lets them run in a process of their own
(`storage/decoding.py`), which calls this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from sceneshift.errors import SceneshiftError
from storage.image_headers import DamagedHeaderError, IncompleteHeaderError, RareVariantError, format_of, read_header
from storage.png_structure import DamagedPngError, check_chunks, check_rows

if TYPE_CHECKING:
    from PIL.Image import Image

_HEADER_BYTES = 64
"""The canvas of a WEBP file stands within the first thirty."""
_OTHER_FORMATS = (b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0", b"%PDF", b"%!PS", b"8BPS", b"\0\0\0\x0cjP  ")


class ImageRejectedError(SceneshiftError):
    """Raised when these bytes are not an image that may be stored; `code` says why.

    The retryable ones can be accidents of a transfer, or a page of some server in between: fetching again may help.
    """

    code = "image_rejected"


class NotAnImageError(ImageRejectedError):
    """Raised when the first bytes are those of no image at all, such as a page that says what went wrong."""

    code = "not_an_image"
    retryable = True


class TruncatedImageError(ImageRejectedError):
    """Raised when it begins like an image but does not decode to its end."""

    code = "truncated_image"
    retryable = True


class FormatNotAllowedError(ImageRejectedError):
    """Raised when it is an image, but neither PNG, JPEG nor WEBP."""

    code = "format_not_allowed"


class TooManyPixelsError(ImageRejectedError):
    """Raised, before decoding, when width times height is over the limit."""

    code = "too_many_pixels"


class AnimatedImageError(ImageRejectedError):
    """Raised when it has more than one frame."""

    code = "animated"


class DecoderFailedError(ImageRejectedError):
    """Raised when decoding it ended the decoder twice: by a crash, or for want of time or memory."""

    code = "decoder_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What decoding has shown; width and height in pixels, as stored (an EXIF rotation is not applied)."""

    content_type: str
    width: int
    height: int


def inspect_image(file: BinaryIO, *, max_pixels: int) -> ImageFacts:
    """The facts of the image in this file, all of which decodes.

    Raises:
        ImageRejectedError: it is not such an image.
    """
    file.seek(0)
    head = file.read(_HEADER_BYTES)
    image_format = _format_of(head)
    if image_format == "WEBP":
        _check_canvas(head, max_pixels)
    file.seek(0)
    with _opened(file, image_format) as image:
        width, height = image.size
        _check_pixels(width, height, max_pixels)
        if (frames := getattr(image, "n_frames", 1)) != 1:
            raise AnimatedImageError(f"{frames} frames instead of one")
        _decode(image)
        may_lack_rows = image_format == "PNG" and _may_lack_rows(image)
    if image_format == "PNG":
        _check_png(file, check_chunks)
    if may_lack_rows:
        _check_png(file, check_rows)
    return ImageFacts(content_type=f"image/{image_format.lower()}", width=width, height=height)


def _format_of(head: bytes) -> str:
    image_format = format_of(head)
    if image_format is not None:
        return image_format
    if head.startswith(_OTHER_FORMATS) or head[4:8] == b"ftyp":
        raise FormatNotAllowedError("only PNG, JPEG and WEBP are accepted")
    raise NotAnImageError("the bytes do not begin like an image")


def _check_canvas(head: bytes, max_pixels: int) -> None:
    """A WEBP decoder reserves its whole canvas, twice, when it is opened: the size is looked at before that."""
    try:
        header = read_header(head)
    except (IncompleteHeaderError, DamagedHeaderError, RareVariantError) as error:
        raise TruncatedImageError(f"the WEBP header is damaged ({error or 'it breaks off'})") from error
    if header is not None:
        _check_pixels(header.width, header.height, max_pixels)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooManyPixelsError(f"{width} by {height} pixels are more than the allowed {max_pixels}")


def _may_lack_rows(image: Image) -> bool:
    """Whether the last of its rows are black, as those are that the decoder did not find. Interlaced ones may be last.

    A second look at the data is dear, and few photos end in a black row.
    """
    width, height = image.size
    return bool(image.info.get("interlace")) or image.crop((0, height - 1, width, height)).getbbox() is None


def _check_png(file: BinaryIO, check: Callable[[BinaryIO], None]) -> None:
    try:
        check(file)
    except DamagedPngError as error:
        raise TruncatedImageError(f"the PNG is damaged: {error}") from error


def _opened(file: BinaryIO, image_format: str) -> Image:
    """The image with its header read and nothing decoded, by the decoder of this format alone."""
    from PIL import Image  # noqa: PLC0415 - an extra, and 40 ms that no other command needs

    try:
        return Image.open(file, formats=(image_format,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Where warnings are not errors, the size check of inspect_image is what decides: warning filters are shared by
        # all threads, so they are left alone here.
        raise TooManyPixelsError("more pixels than the decoder itself allows") from error
    except MemoryError:
        raise
    except Exception as error:
        # Decoders fail on damaged headers with whatever their parsing meets, from SyntaxError to struct.error.
        raise TruncatedImageError(f"the {image_format} header is damaged ({type(error).__name__})") from error


def _decode(image: Image) -> None:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        # See _opened.
        raise TruncatedImageError(f"the image does not decode to its end ({type(error).__name__})") from error
