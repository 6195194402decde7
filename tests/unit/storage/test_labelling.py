"""The label goes into a file, and nothing else of the file changes."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from storage.labelling import PARTS_MAX, Span, UnlabelledError, labelled_pieces
from storage.xmp import DIGITAL_SOURCE_TYPE, PACKET_MAX_BYTES, labelled_packet
from tests.unit.storage.pictures import picture, png_chunk

TERM = DIGITAL_SOURCE_TYPE.encode()
OTHER = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
NAMES = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'


def packet(inside: str, attributes: str = "") -> bytes:
    """A packet of somebody else's."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {NAMES}><rdf:Description rdf:about="" {attributes}>'
        f"{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def labelled(body: bytes) -> bytes:
    return b"".join(
        body[piece.start : piece.end] if isinstance(piece, Span) else piece
        for piece in labelled_pieces(io.BytesIO(body))
    )


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def xmp_of(body: bytes) -> bytes:
    """The packet, as Pillow finds it."""
    found = opened(body).info
    text = found.get("xmp") or found.get("XML:com.adobe.xmp")
    assert text is not None
    return text if isinstance(text, bytes) else str(text).encode()


def saved(image_format: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    image = opened(picture("PNG", mode=mode))
    if mode == "RGBA":
        image.putalpha(100)
    image.save(file, image_format, **options)
    return file.getvalue()


PICTURES = {
    "png": saved("PNG"),
    "png palette": saved("PNG", "P"),
    "jpeg": saved("JPEG"),
    "jpeg progressive": saved("JPEG", progressive=True),
    "webp lossy": saved("WEBP"),
    "webp lossless": saved("WEBP", lossless=True),
    "webp lossless alpha": saved("WEBP", "RGBA", lossless=True),
    "webp lossy alpha": saved("WEBP", "RGBA"),
    "jpeg exif": saved("JPEG", exif=Image.Exif(), icc_profile=b"icc" * 50, comment=b"hello"),
    "webp exif": saved("WEBP", icc_profile=b"icc" * 50, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_label_is_in_and_the_pixels_are_the_same(name: str) -> None:
    """Every kind of file opens as before, with the term of the IPTC and the pixels and profile that it had."""
    before, after = opened(PICTURES[name]), opened(body := labelled(PICTURES[name]))
    assert (before.tobytes(), before.size, before.mode) == (after.tobytes(), after.size, after.mode)
    assert before.info.get("icc_profile") == after.info.get("icc_profile")
    assert before.info.get("exif") == after.info.get("exif")
    assert xmp_of(body).count(TERM) == 1


@pytest.mark.parametrize("name", ["png", "jpeg", "jpeg exif"])
def test_every_other_byte_is_as_it_was(name: str) -> None:
    """What is left when the new part is taken out is the file, byte for byte."""
    body = PICTURES[name]
    added = [piece for piece in labelled_pieces(io.BytesIO(body)) if isinstance(piece, bytes)]
    assert len(added) == 1
    assert labelled(body).replace(added[0], b"") == body


@pytest.mark.parametrize("name", PICTURES)
def test_a_labelled_file_is_left_as_it_is(name: str) -> None:
    """The label a second time changes no byte: a step that is repeated writes the same."""
    once = labelled(PICTURES[name])
    assert labelled(once) == once


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_what_a_packet_says_stays(image_format: str) -> None:
    """A creator's name is kept, another source type is replaced, and there is one packet."""
    given = packet(f"<i:DigitalSourceType>{OTHER}</i:DigitalSourceType><i:Note>by Ann &amp; Bø</i:Note>")
    body = saved(image_format)
    body = with_png_packet(body, given) if image_format == "PNG" else saved(image_format, xmp=given)
    found = xmp_of(labelled(body))
    assert (found.count(TERM), OTHER.encode() in found) == (1, False)
    assert "by Ann &amp; Bø".encode() in found
    assert labelled(body).count(b"W5M0MpCehiHzreSzNTczkc9d") == 1


def with_png_packet(body: bytes, given: bytes, *, compressed: bool = False) -> bytes:
    text = zlib.compress(given) if compressed else given
    chunk = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0, 0, 0]) + text)
    return body[:33] + chunk + body[33:]


def test_a_compressed_packet_is_read() -> None:
    """PNG allows that."""
    body = with_png_packet(saved("PNG"), packet("<i:Note>kept</i:Note>"), compressed=True)
    assert b"kept" in xmp_of(labelled(body))


def test_a_packet_bomb_is_replaced() -> None:
    """A packet that unpacks to 100 MB is not unpacked so far, and its image gets a label of our own."""
    body = with_png_packet(saved("PNG"), b" " * 100_000_000, compressed=True)
    tracemalloc.start()
    after = labelled(body)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 5_000_000
    assert len(xmp_of(after)) < 1000


def test_a_source_type_may_be_an_attribute() -> None:
    """Both ways of writing it are found."""
    found = labelled_packet(packet("", f'i:DigitalSourceType="{OTHER}" i:Note="kept"'))
    assert (found.count(TERM), OTHER.encode() in found, b'i:Note="kept"' in found) == (1, False, True)


@pytest.mark.parametrize(
    "given",
    [
        b"", b"\0", b"no packet", b"<x/>", packet("")[:-5], packet("\xff").decode().encode("latin-1"),
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + packet("&a;"),
        b'<?xml version="1.0" encoding="cp037"?>' + packet("kept"),
        packet("kept").decode().encode("utf-16"),
        packet("<a>" * 30_000 + "</a>" * 30_000),
        packet("x" * PACKET_MAX_BYTES),
        b"\xff\xfe\xff", packet("kept").replace(b"ns#", b"no#"),
    ],
)  # fmt: skip
def test_a_packet_that_cannot_be_read_is_replaced(given: bytes) -> None:
    """Entities, odd encodings, endless nesting and garbage cost nothing and are not carried on."""
    assert labelled_packet(given) == labelled_packet(None)


def test_a_packet_that_no_longer_fits_into_a_jpeg_is_replaced() -> None:
    """A segment has 64 KB; the label is what was asked for."""
    body = saved("JPEG", xmp=packet("<i:Note>" + "x" * 65_000 + "</i:Note>"))
    assert len(xmp_of(labelled(body))) < 1000
    assert opened(labelled(body)).tobytes() == opened(body).tobytes()


def broken() -> Iterator[bytes]:
    """Files that end early, and files with bytes exchanged, the same ones in each run."""
    chance = random.Random(6)
    for body in PICTURES.values():
        yield from (body[:length] for length in range(min(len(body), 120)))
        for _ in range(150):
            changed = bytearray(body)
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(min(len(body), 200))] = chance.randrange(256)
            yield bytes(changed)


def test_no_file_is_too_broken() -> None:
    """A damaged file is refused in one way or comes out with all of its bytes somewhere: nothing else is raised."""
    outcomes = set()
    for body in broken():
        try:
            labelled(body)
        except UnlabelledError:
            outcomes.add("refused")
        else:
            outcomes.add("labelled")
    assert outcomes == {"refused", "labelled"}


@pytest.mark.parametrize(
    "body",
    [
        saved("PNG")[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0") + saved("PNG")[33:],
        saved("PNG")[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no deflate") + saved("PNG")[33:],
        b"RIFF\x0c\0\0\0WEBPVP8X\0\0\0\0",
        saved("PNG")[:40],
        saved("JPEG")[:30],
        saved("WEBP")[:60],
        b"GIF89a" + b"\0" * 20,
    ],
)
def test_a_part_that_ends_early_is_refused(body: bytes) -> None:
    """Whatever it is that is too short: always in the same way."""
    with pytest.raises(UnlabelledError):
        labelled_pieces(io.BytesIO(body))


@pytest.mark.parametrize(("name", "flags"), [("webp lossy", 4), ("webp lossless", 4), ("webp lossless alpha", 20)])
def test_the_header_of_a_webp_tells_of_its_transparency(name: str, flags: int) -> None:
    """A simple file becomes an extended one, and readers of its first bytes learn what they learnt before."""
    assert labelled(PICTURES[name])[20] == flags


def test_a_file_of_endless_parts_is_refused() -> None:
    """A million empty chunks are not all looked at."""
    chunks = png_chunk(b"tEXt", b"") * (PARTS_MAX + 1)
    body = PICTURES["png"]
    with pytest.raises(UnlabelledError):
        labelled_pieces(io.BytesIO(body[:33] + chunks + body[33:]))
    jpeg = PICTURES["jpeg"]
    with pytest.raises(UnlabelledError):
        labelled_pieces(io.BytesIO(jpeg[:2] + b"\xff\xfe\0\2" * (PARTS_MAX + 1) + jpeg[2:]))


def test_the_canvas_of_a_simple_webp_is_its_frame_s() -> None:
    """Odd sides too, and up to the largest that the format has."""
    for size in ((1, 1), (17, 33), (16383, 2)):
        for lossless in (True, False):
            file = io.BytesIO()
            Image.new("RGB", size, "red").save(file, "WEBP", lossless=lossless)
            body = labelled(file.getvalue())
            assert opened(body).size == size
            width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (24, 27))
            assert (body[12:16], width, height) == (b"VP8X", *size)
            assert struct.unpack("<I", body[4:8])[0] == len(body) - 8
