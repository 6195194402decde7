"""Sources of every kind: fit ones, and ones that are wrong in a single way. All are made here, byte for byte."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any

from PIL import Image

from sceneshift.guarded_http import Peek
from storage.image_headers import ImageHeader, read_header
from tests.unit.storage.pictures import png_chunk

SIZE = (640, 480)
PNG_HEADER_END = 8 + 25


@cache
def saved(image_format: str, mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """A small file with an image of this mode and size."""
    file = io.BytesIO()
    Image.new("RGB", size, "#88aa33").convert(mode).save(file, image_format, **options)
    return file.getvalue()


def turned(image_format: str, orientation: int, size: tuple[int, int] = SIZE) -> bytes:
    """A photo whose Exif data asks viewers to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image_format, size=size, exif=exif.tobytes())


def frames(image_format: str) -> bytes:
    """Two different frames in one file, of an allowed size."""
    file = io.BytesIO()
    red, blue = (Image.new("RGB", SIZE, colour) for colour in ("red", "blue"))
    red.save(file, image_format, save_all=True, append_images=[blue], duration=100)
    return file.getvalue()


def png_with(*chunks: bytes, after: bytes = b"") -> bytes:
    """A PNG with these chunks behind its header, or another rest."""
    whole = saved("PNG")
    return whole[:PNG_HEADER_END] + b"".join(chunks) + (after or whole[PNG_HEADER_END:])


def png_claiming(width: int, height: int, *, depth: int = 8, colour_type: int = 2) -> bytes:
    """A PNG that says to be so large, or of such colours, with hardly any pixels behind it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg_with(*segments: bytes, mode: str = "RGB") -> bytes:
    """A JPEG with these segments before all others."""
    whole = saved("JPEG", mode)
    return whole[:2] + b"".join(segments) + whole[2:]


def metadata(size_bytes: int) -> list[bytes]:
    """So many bytes of segments that no reader of pixels needs."""
    return [jpeg_segment(0xED, b"p" * 65_000) for _ in range(size_bytes // 65_000 + 1)]


def jpeg_frame(marker: int = 0xC0, *, bits: int = 8, width: int = 640, height: int = 480, components: int = 3) -> bytes:
    """A JPEG that consists of a frame header."""
    frame = struct.pack(">BHHB", bits, height, width, components) + b"\x01\x11\x00" * components
    return b"\xff\xd8" + jpeg_segment(marker, frame) + jpeg_segment(0xDA, b"\x00" * 10) + b"\x00" * 200


def ycck() -> bytes:
    """A JPEG in the print colours that image editors write: four components, three of them transformed."""
    adobe = jpeg_segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x02")
    return b"\xff\xd8" + adobe + jpeg_frame(components=4)[2:]


def webp(kind: bytes, content: bytes) -> bytes:
    """A WEBP file of one chunk."""
    chunk = kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def box(brand: bytes) -> bytes:
    """The beginning of a file in the ISO container."""
    return struct.pack(">I4s4sI4s", 24, b"ftyp", brand, 0, b"mif1") + b"\0" * 500


def header_of(head: bytes) -> ImageHeader:
    """The header of a file that has one of the three formats."""
    header = read_header(head)
    assert header is not None
    return header


def a_peek(body: bytes, *, is_whole: bool = True, content_encoding: str = "") -> Peek:
    """What a look at this body finds."""
    return Peek(body=body, is_whole=is_whole, announced_bytes=len(body), content_encoding=content_encoding)
