"""Fetches and checks the pictures that a submission names, as a foreign service does: it knows nothing of the shop.

A catalogue is used many times over, so pictures are kept by address, and equal bytes are held once.
"""

from __future__ import annotations

import hashlib
import io
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final
from weakref import WeakValueDictionary

import anyio
import httpx
from PIL import Image

from sceneshift.simulator.answers import Fault, FaultError
from sceneshift.simulator.cache import SharedCache

SIDE_MIN_PIXELS: Final = 400
SIDE_MAX_PIXELS: Final = 4096
FORMATS: Final = ("JPEG", "PNG", "WEBP")
FETCH_MAX_BYTES: Final = 30 * 1024 * 1024
"""Not the provider's limit, which its document does not state: a bound on this process's memory."""
FETCH_TIMEOUT_SECONDS: Final = 20.0
_KEPT_MAX_BYTES: Final = 128 * 1024 * 1024
_FETCHES_AT_ONCE: Final = 16

Fetch = Callable[[str], bytes]
"""The bytes behind an address; raises `OSError`, or `FaultError`, where there are none."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SourceImage:
    """A picture that was decoded once and found fit."""

    content: bytes
    size: tuple[int, int]


class SourceLibrary:
    """The pictures behind addresses; each address is fetched once for as long as it is kept."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._limiter = anyio.CapacityLimiter(_FETCHES_AT_ONCE)
        self._by_digest: WeakValueDictionary[bytes, SourceImage] = WeakValueDictionary()
        self._by_url = SharedCache(self._load, weigh=lambda image: len(image.content), max_bytes=_KEPT_MAX_BYTES)

    async def get(self, url: str) -> SourceImage:
        """The picture behind this address.

        Raises:
            FaultError: it cannot be had, or is not one that the provider takes.
        """
        return await self._by_url.get(url)

    async def _load(self, url: str) -> SourceImage:
        image = await anyio.to_thread.run_sync(self._fetch_and_check, url, limiter=self._limiter)
        return self._by_digest.setdefault(hashlib.sha256(image.content).digest(), image)

    def _fetch_and_check(self, url: str) -> SourceImage:
        try:
            content = self._fetch(url)
        except OSError:
            raise FaultError(Fault.IMAGE_UNREACHABLE) from None
        return check_image(content)


def check_image(content: bytes) -> SourceImage:
    """The picture in these bytes, wholly decoded once.

    Raises:
        FaultError: not JPEG, PNG or WEBP, damaged, or a side outside 400 to 4096 pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if min(image.size) < SIDE_MIN_PIXELS or max(image.size) > SIDE_MAX_PIXELS:
                raise FaultError(Fault.IMAGE_UNFIT)
            image.load()
            return SourceImage(content, image.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FaultError(Fault.IMAGE_UNFIT) from None


def fetch_bytes(url: str) -> bytes:
    """What a plain GET of this address gives, within bounds of size and time.

    Raises:
        FaultError: anything but 200 came, too much, or nothing in time.
    """
    deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
    content = bytearray()
    client = httpx.Client(
        verify=_tls(), trust_env=False, follow_redirects=True, max_redirects=3, timeout=httpx.Timeout(10.0, connect=5.0)
    )
    try:
        with client, client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise FaultError(Fault.IMAGE_UNREACHABLE)
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > FETCH_MAX_BYTES:
                    raise FaultError(Fault.IMAGE_UNFIT)
                if time.monotonic() > deadline:
                    raise FaultError(Fault.IMAGE_UNREACHABLE)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError):
        raise FaultError(Fault.IMAGE_UNREACHABLE) from None
    return bytes(content)


@cache
def _tls() -> ssl.SSLContext:
    """One context for all fetches: making one reads the whole trust store."""
    return httpx.create_ssl_context(trust_env=False)
