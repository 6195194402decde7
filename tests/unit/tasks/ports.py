"""The ports of the steps as plain fakes: they keep what they are given, and answer what a test scripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import BinaryIO

from sceneshift.clock import Clock
from sceneshift.errors import SceneshiftError
from sceneshift.fetch_errors import FetchStatusError
from sceneshift.guarded_http import Answer, Downloaded, Peek
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    OutcomeUnknown,
    ProviderError,
    QueryOutcome,
    RenderItem,
    SubmitOutcome,
    Succeeded,
)
from storage.objects import Link
from tests.unit.storage.memory_store import MemoryStore
from tests.unit.storage.pictures import picture

RESULT_KEY = "6c8d2f2c00a254b1e915d8ade38aacb5"


def result_urls(count: int, *, signature: str = "first") -> tuple[str, ...]:
    """The addresses of so many result images; the signature stands for the moment at which they were made."""
    return tuple(f"https://result.example/{index}.png?signature={signature}" for index in range(count))


class ScriptedProvider:
    """Accepts and finishes everything with two images, unless a test says otherwise.

    What it accepts first has `RESULT_KEY`, and each further one a key of its own. With `refuses_used_nonces` it is the
    provider that the policy `probe` needs.
    """

    def __init__(self, *, refuses_used_nonces: bool = False) -> None:
        self.refuses_used_nonces = refuses_used_nonces
        self.submissions: list[tuple[bytes, str]] = []
        self.charged: list[str] = []
        """The nonces of what was accepted."""
        self.questions: list[str] = []
        self.on_body: Callable[[], None] = lambda: None
        self.on_submit: Callable[[], SubmitOutcome] = self._accept
        self.on_query: Callable[[str], QueryOutcome] = lambda _key: Succeeded(urls=result_urls(2))

    def request_body(self, item: RenderItem) -> bytes:
        self.on_body()
        return json.dumps(asdict(item), sort_keys=True).encode()

    def submit(self, body: bytes, *, nonce: str, send_by: float | None = None) -> SubmitOutcome:  # noqa: ARG002
        is_used = nonce in self.nonces
        self.submissions.append((body, nonce))
        if is_used and self.refuses_used_nonces:
            error = ProviderError(kind=ErrorKind.NONCE_USED, message="Nonce Used")
            return OutcomeUnknown(reason="nonce used", error=error)
        outcome = self.on_submit()
        if isinstance(outcome, Accepted):
            self.charged.append(nonce)
        return outcome

    def _accept(self) -> SubmitOutcome:
        number = len(self.charged)
        return Accepted(result_key=f"{number:04d}{RESULT_KEY[4:]}" if number else RESULT_KEY, request_id="REQ-1")

    def query(self, result_key: str) -> QueryOutcome:
        self.questions.append(result_key)
        return self.on_query(result_key)

    @property
    def nonces(self) -> list[str]:
        return [nonce for _, nonce in self.submissions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One webhook as its receiver got it."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def answer(status: int, **headers: str) -> Answer:
    """A receiver's answer; `retry_after` stands for the header of that name."""
    return Answer(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=b"",
        elapsed_seconds=0.01,
    )


@cache
def photo() -> bytes:
    """A source that the provider could render, as image or as mask."""
    return picture("JPEG", (640, 480))


class FakeWeb:
    """The outside: results behind URLs, and a webhook receiver; an address that nobody serves answers 404.

    As sources all addresses have the same fit picture, unless a test puts something else there.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes | SceneshiftError] = {
            url: picture(seed=index) for index, url in enumerate(result_urls(6))
        }
        self.sources: dict[str, bytes | SceneshiftError] = {}
        self.peeks: list[str] = []
        self.downloads: list[str] = []
        self.posts: list[Post] = []
        self.on_peek: Callable[[str], object] = lambda _url: None
        self.on_download: Callable[[str], None] = lambda _url: None
        self.on_post: Callable[[Post], Answer] = lambda _post: answer(204)

    def peek(self, url: str, *, max_bytes: int, timeout_seconds: float, is_enough: Callable[[bytes], bool]) -> Peek:
        assert timeout_seconds > 0
        self.peeks.append(url)
        self.on_peek(url)
        body = self.sources.get(url, photo())
        if isinstance(body, SceneshiftError):
            raise body
        assert is_enough(body[:max_bytes])
        return Peek(body=body[:max_bytes], is_whole=False, announced_bytes=len(body), content_encoding="")

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
        assert max_bytes > 0
        assert timeout_seconds > 0
        self.downloads.append(url)
        self.on_download(url)
        body = self.files.get(url, FetchStatusError("result.example answered with status 404", status=404))
        if isinstance(body, SceneshiftError):
            raise body
        into.write(body)
        return Downloaded(size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), content_type=None)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> Answer:
        assert timeout_seconds > 0
        post = Post(url=url, body=body, headers=dict(headers))
        self.posts.append(post)
        return self.on_post(post)

    @property
    def paths(self) -> list[str]:
        """The downloads, without their signatures."""
        return [url.partition("?")[0].rpartition("/")[2] for url in self.downloads]


class Bucket(MemoryStore):
    """An object store with links that expire, each of them another one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.links_made = 0
        self.session_token = ""
        """What temporary credentials add to every link."""

    def link(self, key: str, *, lifetime_seconds: float) -> Link:
        self.links_made += 1
        return Link(
            url=f"https://shots.example/{key}?signature={self.links_made}{self.session_token}",
            expires_at=self._clock.now() + lifetime_seconds,
        )

    def uri(self, key: str) -> str:
        return f"s3://shots/{key}"

    @property
    def contents(self) -> dict[str, bytes]:
        """Every object's bytes by its name."""
        return {key: body for key, (body, _) in self.objects.items()}
