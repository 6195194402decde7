"""Which bytes are an image that may be stored: a corpus of good, foreign, damaged and hostile ones."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import pytest
from PIL import Image

from storage.images import (
    AnimatedImageError,
    FormatNotAllowedError,
    ImageRejectedError,
    NotAnImageError,
    TooManyPixelsError,
    TruncatedImageError,
    inspect_image,
)
from tests.unit.storage.pictures import animation, picture, png_chunk, png_header

MAX_PIXELS = 1_000_000


@pytest.mark.parametrize(
    ("image_format", "mode", "content_type"),
    [
        ("PNG", "RGB", "image/png"),
        ("PNG", "RGBA", "image/png"),
        ("PNG", "L", "image/png"),
        ("PNG", "I;16", "image/png"),
        ("PNG", "P", "image/png"),
        ("JPEG", "RGB", "image/jpeg"),
        ("JPEG", "L", "image/jpeg"),
        ("JPEG", "CMYK", "image/jpeg"),
        ("WEBP", "RGB", "image/webp"),
        ("WEBP", "RGBA", "image/webp"),
    ],
)
def test_an_image_is_described_by_what_it_is(image_format: str, mode: str, content_type: str) -> None:
    """Type and size come from the bytes, for every kind of the three formats; the file stays open."""
    file = io.BytesIO(picture(image_format, (80, 60), mode))
    file.seek(0, io.SEEK_END)
    facts = inspect_image(file, max_pixels=MAX_PIXELS)
    assert (facts.content_type, facts.width, facts.height) == (content_type, 80, 60)
    assert not file.closed


def gif() -> bytes:
    return picture("GIF", mode="P")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", NotAnImageError, id="empty"),
        pytest.param(b"\x89PNG", NotAnImageError, id="four bytes"),
        pytest.param(b"<!doctype html><title>502 Bad Gateway</title>", NotAnImageError, id="error page"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", NotAnImageError, id="svg"),
        pytest.param(b'{"code": 500}', NotAnImageError, id="json"),
        pytest.param(b"\0" * 4096, NotAnImageError, id="zeros"),
        pytest.param(b" " + picture("PNG"), NotAnImageError, id="not at the start"),
        pytest.param(b"RIFF\x24\0\0\0WAVEfmt ", NotAnImageError, id="other riff"),
        pytest.param(gif(), FormatNotAllowedError, id="gif"),
        pytest.param(gif() + picture("JPEG"), FormatNotAllowedError, id="gif with a jpeg behind"),
        pytest.param(picture("BMP"), FormatNotAllowedError, id="bmp"),
        pytest.param(picture("TIFF"), FormatNotAllowedError, id="tiff"),
        pytest.param(picture("ICO"), FormatNotAllowedError, id="ico"),
        pytest.param(b"\0\0\0\x1cftypavif\0\0\0\0mif1", FormatNotAllowedError, id="avif"),
        pytest.param(b"%PDF-1.7\n", FormatNotAllowedError, id="pdf"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", FormatNotAllowedError, id="eps"),
        pytest.param(animation("PNG"), AnimatedImageError, id="animated png"),
        pytest.param(animation("WEBP"), AnimatedImageError, id="animated webp"),
        pytest.param(b"\xff\xd8\xff" + b"\0" * 500, TruncatedImageError, id="jpeg magic, then nothing"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 500, TruncatedImageError, id="png magic, then nothing"),
        pytest.param(b"RIFF\xff\0\0\0WEBPVP8 " + b"\0" * 500, TruncatedImageError, id="webp magic, then nothing"),
        pytest.param(png_header(50_000, 50_000), TooManyPixelsError, id="fifty thousand squared"),
        pytest.param(png_header(1001, 1000), TooManyPixelsError, id="a little too large"),
        pytest.param(png_header(1000, 1000), TruncatedImageError, id="largest size, no pixels"),
        pytest.param(png_header(0, 10), TruncatedImageError, id="no width"),
    ],
)
def test_what_is_no_storable_image_is_rejected_by_its_reason(
    content: bytes, expected: type[ImageRejectedError]
) -> None:
    """Each foreign, damaged or hostile file is rejected, with the code that says why."""
    with pytest.raises(ImageRejectedError) as caught:
        inspect_image(io.BytesIO(content), max_pixels=MAX_PIXELS)
    assert type(caught.value) is expected
    assert caught.value.code == expected.code


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_image_is_rejected(image_format: str, share: float) -> None:
    """An image of which a part is missing does not pass, wherever the cut is, and may be fetched again."""
    whole = picture(image_format, (256, 256))
    with pytest.raises(TruncatedImageError) as caught:
        inspect_image(io.BytesIO(whole[: int(len(whole) * share)]), max_pixels=MAX_PIXELS)
    assert caught.value.retryable


def test_a_flipped_byte_in_the_pixels_is_found() -> None:
    """A PNG whose compressed pixels are damaged is rejected although its header is whole."""
    whole = bytearray(picture("PNG", (256, 256)))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(TruncatedImageError):
        inspect_image(io.BytesIO(bytes(whole)), max_pixels=MAX_PIXELS)


def test_a_bomb_in_a_text_chunk_is_rejected() -> None:
    """A small PNG with a text that unpacks to 100 MB is rejected instead of unpacked."""
    whole = picture("PNG")
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 100_000_000))
    end_of_header = 8 + 25
    with pytest.raises(ImageRejectedError):
        inspect_image(io.BytesIO(whole[:end_of_header] + bomb + whole[end_of_header:]), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_the_pixel_limit_does_not_depend_on_warning_filters(action: str) -> None:
    """Ten thousand squared, where the decoder itself merely warns, is rejected whether or not warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter(action, Image.DecompressionBombWarning)  # type: ignore[arg-type]  # one of its words
        with pytest.raises(TooManyPixelsError):
            inspect_image(io.BytesIO(png_header(10_000, 10_000)), max_pixels=MAX_PIXELS)


def test_nothing_is_decoded_before_the_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels of an image over the limit are not touched."""
    whole = picture("JPEG", (64, 64))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _image: pytest.fail("decoded"))
    with pytest.raises(TooManyPixelsError):
        inspect_image(io.BytesIO(whole), max_pixels=64 * 64 - 1)


def test_a_script_behind_an_image_does_not_make_it_something_else() -> None:
    """A JPEG with HTML appended is a JPEG: it is stored under that type, whatever else it might be taken for."""
    content = picture("JPEG") + b"<script>alert(1)</script>"
    assert inspect_image(io.BytesIO(content), max_pixels=MAX_PIXELS).content_type == "image/jpeg"


def test_no_other_decoder_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged JPEG is offered to the JPEG decoder alone, not to the dozens that take anything."""

    def accepts_all(*_args: object) -> Image.Image:
        pytest.fail("another decoder was asked")

    monkeypatch.setitem(Image.OPEN, "PROBE", (accepts_all, None))
    monkeypatch.setattr(Image, "ID", [*Image.ID, "PROBE"])
    with pytest.raises(TruncatedImageError):
        inspect_image(io.BytesIO(b"\xff\xd8\xff" + b"\0" * 500), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("exhausting", ["PIL.Image.open", "PIL.ImageFile.ImageFile.load"])
def test_running_out_of_memory_is_not_the_image_s_fault(monkeypatch: pytest.MonkeyPatch, exhausting: str) -> None:
    """A MemoryError passes through: the same image may be decoded elsewhere."""

    def exhausted(*_args: object, **_options: object) -> None:
        raise MemoryError

    whole = picture("JPEG")
    monkeypatch.setattr(exhausting, exhausted)
    with pytest.raises(MemoryError):
        inspect_image(io.BytesIO(whole), max_pixels=MAX_PIXELS)


def test_an_odd_chunk_length_is_no_crash() -> None:
    """A chunk that claims four gigabytes is a damaged image, found without reserving them."""
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0xFFFFFFF0) + b"IHDR" + b"\0" * 32
    with pytest.raises(TruncatedImageError):
        inspect_image(io.BytesIO(content), max_pixels=MAX_PIXELS)
