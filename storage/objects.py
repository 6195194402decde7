"""What the service needs of an object store, so that S3 and a plain directory are the same to everything above them.

    StorageError                          base; retryable unless a subclass says otherwise
    ├── StorageUnavailableError           time mends it: timeouts, throttling, 5xx
    ├── StorageRefusedError               a person mends it: credentials, bucket, quota, permissions
    ├── BodyMismatchError                 the bytes are not the announced ones; nothing became visible
    ├── ObjectNotFoundError (LookupError) no object has this key
    └── InvalidObjectError  (ValueError)  a key or metadata that no store may be given

A refusal is retryable too: the image is paid for, so it waits for the person instead of being given up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from sceneshift.errors import SceneshiftError

KEY_MAX_LENGTH = 512
"""Characters; S3 allows 1024 bytes, and the prefix of a store takes its part."""

METADATA_MAX_BYTES = 1900
"""Names and values together: S3 allows 2048 of user-defined metadata, and a store may add a checksum of its own."""

# A segment never begins with a dot: `..` is impossible, and a store may keep files of its own under such names.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)
_PREFIX = re.compile(rf"(?:{_KEY.pattern}/?)?", re.ASCII)
_METADATA_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_METADATA_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)


class StorageError(SceneshiftError):
    """Raised when an object store does not do what it was asked."""

    code = "storage"
    retryable = True


class StorageUnavailableError(StorageError):
    """Raised when the store did not answer, or asked for patience: the same call may succeed later by itself."""

    code = "storage_unavailable"


class StorageRefusedError(StorageError):
    """Raised when the store says no until a person has changed something: credentials, bucket, permissions or space."""

    code = "storage_refused"


class BodyMismatchError(StorageError):
    """Raised when a body does not have the announced length or SHA-256. No object has become visible."""

    code = "body_mismatch"


class ObjectNotFoundError(StorageError, LookupError):
    """Raised when no object has this key."""

    code = "object_not_found"
    retryable = False


class InvalidObjectError(StorageError, ValueError):
    """Raised before any store is asked, when a key or its metadata is not of the form that every store can keep."""

    code = "invalid_object"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a store knows of an object without reading it.

    Attributes:
        sha256: lower-case hexadecimal, or None where the store did not keep it.
    """

    size_bytes: int
    content_type: str
    sha256: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A URL that a plain HTTP client can fetch until `expires_at` (unix seconds; None: it does not expire)."""

    url: str
    expires_at: float | None


class ObjectStore(Protocol):
    """Named, immutable bytes. Thread-safe. Every method raises `StorageError` and nothing else."""

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
        """An object of this key exists, whole; True when this call created it, False when one was there and stayed.

        The body is seekable and read from its start. False may also mean that an earlier try of this very call, whose
        answer was lost, created it: the caller compares.

        Raises:
            BodyMismatchError: the body has another length or SHA-256. It is never visible, not even for a moment.
        """
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes, or `ObjectNotFoundError`."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, or None when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin with this text, in no promised order; "" lists all."""
        ...

    def delete(self, key: str) -> None:
        """No object has this key, whether or not there was one."""
        ...

    def link(self, key: str, *, lifetime_seconds: float) -> Link:
        """A link to the object, which is not asked about: it need not exist yet."""
        ...

    def uri(self, key: str) -> str:
        """Where the object is, for people and for programs with credentials of their own: `s3://…` or `file:///…`."""
        ...


def check_key(key: str) -> None:
    """Return when every store can keep an object of this name; raise `InvalidObjectError` otherwise."""
    if len(key) > KEY_MAX_LENGTH or not _KEY.fullmatch(key):
        raise InvalidObjectError(
            f"{key[:80]!r} is not an object name: at most {KEY_MAX_LENGTH} characters, segments of A-Z a-z 0-9 . _ - "
            "between single slashes, none of which begins with a dot"
        )


def check_prefix(prefix: str) -> None:
    """Return when this is the beginning of a possible object name; raise `InvalidObjectError` otherwise."""
    if len(prefix) > KEY_MAX_LENGTH or not _PREFIX.fullmatch(prefix):
        raise InvalidObjectError(f"{prefix[:80]!r} is not the beginning of an object name")


def is_private(key: str) -> bool:
    """Whether this is a name of the store's own, which no key can be: a segment begins with a dot."""
    return key.startswith(".") or "/." in key


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Return when every store keeps this metadata unchanged; raise `InvalidObjectError` otherwise."""
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name):
            raise InvalidObjectError(f"metadata name {name[:80]!r}: lower-case letters, digits and single hyphens only")
        if not _METADATA_VALUE.fullmatch(value):
            raise InvalidObjectError(f"metadata {name}: the value must be printable ASCII without surrounding spaces")
    if sum(len(name) + len(value) for name, value in metadata.items()) > METADATA_MAX_BYTES:
        raise InvalidObjectError(f"metadata: more than {METADATA_MAX_BYTES} bytes of names and values")
