"""What every object store promises, asked of each of them in the same words."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import httpx
import pytest

from storage.objects import BodyMismatchError, InvalidObjectError, ObjectNotFoundError, ObjectStore
from storage.opening import open_store
from tests.s3_server import S3Server

NAME = "results/2026/11/23/job_01/0.png"
BODY = b"\x89PNG and some more bytes"


def put(
    store: ObjectStore,
    key: str = NAME,
    body: bytes = BODY,
    *,
    sha256: str | None = None,
    size_bytes: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bool:
    return store.put(
        key,
        io.BytesIO(body),
        size_bytes=len(body) if size_bytes is None else size_bytes,
        sha256=sha256 or hashlib.sha256(body).hexdigest(),
        content_type="image/png",
        metadata=metadata or {},
    )


class ObservedBody(io.BytesIO):
    """A body that remembers the largest piece that was asked of it."""

    largest_read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.largest_read_bytes = max(self.largest_read_bytes, len(piece))
        return piece


def test_what_was_put_is_what_is_got(object_store: ObjectStore) -> None:
    """An object comes back byte for byte."""
    assert put(object_store)
    assert object_store.get(NAME) == BODY


def test_the_first_object_of_a_name_stays(object_store: ObjectStore) -> None:
    """A second put of a name says so, and changes neither bytes nor metadata."""
    assert put(object_store, metadata={"sku": "first"})
    assert not put(object_store, body=b"something else", metadata={"sku": "second"})
    info = object_store.head(NAME)
    assert info is not None
    assert (object_store.get(NAME), info.metadata) == (BODY, {"sku": "first"})


def test_of_sixteen_writers_one_wins(strong_store: ObjectStore) -> None:
    """When sixteen threads put one name at once, exactly one creates it, and all that is stored is that one's."""
    barrier = threading.Barrier(16)

    def write(number: int) -> bool:
        barrier.wait()
        return put(strong_store, body=b"%d" % number * 1000, metadata={"writer": str(number)})

    with ThreadPoolExecutor(16) as pool:
        created = list(pool.map(write, range(16)))
    assert created.count(True) == 1
    winner = created.index(True)
    body, info = strong_store.get(NAME), strong_store.head(NAME)
    assert info is not None
    assert body == b"%d" % winner * 1000
    assert info.metadata == {"writer": str(winner)}
    assert info.sha256 == hashlib.sha256(body).hexdigest()


def test_a_body_with_another_checksum_is_never_visible(object_store: ObjectStore) -> None:
    """A body that is not the announced one is refused, leaves nothing, and is not in the way of the right one."""
    with pytest.raises(BodyMismatchError):
        put(object_store, sha256=hashlib.sha256(b"another").hexdigest())
    assert object_store.head(NAME) is None
    assert list(object_store.list("")) == []
    assert put(object_store)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_body_of_another_length_is_never_visible(object_store: ObjectStore, difference: int) -> None:
    """A body that is shorter or longer than announced is refused and leaves nothing."""
    with pytest.raises(BodyMismatchError):
        put(object_store, size_bytes=len(BODY) + difference)
    assert object_store.head(NAME) is None


def test_head_tells_what_was_put(object_store: ObjectStore) -> None:
    """Size, content type, SHA-256 and metadata are known without reading the object."""
    metadata = {"sku": "TSHIRT-RED-M", "job-id": "job_01", "note": "50% off, today only"}
    put(object_store, metadata=metadata)
    info = object_store.head(NAME)
    assert info is not None
    assert (info.size_bytes, info.content_type) == (len(BODY), "image/png")
    assert info.sha256 == hashlib.sha256(BODY).hexdigest()
    assert dict(info.metadata) == metadata


def test_an_unknown_name_is_told_apart_from_a_failure(object_store: ObjectStore) -> None:
    """Of an unknown object, head says None, get raises ObjectNotFoundError, and delete is content."""
    assert object_store.head("results/none.png") is None
    with pytest.raises(ObjectNotFoundError):
        object_store.get("results/none.png")
    object_store.delete("results/none.png")


def test_a_deleted_object_is_gone_altogether(object_store: ObjectStore) -> None:
    """After delete nothing of the object is left, and its name is free for another."""
    put(object_store, metadata={"sku": "first"})
    object_store.delete(NAME)
    assert object_store.head(NAME) is None
    assert list(object_store.list("")) == []
    assert put(object_store, body=b"second")
    info = object_store.head(NAME)
    assert info is not None
    assert (object_store.get(NAME), dict(info.metadata)) == (b"second", {})


def test_list_gives_the_names_that_begin_so(object_store: ObjectStore) -> None:
    """A prefix is text, not a folder; nothing but objects is listed."""
    names = ["results/a/0.png", "results/a/1.png", "results/a/10.png", "results/ab/0.png", "other/0.png"]
    for name in names:
        put(object_store, name, metadata={"sku": "x"})
    assert sorted(object_store.list("")) == sorted(names)
    assert sorted(object_store.list("results/a")) == sorted(names[:4])
    assert sorted(object_store.list("results/a/")) == sorted(names[:3])
    assert sorted(object_store.list("results/a/1")) == ["results/a/1.png", "results/a/10.png"]
    assert sorted(object_store.list("results/a/1.")) == ["results/a/1.png"]
    assert list(object_store.list("nothing/")) == []


@pytest.mark.parametrize(
    "key",
    [
        "", "/", "/etc/passwd", "..", ".", "../x", "a/../b", "a/..", "a/./b", "a//b", "a/", "a\\b", "a\0b", "a\nb",
        "a b",
        "%2e%2e/x", "a/%2e%2e/b", "a?versionId=1", "a#b", ".hidden", "a/.hidden", "bücher", "cafe\u0301", "a\u2024b",
        "\uff0e\uff0e/x", "C:\\x", "a:b", "x" * 513, "a\u202eb", "~", "$HOME", "a*",
    ],
)  # fmt: skip
def test_a_name_that_not_every_store_can_keep_is_refused(object_store: ObjectStore, key: str) -> None:
    """Traversal, encodings of it, other alphabets, control characters and hidden names never reach a store."""
    for call in (
        lambda: put(object_store, key),
        lambda: object_store.get(key),
        lambda: object_store.head(key),
        lambda: object_store.delete(key),
        lambda: object_store.link(key, lifetime_seconds=60),
        lambda: object_store.uri(key),
    ):
        with pytest.raises(InvalidObjectError):
            call()
    assert list(object_store.list("")) == []


@pytest.mark.parametrize("prefix", ["../", "/", "a/../", "a//", ".incoming/", "ü"])
def test_a_prefix_that_no_name_has_is_refused(object_store: ObjectStore, prefix: str) -> None:
    """Listing does not lead out of the store either."""
    with pytest.raises(InvalidObjectError):
        list(object_store.list(prefix))


@pytest.mark.parametrize(
    "metadata",
    [
        {"sku": "Kühlschrank"}, {"sku": ""}, {"sku": " x"}, {"sku": "a\r\nx-amz-acl: public-read"}, {"sku": "a\0"},
        {"SKU": "x"}, {"": "x"}, {"sku:": "x"}, {"größe": "x"}, {"a_b": "x"}, {"a": "x" * 2048},
    ],
)  # fmt: skip
def test_metadata_that_would_not_come_back_unchanged_is_refused(
    object_store: ObjectStore, metadata: dict[str, str]
) -> None:
    """What HTTP headers cannot carry as it is raises before anything is stored."""
    with pytest.raises(InvalidObjectError):
        put(object_store, metadata=metadata)
    assert object_store.head(NAME) is None


def test_a_large_body_is_streamed(object_store: ObjectStore) -> None:
    """A body of 24 MB passes in pieces: no more than 2 MB of it is asked for at once."""
    body = ObservedBody(bytes(range(256)) * 4096 * 24)
    size_bytes, sha256 = len(body.getvalue()), hashlib.sha256(body.getvalue()).hexdigest()
    assert object_store.put(NAME, body, size_bytes=size_bytes, sha256=sha256, content_type="image/png", metadata={})
    info = object_store.head(NAME)
    assert info is not None
    assert info.size_bytes == size_bytes
    assert hashlib.sha256(object_store.get(NAME)).hexdigest() == sha256
    assert 0 < body.largest_read_bytes <= 2 * 1024 * 1024


@pytest.mark.parametrize("memory_bytes", [8, 1024 * 1024])
def test_a_body_may_be_a_spooled_file_at_its_end(object_store: ObjectStore, memory_bytes: int) -> None:
    """Bodies are read from their start, wherever the writing has left them, in memory or on the disk."""
    with tempfile.SpooledTemporaryFile(max_size=memory_bytes) as spool:
        spool.write(BODY)
        assert object_store.put(
            NAME,
            cast("BinaryIO", spool),
            size_bytes=len(BODY),
            sha256=hashlib.sha256(BODY).hexdigest(),
            content_type="image/png",
            metadata={},
        )
    assert object_store.get(NAME) == BODY


def test_a_directory_s_link_and_uri_are_the_file(tmp_path: Path) -> None:
    """A link into a directory is a file URL that does not expire; opening it gives the object."""
    store = open_store((tmp_path / "with space").as_uri())
    put(store)
    link = store.link(NAME, lifetime_seconds=60)
    assert link.expires_at is None
    assert link.url == store.uri(NAME)
    assert Path(urllib.request.url2pathname(urlsplit(link.url).path)).read_bytes() == BODY


def test_an_s3_link_works_for_a_plain_client(s3_store: ObjectStore) -> None:
    """A presigned link needs no credentials; with a changed signature, or for another object, it is refused."""
    put(s3_store)
    put(s3_store, "results/other.png")
    link = s3_store.link(NAME, lifetime_seconds=3600)
    with httpx.Client(trust_env=False) as client:
        answer = client.get(link.url)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert answer.headers["content-type"] == "image/png"
        assert client.get(link.url[:-4] + "0000").status_code == 403
        assert client.get(link.url.replace(NAME, "results/other.png")).status_code == 403
        assert client.get(link.url.partition("?")[0]).status_code in {400, 403}


def test_a_link_ends_when_it_says(s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that was signed two hours ago for one hour is refused; `expires_at` has said so."""
    put(s3_store)
    signed_at = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: signed_at)
    link = s3_store.link(NAME, lifetime_seconds=3600)
    monkeypatch.undo()
    with httpx.Client(trust_env=False) as client:
        assert client.get(link.url).status_code in {400, 403}


def test_an_s3_uri_names_bucket_prefix_and_key(s3_store: ObjectStore, s3_server: S3Server) -> None:
    """The URI is what other programs of the shop take: bucket, the store's prefix, the key."""
    put(s3_store)
    scheme, _, bucket, key = s3_store.uri(NAME).split("/", 3)
    assert (scheme, bucket) == ("s3:", "contract")
    assert key.startswith("shop/")
    assert s3_server.client().get_object(Bucket=bucket, Key=key)["Body"].read() == BODY
