"""Sources that must all reach the provider, however they look or are served."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from tests.loopback import answer
from tests.unit.storage.pictures import png_chunk
from tests.unit.storage.source_pictures import jpeg_segment, jpeg_with, metadata, png_with, saved, turned
from tests.unit.tasks.source_server import Script, moved

SMALLEST, LARGEST = (400, 400), (4096, 4096)
PIECE_BYTES = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A photo and a mask that fit each other."""

    name: str
    image: bytes | Script
    mask: bytes | Script


def _photo(name: str, body: bytes) -> Good:
    return Good(name=name, image=answer(body), mask=answer(saved("PNG", "L")))


def _mask(name: str, body: bytes) -> Good:
    return Good(name=name, image=answer(saved("JPEG")), mask=answer(body))


def _served(name: str, image: bytes | Script) -> Good:
    return Good(name=name, image=image, mask=answer(saved("PNG", "L")))


def _in_pieces(body: bytes) -> Script:
    def write(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for offset in range(0, len(body), PIECE_BYTES):
            connection.sendall(body[offset : offset + PIECE_BYTES])

    return write


def _chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _stalling(body: bytes) -> Script:
    def write(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + body)
        # Until the client hangs up.
        connection.recv(1)

    return write


def _until_closed(body: bytes) -> Script:
    return lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)


GOOD_SOURCES: tuple[Good, ...] = (
    _photo("PNG in colour", saved("PNG")),
    _photo("PNG with transparency", saved("PNG", "RGBA")),
    _photo("PNG in grey", saved("PNG", "L")),
    _photo("PNG in grey with transparency", saved("PNG", "LA")),
    _photo("PNG with a palette", saved("PNG", "P")),
    _photo("PNG with 16 bits", saved("PNG", "I;16")),
    _photo("PNG of one frame", png_with(png_chunk(b"acTL", struct.pack(">II", 1, 0)))),
    _photo("PNG with 2 MB of text", png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 2_000_000))),
    _photo("PNG with 300 kB of text", png_with(png_chunk(b"tEXt", b"workflow\0" + b"x" * 300_000))),
    _photo("baseline JPEG", saved("JPEG")),
    _photo("progressive JPEG", saved("JPEG", progressive=True)),
    _photo("JPEG in grey", saved("JPEG", "L")),
    _photo("JPEG with 500 kB of metadata", jpeg_with(*metadata(500_000))),
    _photo("JPEG with 2 MB of metadata", jpeg_with(*metadata(2_000_000))),
    _photo("JPEG with 9 MB of metadata", jpeg_with(*metadata(9_000_000))),
    _photo("JPEG with a thumbnail", jpeg_with(jpeg_segment(0xE2, saved("JPEG", size=(60, 60))))),
    _photo("JPEG with fill bytes", jpeg_with(b"\xff\xff\xff", jpeg_segment(0xFE, b"note"))),
    _photo("JPEG on its head", turned("JPEG", 3)),
    _photo("JPEG that viewers turn, with the mask as stored", turned("JPEG", 6)),
    _photo("WEBP", saved("WEBP")),
    _photo("lossless WEBP", saved("WEBP", lossless=True)),
    _photo("WEBP with transparency", saved("WEBP", "RGBA")),
    _photo("WEBP with Exif data", turned("WEBP", 1)),
    _mask("mask of one bit", saved("PNG", "1")),
    _mask("mask as JPEG", saved("JPEG", "L")),
    _mask("mask as WEBP", saved("WEBP")),
    _mask("mask with 16 bits", saved("PNG", "I;16")),
    Good(
        name="as small as may be",
        image=answer(saved("JPEG", size=SMALLEST)),
        mask=answer(saved("PNG", "1", size=SMALLEST)),
    ),
    Good(
        name="as large as may be",
        image=answer(saved("JPEG", "L", size=LARGEST)),
        mask=answer(saved("PNG", "1", size=LARGEST)),
    ),
    _served("no type", answer(saved("PNG"))),
    _served("a wrong type", answer(saved("PNG"), headers=["Content-Type: text/html; charset=utf-8"])),
    _served("a download", answer(saved("PNG"), headers=["Content-Disposition: attachment; filename=photo.gif"])),
    _served("in chunks, without a length", _chunked(saved("JPEG"))),
    _served("without a length", _until_closed(saved("WEBP"))),
    _served("a few bytes at a time", _in_pieces(answer(saved("JPEG")))),
    _served("behind an interim answer", _in_pieces(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(saved("PNG")))),
    *(
        _served(f"with {value} as its encoding", answer(saved("PNG"), headers=[f"Content-Encoding: {value}"]))
        for value in ("identity", "aws-chunked", "aws-chunked,identity", "base64", "utf-8", "image/png", "none")
    ),
    _served("compressed, it says, and it is not", answer(saved("PNG"), headers=["Content-Encoding: gzip"])),
    _served("through a changing proxy", answer(saved("PNG"), status="203 Non-Authoritative Information")),
    _served("as a part that is the whole", answer(saved("PNG"), status="206 Partial Content")),
    _served("stalling behind its header", _stalling(saved("JPEG"))),
    *(
        _served(f"behind a redirect with {status}", moved("/photo", status))
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")
    ),
    _served("behind a redirect to another host", moved("http://cdn.example:{port}/photo?signature=canary")),
    _served("behind three redirects", moved("/two-hops")),
    _served("30 MB announced", b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + saved("JPEG")),
)
