"""What a result URL may answer in place of a fit picture: bodies made by code, each with what must become of it.

The first part is what the bytes are; how they are sent is in `tests/unit/tasks/hostile_answers.py`.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PIL import Image

from tests.unit.storage.pictures import animation, picture, png_chunk, png_header

STORED = "stored"
"""In place of a code: it is strange, and it is a picture."""
_END_OF_IHDR = 8 + 25
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class HostileBody:
    """`code` is the reason that the image is missing for, or `STORED`."""

    name: str
    make: Callable[[], bytes]
    code: str


def _ihdr(width: int, height: int, *, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def _png(*chunks: bytes) -> bytes:
    return _PNG_MAGIC + b"".join(chunks) + png_chunk(b"IEND", b"")


def _pixels(rows: int, row_bytes: int) -> bytes:
    return png_chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * row_bytes) * rows))


def _rows(*rows: bytes, interlace: int = 0) -> bytes:
    """A PNG of 16 by 16 pixels with these bytes for its rows."""
    return _png(_ihdr(16, 16, interlace=interlace), png_chunk(b"IDAT", zlib.compress(b"".join(rows))))


_ROW, _BLACK_ROW = b"\0" + b"\x80" * 48, bytes(49)
_INTERLACED_BYTES = 2 * 7 + 2 * 7 + 2 * 13 + 4 * 13 + 4 * 25 + 8 * 25 + 8 * 49
"""Of the seven passes, with the filter of each row."""


def _with_chunk(kind: bytes, content: bytes) -> bytes:
    whole = picture("PNG")
    return whole[:_END_OF_IHDR] + png_chunk(kind, content) + whole[_END_OF_IHDR:]


def _with_wrong_checksum(kind: bytes) -> bytes:
    whole = _with_chunk(b"tEXt", b"Comment\0a harmless text")
    at = whole.index(kind) + 4 + struct.unpack(">I", whole[whole.index(kind) - 4 : whole.index(kind)])[0]
    return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]


def _flipped(image_format: str) -> bytes:
    whole = bytearray(picture(image_format, (256, 256)))
    whole[len(whole) // 2] ^= 0xFF
    return bytes(whole)


def _cut(image_format: str, share: float) -> bytes:
    whole = picture(image_format, (256, 256))
    return whole[: int(len(whole) * share)]


def _apng(frames: int) -> bytes:
    control = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 16, 16, 0, 0, 1, 10, 0, 0))
    more = b"".join(
        png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * n + 1, 16, 16, 0, 0, 1, 10, 0, 0))
        + png_chunk(b"fdAT", struct.pack(">I", 2 * n + 2) + zlib.compress((b"\0" + b"\x80" * 48) * 16))
        for n in range(frames - 1)
    )
    return _png(_ihdr(16, 16), png_chunk(b"acTL", struct.pack(">II", frames, 0)), control, _pixels(16, 48), more)


def _long_animation() -> bytes:
    frames = [Image.new("RGB", (16, 16), (n, 255 - n, n)) for n in range(200)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=10)
    return file.getvalue()


def _webp_canvas(width: int, height: int, flags: int = 0) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + size
    body = b"WEBP" + chunk + picture("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _with_segment(marker: int, content: bytes, *, times: int = 1) -> bytes:
    whole = picture("JPEG")
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
    return whole[:2] + segment * times + whole[2:]


def _exif_loop() -> bytes:
    """A directory of Exif data whose next one is itself, and whose sub-directory is, too."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)


def _jpeg_of_size(width: int, height: int) -> bytes:
    whole = bytearray(picture("JPEG"))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


def _progressive(scans: int) -> bytes:
    """The last scan of a progressive picture again and again: each is a pass over all coefficients."""
    file = io.BytesIO()
    Image.radial_gradient("L").resize((960, 960)).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("payload.js", "alert(1)")
    return file.getvalue()


def _saved(mode: str, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((64, 48)).convert(mode).save(file, image_format, **options)
    return file.getvalue()


def _noise() -> bytes:
    return random.Random(1).randbytes(4096)


_SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"

_CASES: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    # No image at all.
    ("empty", bytes, "not_an_image"),
    ("one byte", lambda: b"\x89", "not_an_image"),
    ("error page", lambda: b"<!doctype html><title>502 Bad Gateway</title>", "not_an_image"),
    ("svg with a script", lambda: _SVG, "not_an_image"),
    ("json", lambda: b'{"code": 500}', "not_an_image"),
    ("javascript", lambda: b"alert(document.cookie)", "not_an_image"),
    ("zeros", lambda: bytes(100_000), "not_an_image"),
    ("noise", _noise, "not_an_image"),
    ("zip", _zip, "not_an_image"),
    ("elf program", lambda: b"\x7fELF\x02\x01\x01" + bytes(200), "not_an_image"),
    ("wave sound", lambda: b"RIFF\x24\0\0\0WAVEfmt ", "not_an_image"),
    ("picture behind a blank", lambda: b" " + picture(), "not_an_image"),
    ("byte order mark before svg", lambda: b"\xef\xbb\xbf" + _SVG, "not_an_image"),
    # Another kind of image or document.
    ("gif", partial(picture, "GIF", mode="P"), "format_not_allowed"),
    ("animated gif", partial(animation, "GIF"), "format_not_allowed"),
    ("gif with a jar behind", lambda: picture("GIF", mode="P") + _zip(), "format_not_allowed"),
    ("tiff", partial(picture, "TIFF"), "format_not_allowed"),
    ("big-endian tiff", lambda: b"MM\0*\0\0\0\x08" + bytes(100), "format_not_allowed"),
    ("bmp", partial(picture, "BMP"), "format_not_allowed"),
    ("ico", partial(picture, "ICO"), "format_not_allowed"),
    ("pdf", lambda: b"%PDF-1.7\n1 0 obj <</JavaScript 2 0 R>>", "format_not_allowed"),
    ("postscript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run\n", "format_not_allowed"),
    ("photoshop", lambda: b"8BPS\0\1" + bytes(100), "format_not_allowed"),
    ("avif", lambda: b"\0\0\0\x1cftypavif\0\0\0\0mif1" + bytes(100), "format_not_allowed"),
    ("jpeg 2000", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "format_not_allowed"),
    # Cut and damaged.
    *((f"{kind} cut at {share:.0%}", partial(_cut, kind, share), "truncated_image")
      for kind in ("PNG", "JPEG", "WEBP") for share in (0.1, 0.5, 0.95)),
    ("png without its end", lambda: picture()[:-12], "truncated_image"),
    ("png with a flipped byte", partial(_flipped, "PNG"), "truncated_image"),
    ("png magic, then nothing", lambda: _PNG_MAGIC + bytes(500), "truncated_image"),
    ("jpeg magic, then nothing", lambda: b"\xff\xd8\xff" + bytes(500), "truncated_image"),
    ("webp magic, then nothing", lambda: b"RIFF\xff\0\0\0WEBPVP8 " + bytes(500), "truncated_image"),
    ("png header with a wrong checksum", partial(_with_wrong_checksum, b"IHDR"), "truncated_image"),
    ("png pixels with a wrong checksum", partial(_with_wrong_checksum, b"IDAT"), "truncated_image"),
    ("png without pixels", lambda: _png(_ihdr(16, 16)), "truncated_image"),
    ("png with too few rows", lambda: _rows(_ROW * 8), "truncated_image"),
    ("png without its last row", lambda: _rows(_ROW * 15), "truncated_image"),
    ("png whose last row is too short", lambda: _rows(_ROW * 15, _ROW[:-1]), "truncated_image"),
    ("png whose last rows are black", lambda: _rows(_ROW * 8, _BLACK_ROW * 8), STORED),
    ("png of one row too many", lambda: _rows(_ROW * 16, _BLACK_ROW), STORED),
    ("interlaced png", lambda: _rows(bytes(_INTERLACED_BYTES), interlace=1), STORED),
    ("interlaced png that lacks a byte", lambda: _rows(bytes(_INTERLACED_BYTES - 1), interlace=1), "truncated_image"),
    ("png of width zero", lambda: _png(_ihdr(0, 16), _pixels(16, 48)), "truncated_image"),
    ("png of height zero", lambda: _png(_ihdr(16, 0), _pixels(16, 48)), "truncated_image"),
    ("png of three bits", lambda: _png(_ihdr(16, 16, depth=3), _pixels(16, 48)), "truncated_image"),
    ("png with a colour type that there is not", lambda: _png(_ihdr(16, 16, colour=5), _pixels(16, 48)),
     "truncated_image"),
    ("png palette without its colours", lambda: _png(_ihdr(16, 16, colour=3), _pixels(16, 16)), STORED),
    ("png chunk of four gigabytes", lambda: _PNG_MAGIC + struct.pack(">I", 0xFFFFFFF0) + b"IHDR" + bytes(32),
     "truncated_image"),
    ("png with a filter that there is not",
     lambda: _png(_ihdr(16, 16), png_chunk(b"IDAT", zlib.compress((b"\x09" + b"\x80" * 48) * 16))),
     "truncated_image"),
    ("jpeg of height zero", partial(_jpeg_of_size, 64, 0), "truncated_image"),
    ("jpeg whose size is a lie", partial(_jpeg_of_size, 900, 900), STORED),
    # Bombs.
    ("png of fifty thousand squared", partial(png_header, 50_000, 50_000), "too_many_pixels"),
    ("png of four billion by one", partial(png_header, 2**31 - 1, 1), "too_many_pixels"),
    ("png whose pixels are a bomb", lambda: _png(_ihdr(30_000, 30_000), _pixels(300, 90_000)), "too_many_pixels"),
    ("jpeg of sixty-five thousand squared", partial(_jpeg_of_size, 65_500, 65_500), "too_many_pixels"),
    ("webp of sixteen thousand squared", partial(_webp_canvas, 16_383, 16_383), "too_many_pixels"),
    ("animated webp of sixteen thousand squared", partial(_webp_canvas, 16_383, 16_383, 2), "too_many_pixels"),
    ("png text that unpacks to 100 MB",
     lambda: _with_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000))), "truncated_image"),
    ("png with 100 MB of small texts",
     lambda: picture()[:_END_OF_IHDR]
     + png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(900_000))) * 120 + picture()[_END_OF_IHDR:],
     "truncated_image"),
    ("png profile that unpacks to 100 MB",
     lambda: _with_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(100_000_000))), "truncated_image"),
    ("apng of 10,000 frames", partial(_apng, 10_000), "animated"),
    ("apng that says four billion frames",
     lambda: _with_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), "animated"),
    ("animated png", partial(animation, "PNG"), "animated"),
    ("animated webp", partial(animation, "WEBP"), "animated"),
    ("webp of 200 frames", _long_animation, "animated"),
    # Strange, and pictures nevertheless.
    ("png with a wrong checksum of a text", partial(_with_wrong_checksum, b"tEXt"), "truncated_image"),
    ("apng of one frame", partial(_apng, 1), STORED),
    ("16-bit grey png", partial(picture, "PNG", mode="I;16"), STORED),
    ("16-bit colour png", lambda: _png(_ihdr(16, 16, depth=16), _pixels(16, 96)), STORED),
    ("1-bit png", partial(picture, "PNG", mode="1"), STORED),
    ("palette png", partial(picture, "PNG", mode="P"), STORED),
    ("cmyk jpeg", partial(_saved, "CMYK", "JPEG"), STORED),
    ("grey jpeg", partial(_saved, "L", "JPEG"), STORED),
    ("progressive jpeg", partial(_saved, "RGB", "JPEG", progressive=True), STORED),
    ("progressive jpeg of 200 scans", partial(_progressive, 200), STORED),
    ("lossless webp with alpha", partial(_saved, "RGBA", "WEBP", lossless=True), STORED),
    ("jpeg with exif that points at itself", lambda: _with_segment(0xE1, _exif_loop()), STORED),
    ("jpeg with a huge profile",
     lambda: _with_segment(0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(65_000), times=25), STORED),
    ("jpeg with a script in a comment", lambda: _with_segment(0xFE, b"<script>alert(1)</script>"), STORED),
    ("jpeg with html behind", lambda: picture("JPEG") + b"<script>alert(1)</script>", STORED),
    ("jpeg with a jar behind", lambda: picture("JPEG") + _zip(), STORED),
    ("png with a jar behind", lambda: picture() + _zip(), STORED),
    ("png with a megabyte behind", lambda: picture() + bytes(1_000_000), STORED),
)  # fmt: skip

BODIES = tuple(HostileBody(*case) for case in _CASES)
"""What the bytes are."""
