"""What an S3 server really does of the two things that our promises rest on, found out by trying it.

Servers that do not know a header mostly ignore it: a conditional write overwrites, and a damaged body is kept. Nothing
that they say of themselves tells so. Two small requests do, under names that no object of ours can have.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from botocore.exceptions import ClientError

from storage.objects import BodyMismatchError, StorageError, StorageRefusedError
from storage.s3_errors import NameBusyError, NameTakenError, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONDITIONAL_PROBE = ".probe-conditional"
CHECKSUM_PROBE = ".probe-checksum"
"""Names that begin with a dot are the store's own: no key may, and none is listed."""

PROBE_BODY = b"Sceneshift asks whether this server honours If-None-Match and x-amz-checksum-sha256.\n"

_UNKNOWN_HEADER_STATUS = 501
_UNKNOWN_HEADER_CODES = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedOperation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a server does.

    Attributes:
        conditional_writes: it refuses a PUT with `If-None-Match: *` when the name is taken.
        checksums: it refuses a body that has not the SHA-256 of its `x-amz-checksum-sha256`.
    """

    conditional_writes: bool = True
    checksums: bool = True


def probe_capabilities(client: S3Client, *, bucket: str, prefix: str) -> Capabilities:
    """What the server does, as two or three small writes below the prefix have shown.

    One object of a hundred bytes stays, so that the next process needs one request less. `prefix` ends in a slash or is
    empty.

    Raises:
        StorageRefusedError: such names may not be written here.
        StorageError: the server could not be asked.
    """
    probe = _Probe(client, bucket, prefix)
    return Capabilities(conditional_writes=probe.honours_conditions(), checksums=probe.honours_checksums())


class _Probe:
    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def honours_conditions(self) -> bool:
        """Whether the name, once taken, is refused; whoever took it, and whenever."""
        for _ in range(2):
            refusal = self._put(CONDITIONAL_PROBE, PROBE_BODY)
            if isinstance(refusal, NameTakenError | NameBusyError):
                return True
        return False

    def honours_checksums(self) -> bool:
        """Whether a body with another checksum is refused.

        The condition goes with it, for buckets may insist on one. A taken name shows that such a body was kept before.
        """
        if isinstance(self._put(CHECKSUM_PROBE, PROBE_BODY + b"damaged"), BodyMismatchError):
            return True
        with s3_errors("delete", CHECKSUM_PROBE):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + CHECKSUM_PROBE)
        return False

    def _put(self, name: str, body: bytes) -> StorageError | None:
        """What the server has against it, if anything; a header that it does not know is nothing.

        Raises:
            StorageError: the answer tells nothing about what was asked.
        """
        try:
            with s3_errors("put", name):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + name,
                    Body=body,
                    ContentType="text/plain",
                    ChecksumSHA256=base64.b64encode(hashlib.sha256(PROBE_BODY).digest()).decode(),
                    IfNoneMatch="*",
                )
        except (NameTakenError, NameBusyError, BodyMismatchError) as refusal:
            return refusal
        except StorageError as error:
            if isinstance(error.__cause__, ClientError) and _is_about_header(error.__cause__):
                return None
            raise
        return None


def _is_about_header(error: ClientError) -> bool:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status == _UNKNOWN_HEADER_STATUS or code in _UNKNOWN_HEADER_CODES


_lock = threading.Lock()
_known: WeakKeyDictionary[S3Client, dict[tuple[str, str], Capabilities]] = WeakKeyDictionary()


def capabilities_of(client: S3Client, *, bucket: str, prefix: str) -> Capabilities:
    """What the server does, found out once per process, client and place.

    Where nobody may write the probes, the server has rules of its own for names, as AWS has: it is taken at its word,
    and asked again next time, for the rules may have been a mistake.

    Raises:
        StorageError: the server could not be asked.
    """
    with _lock:
        places = _known.setdefault(client, {})
        if (bucket, prefix) not in places:
            try:
                places[bucket, prefix] = probe_capabilities(client, bucket=bucket, prefix=prefix)
            except StorageRefusedError:
                return Capabilities()
        return places[bucket, prefix]
