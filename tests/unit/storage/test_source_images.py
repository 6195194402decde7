"""What the first bytes of a source say of it, against the decoder that reads whole files, and against damage."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from sceneshift.fetch_errors import FetchBlockedError, FetchFailedError, FetchStatusError
from storage.image_headers import (
    DamagedHeaderError,
    ImageHeader,
    IncompleteHeaderError,
    RareVariantError,
    read_header,
)
from storage.source_errors import SourceError, SourceNotAnImageError
from storage.source_images import HEAD_MAX_BYTES, check_pair, is_decided, of_fetch_error, read_source
from tests.unit.storage.pictures import png_chunk
from tests.unit.storage.source_pictures import (
    a_peek,
    box,
    frames,
    header_of,
    jpeg_frame,
    jpeg_segment,
    jpeg_with,
    metadata,
    png_claiming,
    png_with,
    saved,
    turned,
    webp,
)

ROOT = Path(__file__).resolve().parents[3]
FUZZED = 5000

WHOLE: dict[str, bytes] = {
    **{f"PNG {mode}": saved("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")},
    **{f"JPEG {mode}": saved("JPEG", mode) for mode in ("RGB", "L", "CMYK")},
    "JPEG progressive": saved("JPEG", progressive=True, size=(401, 4096)),
    "JPEG with metadata": jpeg_with(*metadata(200_000)),
    **{f"JPEG turned {number}": turned("JPEG", number) for number in range(1, 9)},
    "PNG turned": turned("PNG", 6),
    "PNG with text": png_with(png_chunk(b"iTXt", b"a\0\0\0\0\0" + b"x" * 70_000)),
    "WEBP": saved("WEBP", size=(401, 1203)),
    "WEBP lossless": saved("WEBP", lossless=True, size=(1203, 401)),
    "WEBP with transparency": saved("WEBP", "RGBA", size=(999, 777)),
    "WEBP lossless, with transparency": saved("WEBP", "RGBA", lossless=True, size=(999, 777)),
    "WEBP with Exif data": turned("WEBP", 1),
    "PNG animated": frames("PNG"),
    "WEBP animated": frames("WEBP"),
}

every_file = pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE.keys())


def all_codes() -> list[str]:
    return [SourceError.code, *(kind.code for kind in SourceError.__subclasses__())]


@every_file
def test_the_header_says_what_the_decoder_finds(whole: bytes) -> None:
    """Format, size, print colours and animation are what Pillow makes of the whole file."""
    header = header_of(whole)
    with Image.open(io.BytesIO(whole), formats=("PNG", "JPEG", "WEBP")) as image:
        assert (header.format, header.width, header.height) == (image.format, *image.size)
        assert header.is_cmyk is (image.mode == "CMYK")
        assert header.is_animated is (getattr(image, "n_frames", 1) > 1)
        if header.format != "WEBP":
            assert header.orientation == image.getexif().get(0x0112, 1)


@every_file
def test_a_part_says_the_same_as_the_whole_or_nothing(whole: bytes) -> None:
    """However few bytes have come, they never lead to another answer than all of them."""
    expected = header_of(whole)
    decided = []
    for length in range(0, len(whole), max(1, len(whole) // 2000)):
        try:
            header = read_header(whole[:length])
        except IncompleteHeaderError:
            assert not is_decided(whole[:length])
            continue
        assert header == expected
        assert is_decided(whole[:length])
        decided.append(length)
    assert decided
    assert decided[0] < len(whole)


@pytest.mark.parametrize("content_encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "identity, gzip"])
def test_only_what_is_no_image_by_itself_counts_as_compressed(content_encoding: str) -> None:
    """A compression that is only claimed does not matter, and a real one is told instead of unknown bytes."""
    claimed = a_peek(saved("JPEG"), content_encoding=content_encoding)
    assert read_source("image", claimed, max_bytes=HEAD_MAX_BYTES) == header_of(saved("JPEG"))
    with pytest.raises(SourceError) as caught:
        read_source("image", a_peek(b"\x1b\0\x10" * 500, content_encoding=content_encoding), max_bytes=HEAD_MAX_BYTES)
    assert caught.value.code == "source_encoded"


@pytest.mark.parametrize("content_encoding", ["base64", "utf-8", "aws-chunked,identity", "image/jpeg", "none"])
def test_other_encodings_say_nothing(content_encoding: str) -> None:
    """What an uploader wrote there neither refuses a good image nor explains a bad one."""
    good, bad = (a_peek(body, content_encoding=content_encoding) for body in (saved("PNG"), b"<html></html>"))
    assert read_source("image", good, max_bytes=HEAD_MAX_BYTES) == header_of(saved("PNG"))
    with pytest.raises(SourceNotAnImageError):
        read_source("image", bad, max_bytes=HEAD_MAX_BYTES)


def test_an_animation_is_called_one() -> None:
    """A WEBP may be one without having a second frame."""
    flagged = webp(b"VP8X", b"\x02\0\0\0\x7f\2\0\xdf\1\0")
    with pytest.raises(SourceError, match="this WEBP is animated") as caught:
        read_source("image", a_peek(flagged), max_bytes=HEAD_MAX_BYTES)
    assert caught.value.code == "source_animated"


def test_no_pixel_is_needed() -> None:
    """A PNG of fifty thousand squared has its size told by 41 bytes."""
    assert header_of(png_claiming(50_000, 50_000)[:41]) == ImageHeader(format="PNG", width=50_000, height=50_000)


def fuzzed() -> Iterator[bytes]:
    """Good files with bytes changed, cut out, repeated or put in at random, always the same ones."""
    chance = random.Random(20261123)
    files = [whole[:3000] for whole in WHOLE.values()]
    for _ in range(FUZZED):
        body = bytearray(chance.choice(files))
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(min(len(body), chance.choice((40, 400, 3000))))
            change = chance.randrange(4)
            if change == 0:
                body[place] = chance.randrange(256)
            elif change == 1:
                del body[place : place + chance.randint(1, 20)]
            elif change == 2:
                body[place:place] = body[place : place + chance.randint(1, 200)]
            else:
                body[place:place] = chance.randbytes(chance.randint(1, 20))
        yield bytes(body)


def test_damage_is_an_answer_and_never_a_crash() -> None:
    """Whatever the bytes, a header is read, is missing, or is refused by its own error, and a judgement follows."""
    seen: set[type] = set()
    codes: set[str] = set()
    for body in fuzzed():
        try:
            seen.add(type(read_header(body)))
        except (IncompleteHeaderError, DamagedHeaderError, RareVariantError) as error:
            seen.add(type(error))
        is_decided(body)
        try:
            read_source("image", a_peek(body), max_bytes=HEAD_MAX_BYTES)
        except SourceError as error:
            codes.add(error.code)
    assert seen >= {ImageHeader, type(None), IncompleteHeaderError, DamagedHeaderError}
    assert {"source_damaged", "source_not_an_image", "source_side_too_long"} <= codes <= {*all_codes()}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!doctype html><title>502 Bad Gateway</title>", "a web page (HTML)"),
        (b"\xef\xbb\xbf \n<HTML lang=en>", "a web page (HTML)"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "XML"),
        (b' {"error": 404}', "JSON"),
        (b"[1, 2]", "JSON"),
        ("Fotografie für später".encode(), "text"),
        (b"/9j/4AAQSkZJRgABAQAAAQABAAD", "base64"),
        (b"data:image/webp;base64,UklGR", "data: URL"),
        (b"PK\x03\x04\0\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "compressed with gzip"),
        (box(b"mp42"), "a film"),
        (bytes(range(256)) * 8, "bytes of an unknown kind"),
    ],
)
def test_what_is_no_image_is_told_by_what_it_looks_like(body: bytes, words: str) -> None:
    """The text names its kind and quotes none of it: it may be a page that only the worker can see."""
    with pytest.raises(SourceNotAnImageError, match=re.escape(words)) as caught:
        read_source("mask", a_peek(body), max_bytes=HEAD_MAX_BYTES)
    assert caught.value.message.startswith("mask: ")
    assert "Bad Gateway" not in caught.value.message
    assert "NoSuchKey" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (saved("GIF", "P"), "GIF"),
        (saved("BMP"), "BMP"),
        (saved("TIFF"), "TIFF"),
        (saved("PPM"), "PNM"),
        (b"<!-- drawn --><svg viewBox='0 0 8 8'></svg>", "SVG"),
        (box(b"heic"), "HEIC"),
        (box(b"avif"), "AVIF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1\0\0\0\0\0\0", "PSD"),
        (jpeg_frame(0xC3), "a lossless or hierarchical JPEG"),
        (jpeg_frame(bits=12), "a JPEG with 12 bits per colour"),
    ],
)
def test_an_image_of_another_format_is_named(body: bytes, name: str) -> None:
    """The text says which format it is, and which are taken."""
    with pytest.raises(SourceError) as caught:
        read_source("image", a_peek(body), max_bytes=HEAD_MAX_BYTES)
    assert caught.value.code == "source_format"
    assert f"this is {name}" in caught.value.message
    assert "PNG" in caught.value.message


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (saved("JPEG", size=(399, 800)), ("image: 399 by 800 pixels", "400")),
        (saved("PNG", "1", size=(4097, 500)), ("image: 4097 by 500 pixels", "4096")),
        (saved("PNG", "1", size=(640, 480)), ("mask: 640 by 480 pixels", "500 by 500", "one size")),
    ],
)
def test_a_wrong_size_is_told_with_the_limit(body: bytes, texts: tuple[str, ...]) -> None:
    """The field, what was found and what is needed are in one sentence."""
    with pytest.raises(SourceError) as caught:
        check_pair(
            header_of(saved("JPEG", size=(500, 500))),
            read_source("image", a_peek(body), max_bytes=HEAD_MAX_BYTES),
        )
    assert all(text in caught.value.message for text in texts)


@pytest.mark.parametrize("whole", [jpeg_with(*metadata(2_000_000)), png_with(png_chunk(b"iTXt", b"x" * 90_000))])
def test_a_file_that_ends_in_its_header_is_damaged(whole: bytes) -> None:
    """A PNG too, although its size is known: there are no pixels."""
    with pytest.raises(SourceError, match="the file ends in the header") as caught:
        read_source("image", a_peek(whole[:60_000]), max_bytes=3_000_000)
    assert caught.value.code == "source_damaged"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(png_with(after=png_chunk(b"IEND", b"")), id="PNG ends before its pixels"),
        pytest.param(png_claiming(0, 480)[:33], id="PNG without width"),
        pytest.param(png_with(after=b"\0\0\0\0\0\0\0\0"), id="PNG chunk without a name"),
        pytest.param(png_with(after=b"\xff\xff\xff\xfftEXt"), id="PNG chunk of four gigabytes"),
        pytest.param(b"\xff\xd8" + jpeg_segment(0xDA, b"\0" * 10), id="JPEG pixels before their frame"),
        pytest.param(b"\xff\xd8\xff\xd9" + b"\0" * 10, id="JPEG that ends at once"),
        pytest.param(b"\xff\xd8\xff\xe0\0\1" + b"\0" * 10, id="JPEG segment shorter than its length"),
        pytest.param(b"\xff\xd8" + jpeg_segment(0xC0, b"\x08\x01") + b"\0" * 10, id="JPEG frame that is too short"),
        pytest.param(webp(b"VP8L", b"\x2f\0\0\0\xe0"), id="WEBP of a later version"),
    ],
)
def test_damage_is_told_as_soon_as_it_is_seen(head: bytes) -> None:
    """No more bytes are asked for where none could help."""
    with pytest.raises(DamagedHeaderError):
        read_header(head)
    assert is_decided(head)


def test_an_exif_block_that_is_nonsense_turns_nothing() -> None:
    """It counts as none; the image is as good as without it."""
    for block in (b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 100, b"nonsense"):
        assert header_of(jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + block))).orientation == 1


def test_a_scaling_hint_is_no_part_of_the_width() -> None:
    """The two highest bits of a WEBP's sides mean something else."""
    hinted = webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a\x80\xc2\xe0\x41" + b"\0" * 100)
    assert (header_of(hinted).width, header_of(hinted).height) == (640, 480)


def test_stray_bytes_between_segments_are_passed_over() -> None:
    """Decoders skip to the next marker, and so does this reader."""
    assert header_of(jpeg_with(b"\xff\x00" * 1000, b"\x00stray", jpeg_segment(0xFE, b"note"))).width == 640


def test_a_blocked_url_says_the_remedy_and_not_the_reason() -> None:
    """What is behind the guard stays behind it."""
    error = of_fetch_error("mask", FetchBlockedError(reason="10.0.0.1: private"))
    assert error.code == "source_blocked"
    assert "SCENESHIFT_ALLOW_HOSTS" in error.message
    assert "10.0.0.1" not in error.message


def test_the_texts_of_the_network_are_passed_on() -> None:
    """Which step failed, and with which host, is what mends it."""
    error = of_fetch_error("image", FetchFailedError("shop.example: TLS failed (certificate has expired)"))
    assert error.message == "image: shop.example: TLS failed (certificate has expired)"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, "source_not_found") for status in (404, 410)),
        *((status, "source_forbidden") for status in (401, 403)),
        *((status, "source_redirect") for status in (300, 301, 302, 303, 304, 307, 308, 399)),
        *((status, "source_server_error") for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, "source_status") for status in (201, 204, 206, 400, 402, 405, 406, 409, 418, 451)),
    ],
)
def test_each_status_has_its_meaning(status: int, code: str) -> None:
    """Gone, forbidden, elsewhere, busy, or simply wrong; the text has the number, and only busy ones may pass."""
    error = of_fetch_error(
        "image", FetchStatusError(f"shop.example answered with status {status}", status=status, retry_after_seconds=9.0)
    )
    assert (error.code, error.retryable) == (code, code == "source_server_error")
    assert str(status) in error.message
    assert error.retry_after_seconds == (9.0 if error.retryable else None)


def test_each_error_has_a_code_of_its_own() -> None:
    """None is the provider's word, and each fits the short field of a record that names what a job waits for."""
    codes = all_codes()
    assert len(set(codes)) == len(codes) == 22
    assert all(code.startswith("source_") and len(code) <= 64 for code in codes)
    assert not {"source_unreachable", "source_unfit"} & set(codes)


def test_the_error_page_tells_which_bad_sources_are_looked_at_again() -> None:
    """Its table has each code, with the word of the class."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    text = page.partition("### A source is bad")[2].partition("\n##")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \|[^|]+\| (yes|no) \|", text, re.MULTILINE))
    kinds: list[type[SourceError]] = [SourceError, *SourceError.__subclasses__()]
    assert documented == {kind.code: "yes" if kind.retryable else "no" for kind in kinds}
