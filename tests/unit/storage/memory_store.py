"""An object store in a dictionary, for tests above storage. It passes the contract of the real ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from storage.objects import (
    BodyMismatchError,
    Link,
    ObjectInfo,
    ObjectNotFoundError,
    check_key,
    check_metadata,
    check_prefix,
)


class MemoryStore:
    """`before(operation, key)` runs first in every call: a test raises there, or does what another process would do."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self.before: Callable[[str, str], None] = lambda _operation, _key: None
        self._lock = threading.Lock()

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
        check_key(key)
        check_metadata(metadata)
        self.before("put", key)
        body.seek(0)
        content = b"".join(iter(lambda: body.read(65_536), b""))
        if len(content) != size_bytes or hashlib.sha256(content).hexdigest() != sha256:
            raise BodyMismatchError("the body is not the announced one")
        info = ObjectInfo(size_bytes=size_bytes, content_type=content_type, sha256=sha256, metadata=dict(metadata))
        with self._lock:
            return self.objects.setdefault(key, entry := (content, info)) is entry

    def get(self, key: str) -> bytes:
        check_key(key)
        self.before("get", key)
        if key not in self.objects:
            raise ObjectNotFoundError(f"no object has the name {key!r}")
        return self.objects[key][0]

    def head(self, key: str) -> ObjectInfo | None:
        check_key(key)
        self.before("head", key)
        return self.objects[key][1] if key in self.objects else None

    def list(self, prefix: str) -> Iterator[str]:
        check_prefix(prefix)
        self.before("list", prefix)
        yield from [key for key in list(self.objects) if key.startswith(prefix)]

    def delete(self, key: str) -> None:
        check_key(key)
        self.before("delete", key)
        self.objects.pop(key, None)

    def link(self, key: str, *, lifetime_seconds: float) -> Link:  # noqa: ARG002 - memory does not expire
        return Link(url=self.uri(key), expires_at=None)

    def uri(self, key: str) -> str:
        check_key(key)
        return f"memory:///{key}"
