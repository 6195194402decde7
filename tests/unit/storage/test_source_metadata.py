"""Sources whose size stands behind much metadata: read past in little memory, and never refused for it."""

from __future__ import annotations

import pytest

from sceneshift.guarded_http import NotYet, Peek
from storage.image_headers import (
    DamagedHeaderError,
    ImageHeader,
    IncompleteHeaderError,
    read_header,
    without_passed_segments,
)
from storage.source_errors import SourceAnimatedError
from storage.source_images import HEAD_MAX_BYTES, KEPT_MAX_BYTES, check_pair, is_decided, read_source
from tests.unit.storage.pictures import png_chunk
from tests.unit.storage.source_pictures import (
    a_peek,
    header_of,
    jpeg_frame,
    jpeg_segment,
    jpeg_with,
    metadata,
    png_with,
    saved,
    turned,
)


def looked_at(whole: bytes, *, pieces_bytes: int = 65_536) -> tuple[Peek, int]:
    """What is kept of this file by a look that asks after each piece, and the most that it held meanwhile."""
    kept, most = b"", 0
    for offset in range(0, min(len(whole), HEAD_MAX_BYTES), pieces_bytes):
        kept += whole[offset : offset + pieces_bytes]
        most = max(most, len(kept))
        verdict = is_decided(kept)
        if verdict:
            return a_peek(kept, is_whole=False), most
        if isinstance(verdict, NotYet):
            assert len(verdict.body) < len(kept)
            kept = verdict.body
    return a_peek(kept, is_whole=len(whole) <= HEAD_MAX_BYTES), most


@pytest.mark.parametrize("pieces_bytes", [1460, 16_384, 65_536, 300_001])
def test_metadata_of_seven_megabytes_is_read_past(pieces_bytes: int) -> None:
    """The size of a JPEG stands behind it, and is found in a megabyte of memory, with how viewers turn the photo."""
    photo = turned("JPEG", 6)
    segments = [*metadata(3_000_000), b"\0stray", photo[2 : photo.index(b"\xff\xdb")], *metadata(4_000_000)]
    peek, most = looked_at(jpeg_with(*segments), pieces_bytes=pieces_bytes)
    expected = ImageHeader(format="JPEG", width=640, height=480, orientation=6)
    assert read_source("image", peek, max_bytes=10**8) == expected
    assert most <= KEPT_MAX_BYTES + 300_001 < 1024 * 1024


def test_a_jpeg_with_more_metadata_is_left_to_the_provider() -> None:
    """Nothing is wrong with it as far as it was read, so it is not refused, and no mask can be held against it."""
    peek, most = looked_at(jpeg_with(*metadata(9_000_000)))
    image = read_source("image", peek, max_bytes=10**8)
    assert (image, peek.is_whole) == (None, False)
    assert most < 1024 * 1024
    mask = header_of(saved("PNG", "L", size=(500, 500)))
    check_pair(image, mask)
    check_pair(mask, None)


@pytest.mark.parametrize("kind", [b"iTXt", b"caBX", b"zTXt", b"mkBF"])
def test_a_png_is_judged_by_its_first_chunk(kind: bytes) -> None:
    """Its size is there whatever stands before the pixels, and what else was read until then counts as well."""
    ballast = png_chunk(kind, b"x" * 2_000_000)
    turning = png_chunk(b"eXIf", turned("JPEG", 6).partition(b"Exif\0\0")[2][:100])
    peek, most = looked_at(png_with(turning, ballast))
    assert read_source("image", peek, max_bytes=10**8) == ImageHeader(
        format="PNG", width=640, height=480, orientation=6
    )
    assert most < 1024 * 1024
    animated, _ = looked_at(png_with(png_chunk(b"acTL", b"\0\0\0\2\0\0\0\0"), ballast))
    with pytest.raises(SourceAnimatedError):
        read_source("image", animated, max_bytes=10**8)


def test_what_is_let_go_changes_nothing() -> None:
    """A JPEG without the segments that were passed says the same as with them, wherever it is cut."""
    whole = turned("JPEG", 6)
    whole = whole[:2] + b"".join(metadata(200_000)) + whole[2:]
    expected = header_of(whole)
    for length in (*range(13, 300), *range(65_000, 66_000), *range(260_000, len(whole))):
        try:
            assert read_header(whole[:length]) == expected
        except IncompleteHeaderError:
            shorter = without_passed_segments(whole[:length])
            assert header_of(shorter + whole[length:]) == expected
            assert len(shorter) < 70_000


def test_segments_without_number_are_not_counted_to_the_end() -> None:
    """Looking at a header costs a bounded time, whatever is in it."""
    for count, damaged in ((4000, False), (4096, True), (260_000, True)):
        body = jpeg_with(*[jpeg_segment(0xE0, b"")] * count)
        if not damaged:
            assert header_of(body).width == 640
            continue
        with pytest.raises(DamagedHeaderError, match="more than 4096 segments"):
            read_header(body)


@pytest.mark.parametrize("filler", [b"\0", b"\xff\0", b"\xff"])
def test_a_jpeg_of_nothing_but_filler_is_damaged(filler: bytes) -> None:
    """So much of it between two segments is no oversight, whether or not a marker follows."""
    beginning = b"\xff\xd8" + jpeg_segment(0xFE, b"note") + filler * 70_000
    for body in (beginning, beginning + jpeg_frame()[2:]):
        with pytest.raises(DamagedHeaderError, match="segments break off"):
            read_header(body)
