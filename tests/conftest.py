"""What tests of several folders share: a private Redis-protocol server, and a job store on a clock that stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest
from redis import Redis

from sceneshift.clock import ManualClock
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import Store, open_job_store
from tests.factories import NOW
from workers.embedded.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A private server for this session, on a free port of the loopback address."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock(NOW)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that name nothing outside of the test."""
    return Settings(
        storage_url=(tmp_path / "store").as_uri(),
        spool_directory=str(tmp_path / "spool"),
        provider_url="http://127.0.0.1:1/api/v1/bg-rep",
        provider_appcode="test-appcode",
        # Tests of our own limits set them.
        submit_rate=None,
        query_rate=None,
        # So do tests of waiting for the disk: the session's server answers within its second.
        disk_wait_seconds=None,
        # Tests of copying at once set it: one after the other, what happens is the same each time.
        copy_concurrency=1,
        webhook_secret="whsec_" + "dGVzdC1zZWNyZXQtZm9yLXVuaXQtdGVzdHMtb25seQ==",
    )


@pytest.fixture(params=["fakeredis", "server"])
def redis_client(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """An empty database: the in-process imitation that fault tests use, and then a real server."""
    if request.param == "fakeredis":
        yield fakeredis.FakeRedis(decode_responses=True)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    client = connect(server.url, TIMEKEEPER)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def store(redis_client: Redis, settings: Settings, clock: ManualClock) -> Store:
    """A job store on an empty database."""
    return open_job_store(settings, patience=TIMEKEEPER, client=redis_client, clock=clock)
