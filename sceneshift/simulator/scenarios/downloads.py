"""Scenarios of a result's download: what a store, a network or a stranger in between can send in its place."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Final

from sceneshift.simulator.answers import Answer, Voice
from sceneshift.simulator.deliveries import CutShort, Dripping, Dropped, Padded, Silent
from sceneshift.simulator.scenarios.misanswers import HTML, content, cut, delivered
from sceneshift.simulator.scenarios.scenario import Reaction, Scenario

ACCESS_DENIED: Final = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'
NO_SUCH_KEY: Final = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>'
_BOMB_SIDE_PIXELS: Final = 50_000
_GIF: Final = bytes.fromhex(
    "474946383961 0100 0100 80 00 00 000000 ffffff 21f904 01 0000 00 00 2c 0000 0000 0100 0100 00 02 02 4401 00 3b"
)
"""One black pixel."""


def _bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 50,000 by 50,000 pixels."""
    header = struct.pack(">IIBBBBB", _BOMB_SIDE_PIXELS, _BOMB_SIDE_PIXELS, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 20), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _compressed(due: Answer, _voice: Voice) -> Answer:
    return due.changed(content=gzip.compress(due.content or b"", 1), headers={"Content-Encoding": "gzip"})


DOWNLOADS: Final = (
    Scenario(
        name="download-expired",
        behaviour="403 `AccessDenied`, as for a URL that has expired; a later URL works.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=content(403, ACCESS_DENIED, "application/xml"),
    ),
    Scenario(
        name="download-missing",
        behaviour="404 `NoSuchKey`.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=content(404, NO_SUCH_KEY, "application/xml"),
    ),
    Scenario(
        name="download-500",
        behaviour="500 and an HTML page.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=content(500, HTML),
    ),
    Scenario(
        name="download-drop",
        behaviour="The connection is closed without an answer.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=delivered(Dropped()),
    ),
    Scenario(
        name="download-timeout",
        behaviour="Silence.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=delivered(Silent()),
    ),
    Scenario(
        name="download-slow",
        behaviour="A kilobyte a second.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=delivered(Dripping(piece_bytes=1024, pause_seconds=1.0)),
    ),
    Scenario(
        name="download-cut",
        behaviour="The connection is closed in the middle of the image.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=delivered(CutShort()),
    ),
    Scenario(
        name="download-truncated",
        behaviour="Half an image, whose length says that it is whole.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=cut(0.5),
    ),
    Scenario(
        name="download-html",
        behaviour="200 and an HTML page under the type `image/png`.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=content(200, HTML, "image/png"),
    ),
    Scenario(
        name="download-compressed",
        behaviour="The image in gzip, although nobody asked for that.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=_compressed,
    ),
    Scenario(
        name="download-redirect",
        behaviour="302 to the address of a cloud's metadata service.",
        reaction=Reaction.FETCHED_AGAIN,
        misanswer=content(302, b"", location="http://169.254.169.254/latest/meta-data/"),
    ),
    Scenario(
        name="download-oversized",
        behaviour="The image, followed by zeros up to 64 MB, as the announced length says.",
        reaction=Reaction.IMAGE_REFUSED,
        misanswer=delivered(Padded(size_bytes=64_000_000, announced=True)),
    ),
    Scenario(
        name="download-endless",
        behaviour="The image, followed by zeros, a gigabyte of them, without a length.",
        reaction=Reaction.IMAGE_REFUSED,
        misanswer=delivered(Padded(size_bytes=1_000_000_000, announced=False)),
    ),
    Scenario(
        name="download-wrong-type",
        behaviour="A GIF.",
        reaction=Reaction.IMAGE_REFUSED,
        misanswer=content(200, _GIF, "image/png"),
    ),
    Scenario(
        name="download-bomb",
        behaviour="A small PNG that says it has 50,000 by 50,000 pixels.",
        reaction=Reaction.IMAGE_REFUSED,
        misanswer=content(200, _bomb(), "image/png"),
    ),
)
