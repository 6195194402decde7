"""Makes the bucket of `SCENESHIFT_STORAGE_URL` and waits until it can be used.

An object store's port opens seconds before its data can be read, so the only proof of readiness is an object that was
written and read back. Run twice: finds the bucket, and writes the same probe object again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sceneshift.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5
PROBE_NAME = ".probe"
PROBE_BODY = b"readable"
DEFAULT_REGION = "us-east-1"


class BucketNotReadyError(Exception):
    """Raised when the bucket could not be used before patience ended; the text says what the store answered last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where results are to go, as far as making the bucket needs it."""

    bucket: str
    prefix: str
    endpoint_url: str | None
    region: str

    @classmethod
    def from_storage_url(cls, storage_url: str) -> Target | None:
        """The target of an `s3://` URL; None for other stores, which have no bucket to make."""
        parts = urlsplit(storage_url)
        if parts.scheme != "s3":
            return None
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return cls(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            endpoint_url=query.get("endpoint_url"),
            region=query.get("region", DEFAULT_REGION),
        )

    @property
    def probe_key(self) -> str:
        return f"{self.prefix}/{PROBE_NAME}" if self.prefix else PROBE_NAME


def connect(target: Target) -> S3Client:
    """A client with the ordinary credential chain and short time-outs: the repetition is ours."""
    config = Config(
        connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
    )
    return boto3.Session().client("s3", endpoint_url=target.endpoint_url, region_name=target.region, config=config)


def prepare(
    client: S3Client,
    target: Target,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """The bucket exists, and an object in it was written and read back.

    Raises:
        BucketNotReadyError: it did not come to that within `patience_seconds`.
    """
    ends_at = monotonic() + patience_seconds
    while (problem := _attempt(client, target)) is not None:
        if monotonic() >= ends_at:
            raise BucketNotReadyError(f"{target.bucket}: not usable after {patience_seconds:.0f} s: {problem}")
        sleep(PAUSE_SECONDS)


def _attempt(client: S3Client, target: Target) -> str | None:
    """None when the bucket works, else what is wrong with it, without secrets."""
    try:
        _ensure_bucket(client, target)
        client.put_object(Bucket=target.bucket, Key=target.probe_key, Body=PROBE_BODY)
        body = client.get_object(Bucket=target.bucket, Key=target.probe_key)["Body"].read()
    except ClientError as error:
        return str(error.response.get("Error", {}).get("Code", "unknown error"))
    except BotoCoreError as error:
        return type(error).__name__
    return None if body == PROBE_BODY else "the probe object was read back with other bytes"


def _ensure_bucket(client: S3Client, target: Target) -> None:
    try:
        client.head_bucket(Bucket=target.bucket)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in {"404", "NoSuchBucket"}:
            raise
    else:
        return
    if target.region == DEFAULT_REGION:
        client.create_bucket(Bucket=target.bucket)
    else:
        region: BucketLocationConstraintType = target.region  # type: ignore[assignment]  # the stubs list AWS's own only
        client.create_bucket(Bucket=target.bucket, CreateBucketConfiguration={"LocationConstraint": region})


def main() -> int:
    """0 when the bucket is usable or none is needed; 1 with one sentence on stderr when it is not."""
    target = Target.from_storage_url(Settings.from_env().storage_url)
    if target is None:
        sys.stdout.write("prepare_bucket: this store has no bucket to make\n")
        return 0
    try:
        prepare(connect(target), target)
    except BucketNotReadyError as error:
        sys.stderr.write(f"prepare_bucket: {error}\n")
        return 1
    sys.stdout.write(f"prepare_bucket: {target.bucket} is ready\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
