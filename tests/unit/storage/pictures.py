"""Small real images, and damaged ones, made by the tests themselves."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def picture(image_format: str = "PNG", size: tuple[int, int] = (64, 48), mode: str = "RGB", seed: int = 1) -> bytes:
    """An image of this format whose pixels depend on the seed."""
    image = Image.radial_gradient("L").rotate(seed * 7).resize(size).convert(mode)
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


def animation(image_format: str) -> bytes:
    """Two different frames in one file."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, image_format, save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file, with a right checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG file that claims to be so large; it has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b""))
