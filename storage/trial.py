"""One small object through everything that is done with results: what `sceneshift doctor` knows of a store."""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from storage.capabilities import Capabilities
from storage.objects import ObjectStore, StorageError

FETCH_TIMEOUT_SECONDS = 10.0
BODY = b"sceneshift doctor looks whether this store does what it must\n"

Fetch = Callable[[str], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of the object.

    Attributes:
        failed: the first call that failed (`ask`, `put`, `read`, `list`, `link to`, `delete`), and why; None for none.
        link: what a plain client found behind the link: None the object, else what instead.
        link_expires_at: unix seconds; None: it does not expire.
        capabilities: None where it could not be found out.
    """

    failed: tuple[str, StorageError] | None = None
    link: str | None = None
    link_expires_at: float | None = None
    capabilities: Capabilities | None = None


def fetch_plainly(url: str) -> bytes:
    """The first bytes behind a URL, by a client without credentials, proxies or anything else of ours.

    Raises:
        OSError: nothing came, or an error.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=FETCH_TIMEOUT_SECONDS) as answer:
        body: bytes = answer.read(len(BODY) + 1)
    return body


def try_store(store: ObjectStore, *, lifetime_seconds: float, fetch: Fetch = fetch_plainly) -> Trial:
    """One object was put, read, listed, fetched by its link and deleted, as far as the store does that."""
    key = f"results/doctor/{secrets.token_hex(8)}.txt"
    capabilities, what = None, "ask"
    try:
        capabilities = _capabilities(store)
        for what, step in (("put", _put), ("read", _read), ("list", _list)):  # noqa: B007 - told when it fails
            step(store, key)
        what = "link to"
        link = store.link(key, lifetime_seconds=lifetime_seconds)
        problem = _problem_behind(link.url, fetch)
        what = "delete"
        _delete(store, key)
    except StorageError as error:
        with contextlib.suppress(StorageError):
            store.delete(key)
        return Trial(failed=(what, error), capabilities=capabilities)
    return Trial(link=problem, link_expires_at=link.expires_at, capabilities=capabilities)


def _capabilities(store: ObjectStore) -> Capabilities:
    """A directory keeps all promises by itself; an S3 server is asked."""
    ask: Callable[[], Capabilities] | None = getattr(store, "capabilities", None)
    return Capabilities() if ask is None else ask()


def _put(store: ObjectStore, key: str) -> None:
    store.put(
        key,
        io.BytesIO(BODY),
        size_bytes=len(BODY),
        sha256=hashlib.sha256(BODY).hexdigest(),
        content_type="text/plain",
        metadata={"sku": "doctor"},
    )


def _read(store: ObjectStore, key: str) -> None:
    info = store.head(key)
    if info is None or store.get(key) != BODY:
        raise StorageError("what was written is not what is read")
    if info.metadata.get("sku") != "doctor":
        raise StorageError("the metadata did not come back")


def _list(store: ObjectStore, key: str) -> None:
    if key not in store.list("results/doctor/"):
        raise StorageError("what was written is not listed")


def _delete(store: ObjectStore, key: str) -> None:
    store.delete(key)
    if store.head(key) is not None:
        raise StorageError("what was deleted is still there")


def _problem_behind(url: str, fetch: Fetch) -> str | None:
    try:
        return None if fetch(url) == BODY else "other bytes"
    except urllib.error.HTTPError as error:
        return f"the answer {error.code}"
    except (OSError, ValueError) as error:
        return type(error).__name__
