"""The real servers that contract tests run against, started once and only when a test asks for one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.objects import ObjectStore
from storage.opening import open_store
from tests.s3_server import S3Server, running_s3_server
from tests.unit.storage.memory_store import MemoryStore


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Server) -> str:
    return s3_server.create_bucket("contract")


@pytest.fixture
def s3_store(s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty store, opened as the service opens it, under a prefix of its own: making a bucket is slow."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return open_store(s3_server.storage_url(s3_bucket, f"shop/{uuid.uuid4().hex}"))


@pytest.fixture(params=["directory", "s3", "memory"])
def object_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Every implementation in turn. The one in memory is a test's stand-in, so it must keep the same promises."""
    if request.param == "directory":
        return open_store((tmp_path / "store").as_uri())
    if request.param == "s3":
        store: ObjectStore = request.getfixturevalue("s3_store")
        return store
    return MemoryStore()
