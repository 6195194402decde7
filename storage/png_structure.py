"""Whether a PNG file is whole, by its own checksums: what its decoder leaves out.

Pillow stops reading when it has all pixels, and does not look at the checksums of their chunks. A file whose end is
missing, or whose pixels were damaged where zlib does not notice, would pass, and a browser would refuse it.

Source: PNG Third Edition (W3C), section 5.3.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

_MAGIC_BYTES = 8
_READ_BYTES = 65_536
_CHUNK_MAX_BYTES = 2**31 - 1
_ANCILLARY_BIT = 0x20
"""In the first letter of a chunk's name: a decoder may do without it, so its damage costs no image."""


class DamagedPngError(Exception):
    """Raised when a chunk that matters is not as it was written, or missing; the text says which."""


def check_chunks(file: BinaryIO) -> None:
    """Every critical chunk up to the IEND has its right checksum; what follows the IEND is not looked at.

    The file is read once, 64 KiB at a time.

    Raises:
        DamagedPngError: one has not, or the file ends before its IEND.
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
        found = _checksum(file, kind, length)
        (expected,) = struct.unpack(">I", _exactly(file, 4))
        if found != expected and not kind[0] & _ANCILLARY_BIT:
            raise DamagedPngError(f"an {kind.decode('ascii')} chunk has a wrong checksum")


def _checksum(file: BinaryIO, kind: bytes, length: int) -> int:
    checksum = zlib.crc32(kind)
    while length:
        piece = _exactly(file, min(length, _READ_BYTES))
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
    return checksum


def _exactly(file: BinaryIO, size_bytes: int) -> bytes:
    piece = file.read(size_bytes)
    if len(piece) < size_bytes:
        raise DamagedPngError("it ends within a chunk")
    return piece
