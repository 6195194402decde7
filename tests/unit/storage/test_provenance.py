"""What is stored is what was labelled, hashed and looked at."""

from __future__ import annotations

import hashlib
import io
import logging
from typing import BinaryIO

import pytest

from storage.labelling import GROWTH_MAX_BYTES
from storage.provenance import LabelledFile, LabellingDownloader, downloader
from storage.xmp import DIGITAL_SOURCE_TYPE
from tests.unit.storage.pictures import picture


class Web:
    """A client that delivers one body, and remembers how large it might have been."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.max_bytes = 0

    def download(self, _url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> LabelledFile:
        assert timeout_seconds == 5.0
        self.max_bytes = max_bytes
        into.write(self.body)
        return LabelledFile(len(self.body), hashlib.sha256(self.body).hexdigest())


def test_size_and_hash_are_those_of_the_labelled_file() -> None:
    """What is reported is what is in the file, and it is larger than what came."""
    body, into = picture("PNG", size=(900, 900)), io.BytesIO()
    web = Web(body)
    file = LabellingDownloader(web).download("u", into, max_bytes=10_000_000, timeout_seconds=5.0)
    stored = into.getvalue()
    assert (file.size_bytes, file.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert DIGITAL_SOURCE_TYPE.encode() in stored
    assert len(stored) > len(body)


def test_a_labelled_file_is_within_the_limit() -> None:
    """Room for the label is kept free, so that what is stored is never larger than what may be read back."""
    web = Web(picture("PNG"))
    LabellingDownloader(web).download("u", io.BytesIO(), max_bytes=10_000_000, timeout_seconds=5.0)
    assert web.max_bytes == 10_000_000 - GROWTH_MAX_BYTES


@pytest.mark.parametrize("body", [b"<html>", b"", picture("PNG")[:40], b"RIFF\0\0\0\0WEBP"])
def test_what_is_no_image_arrives_as_it_was(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The decoder is the one who judges it; that there is no label is logged."""
    into = io.BytesIO()
    with caplog.at_level(logging.WARNING):
        file = LabellingDownloader(Web(body)).download("u", into, max_bytes=10_000_000, timeout_seconds=5.0)
    assert (into.getvalue(), file.size_bytes) == (body, len(body))
    assert [record.message for record in caplog.records] == ["provenance.not_embedded"]


def test_without_the_setting_nothing_is_touched() -> None:
    """`keep` is the client itself."""
    web = Web(b"")
    assert downloader(web, "keep") is web
    assert isinstance(downloader(web, "embed"), LabellingDownloader)
