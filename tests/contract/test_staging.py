"""Files of this machine in the bucket: once, under the name of their bytes, and fetchable by a link."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from sceneshift.errors import ConfigurationError, InvalidRequestError
from storage.objects import ObjectStore, StorageError
from storage.opening import fetchable_url, open_store
from storage.s3 import S3Store
from storage.staging import stage_file
from tests.contract.conftest import BUCKET
from tests.s3_server import S3Server
from tests.unit.storage.pictures import picture

MAX_BYTES = 1_000_000


@pytest.mark.parametrize(("image_format", "extension"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_a_staged_file_can_be_fetched_as_a_source(
    s3_store: ObjectStore, s3_server: S3Server, tmp_path: Path, image_format: str, extension: str
) -> None:
    """Its name is the hash of its bytes, whatever the file is called, and what a job signs leads to it."""
    path = tmp_path / "wrong name.gif"
    path.write_bytes(body := picture(image_format))
    url = stage_file(s3_store, path, max_bytes=MAX_BYTES)
    assert url.endswith(f"/sources/{hashlib.sha256(body).hexdigest()}.{extension}")
    link = fetchable_url(url, storage_url=s3_server.storage_url(BUCKET), lifetime_seconds=60)
    with httpx.Client(trust_env=False) as client:
        answer = client.get(link)
    assert (answer.content, answer.headers["content-type"]) == (body, f"image/{image_format.lower()}")


def test_a_file_is_staged_once(s3_store: ObjectStore, tmp_path: Path) -> None:
    """The second time it is there already; another file has another name."""
    path = tmp_path / "a.png"
    urls = []
    for seed in (1, 1, 2):
        path.write_bytes(picture("PNG", seed=seed))
        urls.append(stage_file(s3_store, path, max_bytes=MAX_BYTES))
    assert urls[0] == urls[1] != urls[2]
    assert len(list(s3_store.list("sources/"))) == 2


def test_what_has_the_name_and_other_bytes_is_told(s3_store: ObjectStore, tmp_path: Path) -> None:
    """Somebody wrote over it by hand: no job is ordered with that."""
    path = tmp_path / "a.png"
    path.write_bytes(picture("PNG"))
    url = stage_file(s3_store, path, max_bytes=MAX_BYTES)
    assert isinstance(s3_store, S3Store)
    key = url.removeprefix(f"s3://{BUCKET}/")
    s3_store._client.put_object(Bucket=BUCKET, Key=key, Body=b"other")
    with pytest.raises(StorageError, match="other bytes"):
        stage_file(s3_store, path, max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    "content", [None, b"", b"GIF89a", b"<svg/>", picture("PNG", size=(900, 900)) + b"\0" * MAX_BYTES]
)
def test_what_is_no_source_is_refused(s3_store: ObjectStore, tmp_path: Path, content: bytes | None) -> None:
    """A missing file, other formats and too large ones are told by their names, and nothing is stored."""
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=r"a\.png"):
        stage_file(s3_store, path, max_bytes=MAX_BYTES)
    assert list(s3_store.list("")) == []


def test_a_directory_stages_nothing(tmp_path: Path) -> None:
    """No provider can fetch from it."""
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    with pytest.raises(ConfigurationError):
        stage_file(open_store((tmp_path / "store").as_uri()), tmp_path / "a.png", max_bytes=MAX_BYTES)
