"""Whether a PNG file is whole, by its own checksums and by the number of its rows: what its decoder leaves out.

Pillow stops reading when it has all pixels, and does not look at the checksums of their chunks. A file whose end is
missing, or whose pixels were damaged where zlib does not notice, would pass, and a browser would refuse it. Where the
compressed data ends early, as it may by its own account, Pillow leaves the rows that are missing black.

Source: PNG Third Edition (W3C), sections 5.3, 7.2, 8 and 11.2.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

_MAGIC_BYTES = 8
_READ_BYTES = 65_536
_CHUNK_MAX_BYTES = 2**31 - 1
_ANCILLARY_BIT = 0x20
"""In the first letter of a chunk's name: a decoder may do without it, so its damage costs no image."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by colour type."""
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced image: first column and row, and the steps to the next ones."""


class DamagedPngError(Exception):
    """Raised when a chunk that matters is not as it was written, or missing; the text says which."""


def check_chunks(file: BinaryIO) -> None:
    """Every critical chunk up to the IEND has its right checksum; what follows the IEND is not looked at.

    The file is read once, 64 KiB at a time.

    Raises:
        DamagedPngError: one has not, or the file ends before its IEND.
    """
    for kind, length in _chunks(file):
        found = zlib.crc32(kind)
        for piece in _pieces(file, length):
            found = zlib.crc32(piece, found)
        (expected,) = struct.unpack(">I", _exactly(file, 4))
        if found != expected and not kind[0] & _ANCILLARY_BIT:
            raise DamagedPngError(f"an {kind.decode('ascii')} chunk has a wrong checksum")


def check_rows(file: BinaryIO) -> None:
    """The compressed data of a file that decodes holds all the rows that its header announces.

    It is decompressed once more, a piece at a time, which takes about a third of the time of decoding.

    Raises:
        DamagedPngError: there are fewer.
    """
    missing_bytes, data = 0, zlib.decompressobj()
    for kind, length in _chunks(file):
        for piece in _pieces(file, length):
            if kind == b"IHDR":
                missing_bytes = _size_of_rows(piece)
            while kind == b"IDAT" and piece and missing_bytes > 0:
                missing_bytes -= len(data.decompress(piece, _READ_BYTES))
                piece = data.unconsumed_tail  # noqa: PLW2901  # the rest of it
        file.seek(4, 1)
    if missing_bytes > 0:
        raise DamagedPngError("it has fewer rows than its header says")


def _size_of_rows(header: bytes) -> int:
    """The size of all rows before compression, each with the byte of its filter, as the IHDR chunk has it."""
    width, height, depth, colour, _compression, _filter, interlace = struct.unpack(">IIBBBBB", header[:13])
    bits = depth * _CHANNELS.get(colour, 0)
    size_bytes = 0
    for left, top, right, down in _ADAM7 if interlace else _WHOLE:
        columns, rows = -(-max(0, width - left) // right), -(-max(0, height - top) // down)
        size_bytes += rows * (1 + -(-columns * bits // 8)) if columns else 0
    return size_bytes


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The name and length of each chunk up to the IEND; the file stands at its data, and comes back after its checksum.

    Raises:
        DamagedPngError: it breaks off.
    """
    file.seek(_MAGIC_BYTES)
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:  # noqa: PLR2004  # a length and a name of four bytes each
            raise DamagedPngError("it ends before its IEND chunk")
        length, kind = struct.unpack(">I4s", head)
        if length > _CHUNK_MAX_BYTES or not kind.isalpha():
            raise DamagedPngError("its chunks break off")
        yield kind, length


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        piece = _exactly(file, min(length, _READ_BYTES))
        yield piece
        length -= len(piece)


def _exactly(file: BinaryIO, size_bytes: int) -> bytes:
    piece = file.read(size_bytes)
    if len(piece) < size_bytes:
        raise DamagedPngError("it ends within a chunk")
    return piece
