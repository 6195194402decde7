"""What an image really is, found out by decoding it: neither its name nor its declared type is asked.

A result comes from a foreign server. It is believed to be an image when its first bytes say PNG, JPEG or WEBP, its size
is within the limit before anything is decoded, it has one frame, and every pixel of it decodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from sceneshift.errors import SceneshiftError

if TYPE_CHECKING:
    from PIL.Image import Image

_MAGIC_BYTES = 12
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
    image_format = _format_of(file.read(_MAGIC_BYTES))
    file.seek(0)
    with _opened(file, image_format) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise TooManyPixelsError(f"{width} by {height} pixels are more than the allowed {max_pixels}")
        if (frames := getattr(image, "n_frames", 1)) != 1:
            raise AnimatedImageError(f"{frames} frames instead of one")
        _decode(image)
    return ImageFacts(content_type=f"image/{image_format.lower()}", width=width, height=height)


def _format_of(head: bytes) -> str:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(_OTHER_FORMATS) or head[4:8] == b"ftyp":
        raise FormatNotAllowedError("only PNG, JPEG and WEBP are accepted")
    raise NotAnImageError("the bytes do not begin like an image")


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
