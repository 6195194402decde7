"""The real servers that contract tests run against, started once and only when a test asks for one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.objects import ObjectStore
from storage.opening import open_store
from tests.rclone_server import running_rclone_server
from tests.s3_server import S3Server, running_s3_server
from tests.unit.storage.memory_store import MemoryStore

BUCKET = "contract"


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[S3Server]:
    """A server that has all that AWS has and we need."""
    with running_s3_server() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[S3Server]:
    """A server that ignores conditions and checksums."""
    with running_rclone_server() as server:
        server.create_bucket(BUCKET)
        yield server


def opened(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty store, opened as the service opens it, under a prefix of its own: making a bucket is slow."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return open_store(server.storage_url(BUCKET, f"shop/{uuid.uuid4().hex}"))


@pytest.fixture(params=["seaweedfs", "rclone"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Both servers in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def s3_store(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    return opened(s3_server, monkeypatch)


@pytest.fixture
def weak_store(rclone: S3Server, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The server that has neither conditions nor checksums."""
    return opened(rclone, monkeypatch)


@pytest.fixture(params=["directory", "seaweedfs", "memory"])
def strong_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Every implementation that lets one writer of many win. The one in memory is a test's stand-in."""
    return store_of(request.param, request, tmp_path, monkeypatch)


@pytest.fixture(params=["directory", "seaweedfs", "rclone", "memory"])
def object_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Every implementation in turn. The one in memory is a test's stand-in, so it must keep the same promises."""
    return store_of(request.param, request, tmp_path, monkeypatch)


def store_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty store of this kind."""
    if kind == "directory":
        return open_store((tmp_path / "store").as_uri())
    if kind == "memory":
        return MemoryStore()
    return opened(request.getfixturevalue(kind), monkeypatch)
