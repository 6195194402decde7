"""A failover is a loss when the new primary lacks what the old one had confirmed, and otherwise none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import SERVICE, connect
from sceneshift.store.jobs import RecoveringError, RolledBackError
from tests.unit.store.worker_processes import Process, ProcessOf, is_off, processes
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer


@pytest.fixture
def process_of(settings: Settings, clock: ManualClock) -> Iterator[ProcessOf]:
    with processes(settings, clock) as process_of:
        yield process_of


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica, which has what the primary had."""
    with ExitStack() as stack:
        primary, replica = (
            stack.enter_context(RedisServer(tmp_path / name, fsync="always")) for name in ("primary", "replica")
        )
        replicate(primary, replica)
        yield primary, replica


def replicate(primary: RedisServer, replica: RedisServer) -> None:
    """The replica has what the primary has, and follows it."""
    ours, theirs = connect(primary.url, SERVICE), connect(replica.url, SERVICE)
    ours.config_set("repl-diskless-sync-delay", 0)
    theirs.replicaof("127.0.0.1", primary.port)
    ours.close()
    theirs.close()
    caught_up(primary, replica)


def caught_up(primary: RedisServer, replica: RedisServer) -> None:
    """The replica has what the primary has."""
    ours, theirs = connect(primary.url, SERVICE), connect(replica.url, SERVICE)
    deadline = time.monotonic() + 30.0
    while True:
        at, information = ours.info("replication"), theirs.info("replication")
        if (
            information.get("master_link_status") == "up"
            and information["slave_repl_offset"] >= at["master_repl_offset"]
        ):
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ours.close()
    theirs.close()


def promote(replica: RedisServer, process: Process) -> None:
    """The replica is the job store from now on, as a proxy or a changed address makes it."""
    client = connect(replica.url, SERVICE)
    client.replicaof("NO", "ONE")
    client.close()
    pool = process.store.client.connection_pool
    pool.disconnect()
    # Connections that are there know the old address.
    pool.reset()
    pool.connection_kwargs["port"] = replica.port
    assert process.store.client.config_get("port")["port"] == str(replica.port)


def test_a_replica_that_joins_is_no_loss(process_of: ProcessOf, tmp_path: Path) -> None:
    """The primary begins a new stream for its first replica, and has lost nothing."""
    with RedisServer(tmp_path / "primary", fsync="always") as server:
        _joined_by_a_replica(process_of(server.url), server, tmp_path)


def _joined_by_a_replica(process: Process, server: RedisServer, tmp_path: Path) -> None:
    process.submit_new()
    assert is_off(process)
    with RedisServer(tmp_path / "replica") as replica:
        replicate(server, replica)
        assert is_off(process)
        process.submit_new()
        assert is_off(process)


def test_a_failover_without_loss_is_none(pair: tuple[RedisServer, RedisServer], process_of: ProcessOf) -> None:
    """A replica that had everything becomes the job store: submitting goes on."""
    primary, replica = pair
    process = process_of(primary.url)
    process.submit_new()
    assert is_off(process)
    caught_up(primary, replica)
    promote(replica, process)
    assert is_off(process)
    process.submit_new()
    assert is_off(process)


def test_a_stale_replica_is_noticed(pair: tuple[RedisServer, RedisServer], process_of: ProcessOf) -> None:
    """BRK6: a replica that missed an intent becomes the job store, and that job is not submitted again."""
    primary, replica = pair
    process = process_of(primary.url)
    assert is_off(process)
    job = process.accept()
    caught_up(primary, replica)
    leave_behind(replica)
    process.store_intent(job)
    promote(replica, process)
    found = process.store.jobs.load(job.id)
    assert found is not None
    assert found.state is JobState.QUEUED
    with pytest.raises(RolledBackError):
        process.store_intent(found)
    assert process.recovery.look() is not None
    with pytest.raises(RecoveringError):
        process.store_intent(found)


def test_a_stale_replica_is_noticed_by_its_place_in_the_stream(
    pair: tuple[RedisServer, RedisServer], process_of: ProcessOf
) -> None:
    """BRK6: whatever the lost writes were, who has seen how far the primary was notices that they are missing."""
    primary, replica = pair
    process = process_of(primary.url)
    assert is_off(process)
    caught_up(primary, replica)
    leave_behind(replica)
    process.store.client.set("{other}:key", "x" * 100)
    assert is_off(process)
    promote(replica, process)
    state = process.recovery.look()
    assert state is not None
    assert "replica that lacked" in state.reason


def leave_behind(replica: RedisServer) -> None:
    """The replica gets no further writes, as if its link hung."""
    client = connect(replica.url, SERVICE)
    client.replicaof("127.0.0.1", free_port())
    client.close()
