"""Results in an S3 bucket, of Amazon or of anybody who speaks its protocol, through boto3.

Three things of the protocol carry our promises: `If-None-Match: *` (one winner per name), the SHA-256 header of a
single PUT (a damaged body is refused by the server), and presigned URLs. A server that ignores the first two is found
out (`storage.capabilities`), and gets more careful treatment: asked first, read back afterwards. Credentials come from
boto3's ordinary chain alone.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal, TypedDict

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from sceneshift.clock import Clock, SystemClock
from sceneshift.errors import ConfigurationError
from storage.capabilities import Capabilities, capabilities_of
from storage.credentials import credentials_end_at
from storage.objects import (
    BodyMismatchError,
    Link,
    ObjectInfo,
    ObjectNotFoundError,
    check_key,
    check_metadata,
    check_prefix,
    is_private,
)
from storage.s3_errors import NameBusyError, NameTakenError, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 30.0
TRIES_MAX = 4
"""Tries of one call, the first included; beyond that the step of the job is what repeats."""
CONNECTIONS_MAX = 32
CONFLICT_TRIES_MAX = 3
"""How often a PUT is made again while another PUT of the same name is under way (409)."""
CHUNK_BYTES = 1024 * 1024
SHA256_METADATA = "sceneshift-sha256"
"""Where the SHA-256 is noted by us on a server that does not keep it."""

AddressingStyle = Literal["auto", "path", "virtual"]
Checksums = Literal["when_supported", "when_required"]

_client_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Connection:
    """How to reach a server; what is None comes from boto3's ordinary configuration.

    Attributes:
        checksums: `when_required` for servers that do not know the checksums which boto3 adds of its own accord.
    """

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: AddressingStyle = "auto"
    checksums: Checksums = "when_supported"


def client_for(connection: S3Connection) -> S3Client:
    """This process's client for the connection: thread-safe, made once because making one takes a tenth of a second.

    Raises:
        ConfigurationError: boto3 does not accept the endpoint, the region or the AWS settings of the environment.
    """
    with _client_lock:
        return _make_client(connection)


@functools.cache
def _make_client(connection: S3Connection) -> S3Client:
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES_MAX},
        max_pool_connections=CONNECTIONS_MAX,
        s3={"addressing_style": connection.addressing_style},
        request_checksum_calculation=connection.checksums,
        response_checksum_validation=connection.checksums,
    )
    try:
        # A session of our own: boto3's default one is not made for several threads.
        return boto3.session.Session().client(
            "s3", endpoint_url=connection.endpoint_url, region_name=connection.region, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"SCENESHIFT_STORAGE_URL: no S3 client can be made of its endpoint_url and region and the AWS settings of "
            f"this environment: {error}"
        ) from error


def presigned_url(client: S3Client, *, bucket: str, key: str, lifetime_seconds: float) -> str:
    """A URL that reads the object for so long, but no longer than temporary credentials live that signed it."""
    with s3_errors("sign", key):
        return client.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=int(lifetime_seconds)
        )


class S3Store:
    """An `ObjectStore` below one prefix of one bucket, which exists already."""

    def __init__(
        self,
        client: S3Client,
        *,
        bucket: str,
        prefix: str = "",
        clock: Clock | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        """`capabilities` are found out before the first write when they are not given."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._clock = clock or SystemClock()
        self._capabilities = capabilities

    def put(
        self,
        key: str,
        body: BinaryIO,
        *,
        size_bytes: int,
        sha256: str,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> bool:
        check_metadata(metadata)
        name = self._name(key)
        # A body that is shorter than announced would keep the server waiting for the rest.
        if (actual_bytes := body.seek(0, 2)) != size_bytes:
            raise BodyMismatchError(f"the body has {actual_bytes} bytes instead of the announced {size_bytes}")
        server = self.capabilities()
        if not server.conditional_writes and self.head(key) is not None:
            return False
        headers = _headers(body, sha256=sha256, metadata=metadata, server=server)
        created = self._put_whole(key, name, body, size_bytes=size_bytes, content_type=content_type, headers=headers)
        return created and (server == Capabilities() or self._is_ours(key, sha256=sha256))

    def _put_whole(
        self, key: str, name: str, body: BinaryIO, *, size_bytes: int, content_type: str, headers: _Headers
    ) -> bool:
        """The server took the body, or said that the name is taken."""
        for tries_left in reversed(range(CONFLICT_TRIES_MAX)):
            body.seek(0)
            try:
                with s3_errors("put", key):
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=name,
                        Body=body,
                        ContentLength=size_bytes,
                        ContentType=content_type,
                        **headers,
                    )
            except NameTakenError:
                return False
            except NameBusyError:
                if not tries_left:
                    raise
            else:
                return True
        raise AssertionError("unreachable: the last try returns or raises")

    def _is_ours(self, key: str, *, sha256: str) -> bool:
        """Whether what a server that cannot be trusted shows under the name is what we wrote, or another writer's.

        Raises:
            BodyMismatchError: it is neither; it has been removed.
        """
        with s3_errors("get", key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
            actual = hashlib.sha256(answer["Body"].read()).hexdigest()
        if actual == sha256:
            return True
        if _of_names(answer["Metadata"]).get(SHA256_METADATA, actual) == actual:
            return False
        self.delete(key)
        raise BodyMismatchError(f"put {key!r}: the store gave back other bytes than it was sent")

    def capabilities(self) -> Capabilities:
        """What this server does of what our promises rest on; the first call of a process tries it out.

        Raises:
            StorageError: the server could not be asked.
        """
        return self._capabilities or capabilities_of(self._client, bucket=self._bucket, prefix=self._prefix)

    def get(self, key: str) -> bytes:
        with s3_errors("get", key):
            return self._client.get_object(Bucket=self._bucket, Key=self._name(key))["Body"].read()

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with s3_errors("head", key):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._name(key), ChecksumMode="ENABLED")
        except ObjectNotFoundError:
            return None
        metadata = _of_names(answer["Metadata"])
        noted = metadata.pop(SHA256_METADATA, None)
        return ObjectInfo(
            size_bytes=answer["ContentLength"],
            content_type=answer["ContentType"],
            sha256=_hexadecimal(answer.get("ChecksumSHA256")) or noted,
            metadata=metadata,
        )

    def list(self, prefix: str) -> Iterator[str]:
        check_prefix(prefix)
        with s3_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    key = entry["Key"].removeprefix(self._prefix)
                    if not is_private(key):
                        yield key

    def delete(self, key: str) -> None:
        with s3_errors("delete", key), contextlib.suppress(ObjectNotFoundError):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def link(self, key: str, *, lifetime_seconds: float) -> Link:
        signed_at = int(self._clock.now())
        url = presigned_url(
            self._client, bucket=self._bucket, key=self._name(key), lifetime_seconds=int(lifetime_seconds)
        )
        expires_at = float(signed_at + int(lifetime_seconds))
        return Link(url=url, expires_at=min(expires_at, credentials_end_at(self._client) or expires_at))

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._name(key)}"

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key


class _Headers(TypedDict, total=False):
    """What goes with a PUT besides name and body."""

    Metadata: dict[str, str]
    ChecksumSHA256: str
    ContentMD5: str
    IfNoneMatch: str


def _headers(body: BinaryIO, *, sha256: str, metadata: Mapping[str, str], server: Capabilities) -> _Headers:
    """Condition and checksum where the server heeds them.

    Where it heeds no SHA-256, that is checked here and noted in the metadata, and the MD5, which every server has known
    from the beginning, guards the way.

    Raises:
        BodyMismatchError: the body has another SHA-256.
    """
    headers: _Headers = {"Metadata": dict(metadata)}
    if server.conditional_writes:
        headers["IfNoneMatch"] = "*"
    if server.checksums:
        headers["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        return headers
    digest, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    body.seek(0)
    while chunk := body.read(CHUNK_BYTES):
        digest.update(chunk)
        md5.update(chunk)
    if digest.hexdigest() != sha256:
        raise BodyMismatchError("the body does not have the announced SHA-256")
    headers["ContentMD5"] = base64.b64encode(md5.digest()).decode()
    headers["Metadata"][SHA256_METADATA] = sha256
    return headers


def _of_names(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata by the names that were given: all are lower-case, and some servers write them like headers."""
    return {name.lower(): value for name, value in metadata.items()}


def _hexadecimal(checksum: str | None) -> str | None:
    """The SHA-256 of a whole object as we write it; None for none, and for the sum of sums of a multipart upload."""
    return base64.b64decode(checksum).hex() if checksum and "-" not in checksum else None
