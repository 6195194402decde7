"""What a decoder process says of a picture, as one line of JSON, and how such a line is read without trusting it.

A picture that has taken over its decoder can make it say anything. The worst that it can get is to be stored under one
of the three types with a wrong size, which it might as well have had by being such a picture.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from storage.images import (
    AnimatedImageError,
    FormatNotAllowedError,
    ImageFacts,
    ImageRejectedError,
    NotAnImageError,
    TooManyPixelsError,
    TruncatedImageError,
)
from storage.names import EXTENSIONS

MESSAGE_MAX_CHARACTERS = 300

_REJECTIONS = {
    error.code: error
    for error in (
        AnimatedImageError,
        FormatNotAllowedError,
        NotAnImageError,
        TooManyPixelsError,
        TruncatedImageError,
    )
}


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a decoder process is of no more use; `by_the_picture` says whether the picture may have done it."""

    reason: str
    by_the_picture: bool = True


def line_of(answer: ImageFacts | ImageRejectedError | Ending) -> bytes:
    """The line that says this."""
    if isinstance(answer, ImageFacts):
        words: dict[str, object] = {"facts": asdict(answer)}
    elif isinstance(answer, ImageRejectedError):
        words = {"code": answer.code, "message": answer.message[:MESSAGE_MAX_CHARACTERS]}
    else:
        words = {"ended": answer.reason}
    return json.dumps(words).encode() + b"\n"


def answer_of(line: bytes, *, max_pixels: int) -> ImageFacts | ImageRejectedError | Ending:
    """What this line says; a decoder that says nothing sensible has come to its end."""
    try:
        words = json.loads(line)
        if "facts" in words:
            return _facts(words["facts"], max_pixels)
        if "ended" in words:
            return Ending(str(words["ended"])[:MESSAGE_MAX_CHARACTERS])
        return _REJECTIONS[words["code"]](str(words["message"])[:MESSAGE_MAX_CHARACTERS])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Ending("an answer that makes no sense")


def _facts(words: dict[str, object], max_pixels: int) -> ImageFacts:
    content_type, width, height = words["content_type"], words["width"], words["height"]
    if not (type(width) is int and type(height) is int and isinstance(content_type, str)):
        raise TypeError(words)
    if content_type not in EXTENSIONS or not (width > 0 and height > 0 and width * height <= max_pixels):
        raise ValueError(words)
    return ImageFacts(content_type=content_type, width=width, height=height)
