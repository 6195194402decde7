"""What the first bytes of a PNG, JPEG or WEBP file say of the image, read without a decoder.

A decoder wants the whole file, or fails in its own way on a part of it. These readers know the difference between a
header that has not come to its end yet and one that is damaged, and they touch no pixel: an image that claims to be
fifty thousand pixels wide costs no more than any other.

Sources: PNG Third Edition (W3C), ITU-T T.81 for JPEG, RFC 9649 for WEBP, TIFF 6.0 and Exif 2.32 for the orientation.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

MAGIC_BYTES = 12
"""With so many bytes each of the three formats is told from everything else."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""The bits per sample that each colour type may have."""
_PNG_CHUNK_MAX_BYTES = 2**31 - 1

# A marker that is followed by a length, or the end of the image; fill bytes, restarts and stray zeros are passed over.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_JPEG_RARE_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_JPEG_APP1, _JPEG_SCAN, _JPEG_END = 0xE1, 0xDA, 0xD9
_JPEG_SEGMENTS_MAX = 4096
_JPEG_STRAY_MAX_BYTES = 65_536
"""Between two segments; a decoder skips to the next marker, but so many bytes are no oversight of an encoder."""
_JPEG_START = b"\xff\xd8\xff\xfe\0\2"
"""The magic of the format and an empty comment."""
_JPEG_EXIF = b"Exif\0\0"
_JPEG_BITS = 8
_JPEG_GREY, _JPEG_COLOUR, _JPEG_CMYK = 1, 3, 4

_WEBP_CHUNK = 12
_WEBP_CONTENT = 20
_VP8_START_CODE = b"\x9d\x01\x2a"
_VP8L_SIGNATURE = 0x2F
_VP8X_ANIMATION = 0x02

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = range(1, 9)
_QUARTER_TURNS = range(5, 9)


class IncompleteHeaderError(Exception):
    """Raised when the header goes on behind these bytes.

    Attributes:
        known: the image as far as these bytes describe it; None as long as they do not tell its size.
    """

    def __init__(self, known: ImageHeader | None = None) -> None:
        super().__init__()
        self.known = known


class DamagedHeaderError(Exception):
    """Raised when no continuation of these bytes can be an image; the text says what is wrong."""


class RareVariantError(Exception):
    """Raised when it is one of the formats, in a variant that hardly any decoder reads; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """An image as its header describes it; width and height in pixels, as stored."""

    format: Literal["PNG", "JPEG", "WEBP"]
    width: int
    height: int
    is_animated: bool = False
    is_cmyk: bool = False
    orientation: int = 1
    """Exif's number for how a viewer turns the image, 1 for not at all; unknown where it stands behind the pixels."""

    @property
    def is_turned_when_shown(self) -> bool:
        """A viewer swaps width and height."""
        return self.orientation in _QUARTER_TURNS


def format_of(head: bytes) -> Literal["PNG", "JPEG", "WEBP"] | None:
    """The format that the first bytes announce, or None when they are those of something else."""
    if head.startswith(_PNG_MAGIC):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return None


def read_header(head: bytes) -> ImageHeader | None:
    """The header of the image that begins with these bytes, or None when none of the three formats does.

    Raises:
        IncompleteHeaderError: more bytes are needed.
        DamagedHeaderError: no more bytes can mend it.
        RareVariantError: it is whole, and few can read it.
    """
    if len(head) < MAGIC_BYTES:
        raise IncompleteHeaderError
    image_format = format_of(head)
    if image_format is None:
        return None
    try:
        header = {"PNG": _read_png, "JPEG": _read_jpeg, "WEBP": _read_webp}[image_format](head)
    except struct.error:
        raise IncompleteHeaderError from None
    _check_size(header)
    return header


def without_passed_segments(head: bytes) -> bytes:
    """The beginning of the same JPEG without its whole segments, but for the last that holds Exif data.

    What `read_header` says of a file is the same whether it goes on behind these bytes or behind all. Bytes of another
    format come back as they are.

    Raises:
        DamagedHeaderError: as in `read_header`.
    """
    if format_of(head) != "JPEG":
        return head
    exif, passed_bytes = b"", 0
    for marker, start, end in _jpeg_segments(head):
        passed_bytes = end
        if _is_exif(head, marker, start):
            exif = head[start - 4 : end]
    return _JPEG_START + exif + head[passed_bytes:] if passed_bytes else head


def _check_size(header: ImageHeader) -> None:
    if not (header.width and header.height):
        raise DamagedHeaderError(f"it says {header.width} by {header.height} pixels")


def _read_png(head: bytes) -> ImageHeader:
    header = _png_header(head)
    _check_size(header)
    offset, exif = len(_PNG_MAGIC) + 25, b""
    try:
        while True:
            length, kind = struct.unpack_from(">I4s", head, offset)
            if not kind.isalpha() or length > _PNG_CHUNK_MAX_BYTES or kind == b"IEND":
                raise DamagedHeaderError("its chunks break off before the pixels")
            if kind == b"IDAT":
                return replace(header, orientation=_orientation(exif))
            if kind == b"acTL":
                (frames,) = struct.unpack_from(">I", head, offset + 8)
                header = replace(header, is_animated=frames > 1)
            elif kind == b"eXIf":
                exif = head[offset + 8 : offset + 8 + length]
            offset += 12 + length
    except struct.error:
        raise IncompleteHeaderError(replace(header, orientation=_orientation(exif))) from None


def _png_header(head: bytes) -> ImageHeader:
    length, kind, content, checksum = struct.unpack_from(">I4s13sI", head, len(_PNG_MAGIC))
    if (length, kind) != (13, b"IHDR") or zlib.crc32(kind + content) != checksum:
        raise DamagedHeaderError("its first chunk is not a whole IHDR")
    width, height, depth, colour_type = struct.unpack_from(">IIBB", content)
    if depth not in _PNG_DEPTHS.get(colour_type, ()):
        raise DamagedHeaderError(f"there is no colour type {colour_type} with {depth} bits")
    return ImageHeader(format="PNG", width=width, height=height)


def _read_jpeg(head: bytes) -> ImageHeader:
    exif = b""
    for marker, start, end in _jpeg_segments(head):
        if marker in _JPEG_RARE_FRAMES:
            raise RareVariantError("a lossless or hierarchical JPEG")
        if marker in _JPEG_FRAMES:
            return _jpeg_frame(head[start:end], _orientation(exif))
        if _is_exif(head, marker, start):
            exif = head[start + len(_JPEG_EXIF) : end]
    raise IncompleteHeaderError


def _is_exif(head: bytes, marker: int, start: int) -> bool:
    return marker == _JPEG_APP1 and head.startswith(_JPEG_EXIF, start)


def _jpeg_segments(head: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment that is there as a whole, where its content begins, and where it ends.

    Raises:
        DamagedHeaderError: the segments cannot lead to a frame header.
    """
    offset = 2
    for _ in range(_JPEG_SEGMENTS_MAX):
        found = _JPEG_MARKER.search(head, offset)
        # The last byte may be the first half of a marker.
        if (found.start() if found else len(head) - 1) - offset > _JPEG_STRAY_MAX_BYTES:
            raise DamagedHeaderError("its segments break off before the frame header")
        if found is None:
            return
        marker, start = found[1][0], found.end() + 2
        if marker in {_JPEG_SCAN, _JPEG_END}:
            raise DamagedHeaderError("it has no frame header before its pixels")
        if start > len(head):
            return
        length = int.from_bytes(head[start - 2 : start], "big")
        if length < 2:  # noqa: PLR2004  # a length counts its own two bytes
            raise DamagedHeaderError("a segment is shorter than its own length")
        offset = found.end() + length
        if offset > len(head):
            return
        yield marker, start, offset
    raise DamagedHeaderError(f"it has more than {_JPEG_SEGMENTS_MAX} segments before its frame header")


def _jpeg_frame(content: bytes, orientation: int) -> ImageHeader:
    try:
        bits, height, width, components = struct.unpack_from(">BHHB", content)
    except struct.error:
        raise DamagedHeaderError("its frame header is too short") from None
    if components not in {_JPEG_GREY, _JPEG_COLOUR, _JPEG_CMYK}:
        raise DamagedHeaderError(f"it has {components} colour components")
    if bits != _JPEG_BITS:
        raise RareVariantError(f"a JPEG with {bits} bits per colour")
    return ImageHeader(
        format="JPEG", width=width, height=height, is_cmyk=components == _JPEG_CMYK, orientation=orientation
    )


def _read_webp(head: bytes) -> ImageHeader:
    (kind,) = struct.unpack_from("4s", head, _WEBP_CHUNK)
    if kind == b"VP8 ":
        tag, start_code, width, height = struct.unpack_from("<B2x3sHH", head, _WEBP_CONTENT)
        if tag & 1 or start_code != _VP8_START_CODE:
            raise DamagedHeaderError("its first frame is not a key frame")
        # The two highest bits are a hint for scaling.
        return ImageHeader(format="WEBP", width=width & 0x3FFF, height=height & 0x3FFF)
    if kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", head, _WEBP_CONTENT)
        if signature != _VP8L_SIGNATURE or bits >> 29:
            raise DamagedHeaderError("its lossless header has another signature or version")
        return ImageHeader(format="WEBP", width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        flags, size = struct.unpack_from("<B3x6s", head, _WEBP_CONTENT)
        return ImageHeader(
            format="WEBP",
            width=int.from_bytes(size[:3], "little") + 1,
            height=int.from_bytes(size[3:], "little") + 1,
            is_animated=bool(flags & _VP8X_ANIMATION),
        )
    raise DamagedHeaderError("its first chunk is none that an image begins with")


def _orientation(exif: bytes) -> int:
    """The orientation that this Exif block notes; 1 when it notes none, or cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, directory)
        for number in range(entries):
            tag, value = struct.unpack_from(f"{order}H6xH", exif, directory + 2 + 12 * number)
            if tag == _ORIENTATION_TAG:
                return value if value in _ORIENTATIONS else 1
    except struct.error:
        return 1
    return 1
