"""A provider on a transport that answers from a script and remembers what it was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx

from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import RenderItem
from tests import provider_document as document

APPCODE = "canary-appcode-0123456789"
BASE_URL = "https://provider.test/api/v1/bg-rep"
NOW = 1_800_000_000.0
RESULT_KEY = document.RESULT_KEY
ITEM = RenderItem(**document.ITEM)

Reply = httpx.Response | Exception


class Script:
    """Gives one reply after the other, the last one for ever; an exception is raised instead."""

    def __init__(self, *replies: Reply | Callable[[], Reply]) -> None:
        self.requests: list[httpx.Request] = []
        self._replies = replies

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        reply = self._replies[min(len(self.requests), len(self._replies) - 1)]
        self.requests.append(request)
        made = reply() if callable(reply) else reply
        if isinstance(made, Exception):
            raise made
        return made

    @property
    def nonces(self) -> list[str]:
        return [request.headers["x-ca-nonce"] for request in self.requests]


def provider_on(script: Callable[[httpx.Request], httpx.Response], **options: Any) -> BgRepProvider:
    numbers = count(1)
    return BgRepProvider(
        base_url=BASE_URL,
        appcode=APPCODE,
        connect_timeout_seconds=5,
        read_timeout_seconds=35,
        new_nonce=lambda: f"fresh-{next(numbers)}",
        transport=httpx.MockTransport(script),
        now=lambda: NOW,
        **options,
    )


class Broken(httpx.SyncByteStream):
    """A body that breaks off after these chunks."""

    def __init__(self, *chunks: bytes, error: Exception) -> None:
        self._chunks = chunks
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        raise self._error
