"""What the first bytes of a file look like when they are no image that the provider takes: words for a message."""

from __future__ import annotations

import re

LOOK_BYTES = 1024
"""With so many bytes the guess is as good as it gets."""

_FORMATS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x8aMNG", "MNG"),
    (b"\x8bJNG", "JNG"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"v/1\1", "OpenEXR"),
    (b"gimp xcf", "XCF"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
)
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "camera raw",
}
"""The major brands of images in the ISO container; all others are films and sound."""
_PORTABLE = re.compile(rb"P[1-7]\s")
_SVG_START = re.compile(rb"<\?xml|<!--|<!doctype svg|<svg")
_ARCHIVES: tuple[tuple[bytes, str], ...] = (
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "data compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "data compressed with zstd"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1aE\xdf\xa3", "a film"),
)
# What a file in lower case, without the white space before it, is as a text; the first that fits.
_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"<(?:!doctype html|html|head|body|title|meta|script|div|p|h1)\b"), "a web page (HTML)"),
    (re.compile(rb"<"), "XML, perhaps the error message of a store"),
    (re.compile(rb"[{\[]"), "JSON"),
    (re.compile(rb"data:"), "the text of a data: URL"),
    (re.compile(rb"ivborw0kggo|/9j/|uklgr"), "the text of an image in base64"),
    (re.compile(rb"[\t\n\f\r\x20-\xff]+\Z"), "text"),
)


def image_format(head: bytes) -> str | None:
    """The image format that these bytes begin, if it is one that the provider does not take."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    for magic, name in _FORMATS:
        if head.startswith(magic):
            return name
    if _PORTABLE.match(head):
        return "PNM"
    text = _as_text(head)
    return "SVG" if _SVG_START.match(text) and b"<svg" in text else None


def description(head: bytes) -> str:
    """What these bytes, which begin no image, look like to a person."""
    if head[4:8] == b"ftyp":
        return "a film"
    for magic, name in _ARCHIVES:
        if head.startswith(magic):
            return name
    text = _as_text(head)
    return next((name for pattern, name in _TEXTS if pattern.match(text)), "bytes of an unknown kind")


def _as_text(head: bytes) -> bytes:
    """The beginning in lower case, without a byte order mark and white space."""
    return head[:LOOK_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
