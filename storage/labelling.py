"""An image file with its XMP packet exchanged and every other byte as it was: PNG, JPEG and WEBP, taken apart by hand.

No library does this for all three without writing the pixels anew. A file is described as the pieces that it will
consist of, so an image of any size passes through in small steps. What is not built as it should be is left alone: the
decoder judges it afterwards, and better.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from storage.xmp import PACKET_MAX_BYTES, labelled_packet

PARTS_MAX = 10_000
"""Chunks or segments that are looked at; real files have some dozens."""
GROWTH_MAX_BYTES = PACKET_MAX_BYTES + 64
"""So much longer than it was may a file become, at the very most."""

_JPEG_PACKET = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_SEGMENT_MAX_BYTES = 65_533
_PNG_KEYWORD = b"XML:com.adobe.xmp\0"
_MARKER, _APP0, _APP1, _SCAN = 0xFF, 0xE0, 0xE1, 0xDA
_LENGTH_BYTES = 2
_VP8L_SIGNATURE = 0x2F
_WEBP_XMP_FLAG, _WEBP_ALPHA_FLAG = 0x04, 0x10


class UnlabelledError(Exception):
    """Raised when the file is not built like an image of its kind, so that no label can be put into it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the original file, from `start` to before `end`."""

    start: int
    end: int


Piece = Span | bytes


def labelled_pieces(file: BinaryIO) -> list[Piece]:
    """What the labelled file consists of.

    Raises:
        UnlabelledError: no label can be put into this file.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(file, size)
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(file, size)
        if head[:4] == b"RIFF" and head[8:] == b"WEBP":
            return _webp(file, size)
    except (struct.error, IndexError, zlib.error) as error:
        raise UnlabelledError(f"it ends in the middle of a part ({type(error).__name__})") from error
    raise UnlabelledError("it is neither PNG, JPEG nor WEBP")


def _without(spans: list[Span], start: int, end: int) -> list[Span]:
    """The bytes from `start` to `end`, without these parts of them."""
    kept = []
    for span in spans:
        kept.append(Span(start, span.start))
        start = span.end
    return [each for each in [*kept, Span(start, end)] if each.start < each.end]


def _read(file: BinaryIO, start: int, size_bytes: int) -> bytes:
    file.seek(start)
    return file.read(size_bytes)


# PNG: chunks of length, type, data and CRC


def _png(file: BinaryIO, size: int) -> list[Piece]:
    packets, spans, after_header = [], [], 0
    for start, end, kind in _png_chunks(file, size):
        if not after_header:
            if kind != b"IHDR":
                raise UnlabelledError("it does not begin with a header")
            after_header = end
        if kind == b"iTXt" and _read(file, start + 8, len(_PNG_KEYWORD)) == _PNG_KEYWORD:
            spans.append(Span(start, end))
            packets.append(_png_packet(_read(file, start + 8, min(end - start - 12, 2 * PACKET_MAX_BYTES))))
    data = _PNG_KEYWORD + b"\0\0\0\0" + labelled_packet(packets[0] if packets else None)
    chunk = struct.pack(">I4s", len(data), b"iTXt") + data + struct.pack(">I", zlib.crc32(b"iTXt" + data))
    return [Span(0, after_header), chunk, *_without(spans, after_header, size)]


def _png_chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, int, bytes]]:
    start = 8
    for _ in range(PARTS_MAX):
        length, kind = struct.unpack(">I4s", _read(file, start, 8))
        end = start + 12 + length
        if end > size:
            raise UnlabelledError("a chunk is longer than the file")
        yield start, end, kind
        if kind == b"IEND":
            return
        start = end
    raise UnlabelledError("too many chunks")


def _png_packet(data: bytes) -> bytes:
    """The text of an XMP chunk: flag, method, language and translation stand before it."""
    is_compressed = data[len(_PNG_KEYWORD)]
    text = data[len(_PNG_KEYWORD) + 2 :].split(b"\0", 2)[2]
    return zlib.decompressobj().decompress(text, PACKET_MAX_BYTES + 1) if is_compressed else text


# JPEG: segments of marker, length and data up to the first scan


def _jpeg(file: BinaryIO, size: int) -> list[Piece]:
    packet, spans, at, is_leading = None, [], 2, True
    for start, end, marker in _jpeg_segments(file, size):
        head = _read(file, start + 4, len(_JPEG_PACKET))
        is_leading = is_leading and (marker == _APP0 or head.startswith(b"Exif\0"))
        if is_leading:
            at = end
        if marker == _APP1 and head == _JPEG_PACKET:
            spans.append(Span(start, end))
            if packet is None:
                packet = _read(file, start + 4 + len(_JPEG_PACKET), end - start - 4 - len(_JPEG_PACKET))
    data = _JPEG_PACKET + labelled_packet(packet, max_bytes=_JPEG_SEGMENT_MAX_BYTES - len(_JPEG_PACKET))
    return [Span(0, at), b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data, *_without(spans, at, size)]


def _jpeg_segments(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Those before the first scan, with the fill bytes before each."""
    start = 2
    for _ in range(PARTS_MAX):
        fill, marker, length = struct.unpack(">BBH", _read(file, start, 4))
        if fill != _MARKER:
            raise UnlabelledError("a segment does not begin with a marker")
        if marker == _MARKER:
            start += 1
            continue
        if marker == _SCAN:
            return
        end = start + 2 + length
        if end > size or length < _LENGTH_BYTES:
            raise UnlabelledError("a segment is longer than the file")
        yield start, end, marker
        start = end
    raise UnlabelledError("too many segments")


# WEBP: chunks of type, length and data in one RIFF chunk


def _webp(file: BinaryIO, size: int) -> list[Piece]:
    (riff_bytes,) = struct.unpack("<I", _read(file, 4, 4))
    end_of_riff = 8 + riff_bytes + riff_bytes % 2
    if end_of_riff > size:
        raise UnlabelledError("it is longer than the file")
    packet, spans, extended, first = None, [], b"", b""
    for start, end, kind, length in _webp_chunks(file, end_of_riff):
        first = first or kind
        if kind == b"VP8X" and not extended:
            data = bytearray(_read(file, start + 8, length))
            data[0] |= _WEBP_XMP_FLAG
            extended = bytes(data)
            spans.append(Span(start, end))
        if kind == b"XMP ":
            spans.append(Span(start, end))
            packet = packet or _read(file, start + 8, min(length, PACKET_MAX_BYTES + 1))
    if first != b"VP8X":
        extended = _webp_extension(_read(file, 12, 18))
    rest = _without(spans, 12, end_of_riff)
    added = [_webp_chunk(b"VP8X", extended), _webp_chunk(b"XMP ", labelled_packet(packet))]
    new_bytes = 4 + sum(map(len, added)) + sum(span.end - span.start for span in rest)
    header = b"RIFF" + struct.pack("<I", new_bytes) + b"WEBP"
    return [header, added[0], *rest, added[1], *_without([], end_of_riff, size)]


def _webp_chunks(file: BinaryIO, end_of_riff: int) -> Iterator[tuple[int, int, bytes, int]]:
    start = 12
    for _ in range(PARTS_MAX):
        if start >= end_of_riff:
            return
        kind, length = struct.unpack("<4sI", _read(file, start, 8))
        end = start + 8 + length + length % 2
        if end > end_of_riff:
            raise UnlabelledError("a chunk is longer than the file")
        yield start, end, kind, length
        start = end
    raise UnlabelledError("too many chunks")


def _webp_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _webp_extension(start: bytes) -> bytes:
    """The header of extended files, for a simple one: its flags, and its canvas as the frame's header tells it."""
    flags = _WEBP_XMP_FLAG
    if start[:4] == b"VP8L" and start[8] == _VP8L_SIGNATURE:
        (bits,) = struct.unpack("<I", start[9:13])
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
        flags |= _WEBP_ALPHA_FLAG if bits >> 28 & 1 else 0
    elif start[:4] == b"VP8 " and start[11:14] == b"\x9d\x01\x2a":
        width, height = (side % 0x4000 - 1 for side in struct.unpack("<HH", start[14:18]))
    else:
        raise UnlabelledError("its first chunk is no frame")
    return struct.pack("<I", flags) + struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
