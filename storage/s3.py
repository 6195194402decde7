"""Results in an S3 bucket, of Amazon or of anybody who speaks its protocol, through boto3.

Three things of the protocol carry our promises: `If-None-Match: *` (one winner per name), the SHA-256 header of a
single PUT (a damaged body is refused by the server), and presigned URLs. Credentials come from boto3's ordinary chain
alone.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from sceneshift.clock import Clock, SystemClock
from sceneshift.errors import ConfigurationError
from storage.objects import (
    BodyMismatchError,
    Link,
    ObjectInfo,
    ObjectNotFoundError,
    check_key,
    check_metadata,
    check_prefix,
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

    def __init__(self, client: S3Client, *, bucket: str, prefix: str = "", clock: Clock | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._clock = clock or SystemClock()

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
                        Metadata=metadata,
                        ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
                        IfNoneMatch="*",
                    )
            except NameTakenError:
                return False
            except NameBusyError:
                if not tries_left:
                    raise
            else:
                return True
        raise AssertionError("unreachable: the last try returns or raises")

    def get(self, key: str) -> bytes:
        with s3_errors("get", key):
            return self._client.get_object(Bucket=self._bucket, Key=self._name(key))["Body"].read()

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with s3_errors("head", key):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._name(key), ChecksumMode="ENABLED")
        except ObjectNotFoundError:
            return None
        return ObjectInfo(
            size_bytes=answer["ContentLength"],
            content_type=answer["ContentType"],
            sha256=_hexadecimal(answer.get("ChecksumSHA256")),
            metadata=answer["Metadata"],
        )

    def list(self, prefix: str) -> Iterator[str]:
        check_prefix(prefix)
        with s3_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self._prefix)

    def delete(self, key: str) -> None:
        with s3_errors("delete", key), contextlib.suppress(ObjectNotFoundError):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def link(self, key: str, *, lifetime_seconds: float) -> Link:
        signed_at = int(self._clock.now())
        url = presigned_url(
            self._client, bucket=self._bucket, key=self._name(key), lifetime_seconds=int(lifetime_seconds)
        )
        return Link(url=url, expires_at=float(signed_at + int(lifetime_seconds)))

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._name(key)}"

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key


def _hexadecimal(checksum: str | None) -> str | None:
    """The SHA-256 of a whole object as we write it; None for none, and for the sum of sums of a multipart upload."""
    return base64.b64decode(checksum).hex() if checksum and "-" not in checksum else None
