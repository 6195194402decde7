"""How a result URL may be answered badly: lies about length, no end, no haste, encodings, and no HTTP."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.loopback import Reply, answer
from tests.unit.storage.pictures import picture

PNG = picture()
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REPEATS_MAX = 100_000
PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class HostileAnswer:
    """`code` is the reason that the image is missing for in the end."""

    name: str
    reply: Reply
    code: str


def _says(content: bytes) -> Reply:
    return lambda connection, _request: connection.sendall(content)


def _repeats(beginning: bytes, piece: bytes) -> Reply:
    def reply(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(beginning)
        for _ in range(REPEATS_MAX):
            connection.sendall(piece)

    return reply


def _trickles(beginning: bytes, piece: bytes, wait: Callable[[float], object]) -> Reply:
    def reply(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(beginning)
        for _ in range(REPEATS_MAX):
            connection.sendall(piece)
            wait(PAUSE_SECONDS)

    return reply


def _falls_silent(beginning: bytes) -> Reply:
    def reply(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(beginning)
        connection.recv(1)

    return reply


def _resets(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(OK + b"Content-Length: 100000\r\n\r\n" + PNG)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def _encoded(name: str, body: bytes) -> Reply:
    return _says(answer(body, headers=[f"Content-Encoding: {name}"]))


def _chain(layers: int) -> bytes:
    body = bytes(10_000_000)
    for _ in range(layers):
        body = gzip.compress(body)
    return body


def hostile_answers(wait: Callable[[float], object]) -> tuple[HostileAnswer, ...]:
    """All of them; `wait` is how a slow server passes its time."""
    length = len(PNG)
    return tuple(
        HostileAnswer(*case)
        for case in (
            ("shorter than announced", _says(OK + b"Content-Length: %d\r\n\r\n" % (length + 1) + PNG), "truncated"),
            ("longer than announced", _says(OK + b"Content-Length: %d\r\n\r\n" % (length // 2) + PNG),
             "truncated_image"),
            ("announced as nothing", _says(OK + b"Content-Length: 0\r\n\r\n" + PNG), "not_an_image"),
            ("announced as ten gigabytes", _says(OK + b"Content-Length: 10000000000\r\n\r\n" + PNG), "too_large"),
            ("announced as less than nothing", _says(OK + b"Content-Length: -1\r\n\r\n" + PNG), "fetch_failed"),
            ("announced twice", _says(OK + b"Content-Length: 5\r\nContent-Length: 900\r\n\r\n" + PNG), "fetch_failed"),
            ("announced by a word", _says(OK + b"Content-Length: many\r\n\r\n" + PNG), "fetch_failed"),
            ("cut between two chunks", _says(CHUNKED + b"4\r\n\x89PNG\r\n"), "truncated"),
            ("cut in a chunk", _says(CHUNKED + b"400\r\n\x89PNG"), "truncated"),
            ("a chunk of no size", _says(CHUNKED + b"ZZ\r\n\x89PNG\r\n0\r\n\r\n"), "truncated"),
            ("a chunk of endless size", _says(CHUNKED + b"f" * 40 + b"\r\n\x89PNG"), "truncated"),
            ("endless chunks", _repeats(CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"), "too_large"),
            ("endless without a length", _repeats(OK + b"\r\n", b"x" * 65_536), "too_large"),
            ("endless headers", _repeats(OK, b"X-More: " + b"x" * 10_000 + b"\r\n"), "fetch_failed"),
            ("endless news before the answer", _repeats(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 50), "fetch_failed"),
            ("reset in the body", _resets, "truncated"),
            ("a byte now and then", _trickles(OK + b"Content-Length: 100000\r\n\r\n", b"x", wait), "fetch_timeout"),
            ("a header's letter now and then", _trickles(OK, b"X", wait), "fetch_timeout"),
            ("an empty chunk header now and then", _trickles(CHUNKED, b"1\r\nx\r\n", wait), "fetch_timeout"),
            ("silence before the answer", _falls_silent(b""), "fetch_timeout"),
            ("silence in the body", _falls_silent(OK + b"Content-Length: 100000\r\n\r\n"), "fetch_timeout"),
            ("gzip", _encoded("gzip", gzip.compress(PNG)), "fetch_failed"),
            ("gzip bomb", _encoded("gzip", _chain(1)), "fetch_failed"),
            ("gzip in gzip in gzip", _encoded("gzip, gzip, gzip", _chain(3)), "fetch_failed"),
            ("brotli", _encoded("br", b"\x0b\x02\x80\x00\x03"), "fetch_failed"),
            ("zstandard", _encoded("zstd", b"\x28\xb5\x2f\xfd\x00"), "fetch_failed"),
            ("deflate", _encoded("deflate", zlib.compress(PNG)), "fetch_failed"),
            ("gzip that is not announced", _says(answer(gzip.compress(PNG))), "not_an_image"),
            ("gzip as a transfer encoding",
             _says(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "fetch_failed"),
            ("no http", _says(b"SSH-2.0-OpenSSH_9.9\r\n"), "fetch_failed"),
            ("http of 1991", _says(b"<html>hello</html>"), "fetch_failed"),
            ("nothing at all", _says(b""), "fetch_failed"),
            ("no content", _says(b"HTTP/1.1 204 No Content\r\n\r\n"), "http_status"),
            ("a part that nobody asked for", _says(answer(PNG, status="206 Partial Content")), "http_status"),
            ("a redirect to the metadata service",
             _says(answer(status="302 Found", headers=["Location: http://169.254.169.254/"])), "http_status"),
            ("forbidden, with a picture", _says(answer(PNG, status="403 Forbidden")), "http_status"),
        )
    )  # fmt: skip
