"""Sources that must never reach the provider: how each is served, what is told about it, whether time may mend it."""

from __future__ import annotations

import gzip
import socket
from dataclasses import dataclass
from typing import Literal

from tests.loopback import answer
from tests.unit.storage.pictures import png_chunk
from tests.unit.storage.source_pictures import (
    box,
    frames,
    jpeg_frame,
    jpeg_segment,
    jpeg_with,
    metadata,
    png_claiming,
    png_with,
    saved,
    turned,
    webp,
    ycck,
)
from tests.unit.tasks.source_server import Script, moved

Page = bytes | Script
Then = Literal["fails", "waits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One pair of sources of which one is bad. `url` stands in place of the server's own, `{port}` for its port."""

    name: str
    code: str
    then: Then
    image: Page
    mask: Page
    url: str = ""
    param: Literal["image", "mask"] = "image"


def photo() -> bytes:
    return answer(saved("JPEG"))


def mask_file() -> bytes:
    return answer(saved("PNG", "L"))


def _fails(name: str, code: str, image: Page = b"", *, url: str = "") -> Bad:
    return Bad(name=name, code=code, then="fails", image=image, mask=mask_file(), url=url)


def _waits(name: str, code: str, image: Page = b"", *, url: str = "") -> Bad:
    return Bad(name=name, code=code, then="waits", image=image, mask=mask_file(), url=url)


def _body(name: str, code: str, body: bytes, *headers: str) -> Bad:
    return _fails(name, code, answer(body, headers=headers))


def _mask(name: str, code: str, mask: Page, *, image: Page | None = None, then: Then = "fails") -> Bad:
    return Bad(name=name, code=code, then=then, image=image or photo(), mask=mask, param="mask")


def _status(status: str, *headers: str) -> bytes:
    return answer(b"<html>no</html>", status=status, headers=headers)


def _raw(*parts: bytes) -> Script:
    def write(connection: socket.socket) -> None:
        connection.sendall(b"".join(parts))

    return write


def _reset(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + saved("JPEG")[:20])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def _silent_after(beginning: bytes) -> Script:
    def write(connection: socket.socket) -> None:
        connection.sendall(beginning)
        # Until the client hangs up.
        connection.recv(1)

    return write


OK = b"HTTP/1.1 200 OK\r\n"
HTML = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>" + b"<p>x</p>" * 300
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='800' height='800'><script>1</script></svg>"
S3_ERROR = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'

ANSWERS: tuple[Bad, ...] = (
    _fails("404", "source_not_found", _status("404 Not Found")),
    _fails("410", "source_not_found", _status("410 Gone")),
    _fails("401", "source_forbidden", _status("401 Unauthorized", "WWW-Authenticate: Basic realm=x")),
    _fails("403, a presigned URL that has expired", "source_forbidden", _status("403 Forbidden")),
    _fails("400", "source_status", _status("400 Bad Request")),
    _fails("204", "source_status", b"HTTP/1.1 204 No Content\r\n\r\n"),
    _fails("206 that is no image", "source_not_an_image", answer(HTML, status="206 Partial Content")),
    _fails("418", "source_status", _status("418 I'm a teapot")),
    _fails("four redirects", "source_redirect", moved("/three-hops")),
    _fails("redirects in a circle", "source_redirect", moved("/round", "301 Moved")),
    _fails("302 to nowhere", "source_redirect", _status("302 Found")),
    _fails("302 to no URL of the web", "source_redirect", moved("data:image/png;base64,iVBORw0KGgo=")),
    _fails("304", "source_redirect", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    _fails("302 to metadata", "source_blocked", moved("http://169.254.169.254/latest/?signature=canary")),
    _fails("307 to a private address by name", "source_blocked", moved("http://private.example/a", "307 Temporary")),
    _fails("308 to another port", "source_blocked", moved("http://other.example:6379/", "308 Permanent")),
    _fails("302 to a small picture", "source_side_too_short", moved("/stamp")),
    _waits("302 to bytes that are no HTTP", "source_no_answer", moved("/elsewhere")),
    _waits("500", "source_server_error", _status("500 Internal Server Error")),
    _waits("502", "source_server_error", _status("502 Bad Gateway")),
    _waits("503", "source_server_error", _status("503 Service Unavailable")),
    _waits("429", "source_server_error", _status("429 Too Many Requests")),
    _waits("408", "source_server_error", _status("408 Request Timeout")),
    _body("no bytes, announced", "source_empty", b""),
    _fails("no bytes, not announced", "source_empty", _raw(OK, b"\r\n")),
    _fails(
        "30 MB and one byte announced",
        "source_too_large",
        _raw(OK, b"Content-Length: 30000001\r\n\r\n", b"\xff" * 2000),
    ),
    _waits(
        "fewer bytes than announced", "source_truncated", _raw(OK, b"Content-Length: 99999\r\n\r\n", saved("JPEG")[:90])
    ),
    _waits("announced, and none came", "source_truncated", _raw(OK, b"Content-Length: 99999\r\n\r\n")),
    _waits(
        "a chunk that breaks off", "source_truncated", _raw(OK, b"Transfer-Encoding: chunked\r\n\r\n50\r\n\xff\xd8\xff")
    ),
    _waits("reset in the body", "source_truncated", _reset),
    _body("gzip", "source_encoded", gzip.compress(saved("JPEG")), "Content-Encoding: gzip"),
    _body("brotli", "source_encoded", b"\x1b\x00\x10" * 500, "Content-Encoding: br"),
)
CONNECTIONS: tuple[Bad, ...] = (
    _fails("metadata by address", "source_blocked", url="http://169.254.169.254/latest/?signature=canary"),
    _fails("metadata by name", "source_blocked", url="http://metadata.example/?signature=canary"),
    _fails("a private address", "source_blocked", url="http://192.168.1.10/photo.jpg?signature=canary"),
    _fails("a private address by name", "source_blocked", url="http://private.example/photo.jpg?signature=canary"),
    _fails("a public and a private address", "source_blocked", url="http://mixed.example/photo.jpg?signature=canary"),
    _fails("a name of the local network", "source_blocked", url="http://minio.internal/photo.jpg?signature=canary"),
    _fails("a database's port", "source_blocked", url="http://other.example:6379/photo.jpg?signature=canary"),
    _waits("no such name", "source_no_answer", url="http://typo.example/photo.jpg?signature=canary"),
    _waits("nobody listens", "source_no_answer", url="http://closed.example:{port}/image?signature=canary"),
    _waits("TLS where there is none", "source_no_answer", url="https://shop.example:{port}/image?signature=canary"),
    _waits("hangs up", "source_no_answer", _raw()),
    _waits("another protocol", "source_no_answer", _raw(b"SSH-2.0-OpenSSH\r\n")),
    _waits("never answers", "source_timeout", _silent_after(b"")),
    _waits("never ends its headers", "source_timeout", _silent_after(OK + b"X-A: ")),
    _waits("stops in the body", "source_timeout", _silent_after(answer(saved("PNG"))[:60])),
)  # fmt: skip
FOREIGN: tuple[Bad, ...] = (
    _body("a page", "source_not_an_image", HTML),
    _body("a page that says it is a JPEG", "source_not_an_image", HTML, "Content-Type: image/jpeg"),
    _body("a store's error", "source_not_an_image", S3_ERROR),
    _body("JSON", "source_not_an_image", b'{"url": "https://shop.example/perfume.jpg"}'),
    _body("text", "source_not_an_image", b"The image is not here.\n"),
    _body("base64", "source_not_an_image", b"iVBORw0KGgoAAAANSUhEUgAAAoAAAAHgCAIAAAC6s0uzAAA"),
    _body("a data URL", "source_not_an_image", b"data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="),
    _body("a ZIP archive", "source_not_an_image", b"PK\x03\x04" + b"\0" * 2000),
    _body("a gzipped file", "source_not_an_image", gzip.compress(saved("PNG"))),
    _body("a film", "source_not_an_image", box(b"isom")),
    _body("zeros", "source_not_an_image", b"\0" * 4096),
    _body("one byte", "source_not_an_image", b"\xff"),
    _body("four bytes of a PNG", "source_not_an_image", b"\x89PNG"),
    _body("white space before a PNG", "source_not_an_image", b"\n" + saved("PNG")),
    _body("sound in RIFF", "source_not_an_image", b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 2000),
    _body("GIF", "source_format", saved("GIF", "P")),
    _body("GIF that says it is a PNG", "source_format", saved("GIF", "P"), "Content-Type: image/png"),
    _body("BMP", "source_format", saved("BMP")),
    _body("TIFF", "source_format", saved("TIFF")),
    _body("ICO", "source_format", saved("ICO")),
    _body("JPEG 2000", "source_format", b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 500),
    _body("JPEG XL", "source_format", b"\xff\x0a" + b"\0" * 500),
    _body("PNM", "source_format", saved("PPM")),
    _body("SVG", "source_format", SVG),
    _body("SVG behind a declaration", "source_format", b"\xef\xbb\xbf<?xml version='1.0'?>\n" + SVG),
    _body("HEIC, as phones save it", "source_format", box(b"heic")),
    _body("AVIF", "source_format", box(b"avif")),
    _body("PDF", "source_format", b"%PDF-1.7\n" + b"x" * 2000),
    _body("PSD", "source_format", b"8BPS\0\1" + b"\0" * 2000),
    _body("lossless JPEG", "source_format", jpeg_frame(0xC3)),
    _body("JPEG with 12 bits", "source_format", jpeg_frame(0xC1, bits=12)),
)
UNFIT: tuple[Bad, ...] = (
    _body("PNG with a changed width", "source_damaged", saved("PNG")[:18] + b"\x01" + saved("PNG")[19:]),
    _body("PNG without its header", "source_damaged", saved("PNG")[:8] + saved("PNG")[33:]),
    _body("PNG without pixels", "source_damaged", png_with(after=png_chunk(b"IEND", b""))),
    _body("PNG that ends in its header", "source_damaged", saved("PNG")[:30]),
    _body("PNG of no colour type", "source_damaged", png_claiming(640, 480, colour_type=5)),
    _body("PNG without width", "source_damaged", png_claiming(0, 480)),
    _body("PNG with zeros in place of chunks", "source_damaged", png_with(after=b"\0" * 2000)),
    _body("JPEG without a frame", "source_damaged", b"\xff\xd8" + jpeg_segment(0xDA, b"\0" * 10) + b"\0" * 2000),
    _body("JPEG that ends in its header", "source_damaged", saved("JPEG")[:100]),
    _body("JPEG of zeros", "source_damaged", b"\xff\xd8\xff" + b"\0" * 2000),
    _body("JPEG with a segment shorter than its length", "source_damaged", b"\xff\xd8\xff\xe0\0\1" + b"\0" * 2000),
    _body("JPEG with two colours", "source_damaged", jpeg_frame(components=2)),
    _body("JPEG without height", "source_damaged", jpeg_frame(height=0)),
    _body("JPEG that ends in its metadata", "source_damaged", jpeg_with(*metadata(2_000_000))[:1_900_000]),
    _body("JPEG of 9 MB of zeros", "source_damaged", b"\xff\xd8\xff" + b"\0" * 9_000_000),
    _body("WEBP without a key frame", "source_damaged", webp(b"VP8 ", b"\x01\0\0\x9d\x01\x2a\x80\x02\xe0\x01")),
    _body("WEBP with another signature", "source_damaged", webp(b"VP8L", b"\x30\0\0\0\0" + b"\0" * 100)),
    _body("WEBP of no known kind", "source_damaged", webp(b"JUNK", b"\0" * 100)),
    _body("WEBP that ends in its header", "source_damaged", saved("WEBP")[:24]),
    _body("1 by 1", "source_side_too_short", saved("PNG", size=(1, 1))),
    _body("399 wide", "source_side_too_short", saved("JPEG", size=(399, 800))),
    _body("399 high", "source_side_too_short", saved("WEBP", size=(800, 399))),
    _body("4097 wide", "source_side_too_long", saved("JPEG", "L", size=(4097, 500))),
    _body("4097 high", "source_side_too_long", saved("PNG", "1", size=(500, 4097))),
    _body("WEBP 5000 wide", "source_side_too_long", saved("WEBP", size=(5000, 400))),
    _body("a bomb of 50,000 squared", "source_side_too_long", png_claiming(50_000, 50_000)),
    _body("too narrow and too high", "source_side_too_long", png_claiming(100, 50_000)),
    _body("CMYK", "source_colour", saved("JPEG", "CMYK")),
    _body("YCCK", "source_colour", ycck()),
    _body("animated PNG", "source_animated", frames("PNG")),
    _body("animated WEBP", "source_animated", frames("WEBP")),
)
MASKS: tuple[Bad, ...] = (
    _mask("mask: 404", "source_not_found", _status("404 Not Found")),
    _mask("mask: 503", "source_server_error", _status("503 Service Unavailable"), then="waits"),
    _mask("mask: a page", "source_not_an_image", answer(HTML)),
    _mask("mask: GIF", "source_format", answer(saved("GIF", "P"))),
    _mask("mask: too small", "source_side_too_short", answer(saved("PNG", "L", size=(64, 48)))),
    _mask("mask: half the size", "source_mask_size", answer(saved("PNG", "L", size=(960, 720)))),
    _mask("mask: one pixel short", "source_mask_size", answer(saved("PNG", "1", size=(640, 479)))),
    _mask("mask: on its side", "source_mask_size", answer(saved("PNG", "L", size=(480, 640)))),
    _mask(
        "mask: fits the photo as viewers show it",
        "source_mask_turned",
        answer(saved("PNG", "L", size=(480, 640))),
        image=answer(turned("JPEG", 6)),
    ),
    _mask(
        "mask: fits the PNG as viewers show it",
        "source_mask_turned",
        answer(saved("PNG", "L", size=(480, 640))),
        image=answer(turned("PNG", 8)),
    ),
    _mask(
        "mask: on its side, of a photo that stands on its head",
        "source_mask_size",
        answer(saved("PNG", "L", size=(480, 640))),
        image=answer(turned("JPEG", 3)),
    ),
)  # fmt: skip

BAD_SOURCES = (*ANSWERS, *CONNECTIONS, *FOREIGN, *UNFIT, *MASKS)


def those_that(then: Then) -> list[Bad]:
    """The bad sources that end a job at once, or make it wait."""
    return [bad for bad in BAD_SOURCES if bad.then == then]
