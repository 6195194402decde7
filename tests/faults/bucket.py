"""The bucket in a simulation: the real boto3 client, whose requests end in a dictionary that speaks S3.

What boto3 would put on the wire is answered as S3 answers it: conditional writes, checksums, listings in pages. Between
the two lie lost requests, lost answers and refusals.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import boto3
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from sceneshift.clock import Clock
from storage.capabilities import Capabilities
from storage.s3 import S3Store
from tests.faults.kernel import Kernel

ENDPOINT = "http://bucket.simulated"
NAME = "shots"
PAGE_MAX = 100
CANARY_KEY = "canary-storage-secret"


@dataclass(slots=True)
class Roads:
    """What happens to requests of the bucket; shares from 0 to 1."""

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    errors: float = 0.0
    is_down: bool = False


@dataclass(slots=True)
class Stored:
    """One object."""

    body: bytes
    content_type: str
    metadata: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Bucket:
    """One bucket that outlives all processes of a world."""

    kernel: Kernel
    roads: Roads = field(default_factory=Roads)
    objects: dict[str, Stored] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    """The names, in the order in which they were first written."""

    def store(self, clock: Clock) -> S3Store:
        """The real object store on this bucket."""
        _HUB.current = self
        return S3Store(_client(), bucket=NAME, clock=clock, capabilities=Capabilities())

    def answer(self, request: AWSRequest) -> AWSResponse:
        """What S3 says to this request, when it arrives and the answer comes back."""
        parts = urlsplit(str(request.url))
        key = unquote(parts.path).removeprefix(f"/{NAME}").removeprefix("/")
        what = "list" if request.method == "GET" and not key else str(request.method).lower()
        return self.kernel.effect(f"bucket {what}", lambda: self._serve(request, key, parts.query))

    def _serve(self, request: AWSRequest, key: str, query: str) -> AWSResponse:
        chance = self.kernel.random
        if self.roads.is_down or chance.random() < self.roads.lost_requests:
            self.kernel.counts["bucket request lost"] += 1
            raise ConnectTimeoutError(endpoint_url=ENDPOINT)
        if chance.random() < self.roads.errors:
            self.kernel.counts["bucket error"] += 1
            code = chance.choice(["InternalError", "SlowDown", "ServiceUnavailable"])
            return _response(request, 500 if code == "InternalError" else 503, body=_error(code))
        response = self._done(request, key, query)
        if chance.random() < self.roads.lost_answers:
            self.kernel.counts["bucket answer lost"] += 1
            raise ReadTimeoutError(endpoint_url=ENDPOINT)
        return response

    def _done(self, request: AWSRequest, key: str, query: str) -> AWSResponse:
        match request.method:
            case "PUT":
                return self._put(request, key)
            case "DELETE":
                self.objects.pop(key, None)
                return _response(request, 204)
            case "GET" if not key:
                return self._list(request, parse_qs(query))
        stored = self.objects.get(key)
        if stored is None:
            return _response(request, 404, body=_error("NoSuchKey"))
        headers = {
            "Content-Length": str(len(stored.body)),
            "Content-Type": stored.content_type,
            "x-amz-checksum-sha256": _checksum(stored.body),
            **{f"x-amz-meta-{name}": value for name, value in stored.metadata.items()},
        }
        return _response(request, 200, headers, stored.body if request.method == "GET" else b"")

    def _put(self, request: AWSRequest, key: str) -> AWSResponse:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        body = request.body.read() if hasattr(request.body, "read") else bytes(request.body or b"")  # type: ignore[arg-type]  # never a text
        if headers["x-amz-checksum-sha256"] != _checksum(body):
            return _response(request, 400, body=_error("BadDigest"))
        if headers.get("if-none-match") == "*" and key in self.objects:
            return _response(request, 412, body=_error("PreconditionFailed"))
        prefix = "x-amz-meta-"
        metadata = {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}
        self.objects[key] = Stored(body=body, content_type=headers["content-type"], metadata=metadata)
        self.written.append(key)
        return _response(request, 200, {"ETag": '"etag"'})

    def _list(self, request: AWSRequest, query: Mapping[str, list[str]]) -> AWSResponse:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        page, rest = names[:PAGE_MAX], names[PAGE_MAX:]
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[name].body)}</Size></Contents>"
            for name in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        body = (
            f"<ListBucketResult><IsTruncated>{'true' if rest else 'false'}</IsTruncated>{contents}{token}"
            "</ListBucketResult>"
        )
        return _response(request, 200, body=body.encode())


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, size_bytes: int = 65_536, *, decode_content: bool = False) -> Iterator[bytes]:  # noqa: ARG002
        while chunk := self.read(size_bytes):
            yield chunk


def _response(
    request: AWSRequest, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> AWSResponse:
    return AWSResponse(str(request.url), status, dict(headers or {}), _Raw(body))  # type: ignore[arg-type]  # any mapping


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>simulated</Message></Error>".encode()


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class _Hub:
    """Where the one client of all simulations sends its requests: to the bucket of the world that is running."""

    current: Bucket | None = None


_HUB = _Hub()


class _FullQuota:
    """boto3 counts its retries over the life of a client; here it must not remember the worlds before."""

    def acquire(self, _amount: int) -> bool:
        return True

    def release(self, _amount: int) -> None:
        pass


@cache
def _client() -> Any:
    """Made once: that takes a quarter of a second."""
    config = Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": 4},
        s3={"addressing_style": "path"},
        # Else botocore puts its own together anew for each request, which takes it longer than all the rest.
        user_agent="simulated",
        request_checksum_calculation="when_supported",
        response_checksum_validation="when_supported",
    )
    with patch("botocore.retries.quota.RetryQuota", _FullQuota):
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=ENDPOINT,
            region_name="us-east-1",
            aws_access_key_id="simulated",
            aws_secret_access_key=CANARY_KEY,
            config=config,
        )
    client.meta.events.register("before-send.s3.*", _answered)  # type: ignore[arg-type]  # here an answer is wanted
    return client


def _answered(request: AWSRequest, **_about: Any) -> AWSResponse:
    assert _HUB.current is not None, "a world is running"
    return _HUB.current.answer(request)
