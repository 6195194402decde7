"""What a script wrote is on the server's disk when `DiskWait` says so, and it never waits for what cannot come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from sceneshift.store.connection import CALLER, SERVICE, TIMEKEEPER, connect
from sceneshift.store.durability import ASK_AGAIN_SECONDS, DiskWait
from workers.embedded.redis_server import RedisServer

WRITE = "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]"


class Watch:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, whose configuration it may change."""
    with RedisServer(tmp_path / "server", fsync="everysec") as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    client = connect(server.url, SERVICE)
    yield client
    client.close()


def write(wait: DiskWait, client: Redis, text: str = "x") -> tuple[object, bool | None]:
    return wait.call(client.register_script(WRITE), ["{disk}:key"], [text])


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_was_written_is_on_disk(server: RedisServer, client: Redis, fsync: str) -> None:
    """The answer comes with the word that it is on disk, and then all of the append-only file has been synced."""
    client.config_set("appendfsync", fsync)
    wait = DiskWait(client, 5.0)
    for number in range(5):
        assert write(wait, client, str(number)) == (str(number), True)
        assert f"\r\n{number}\r\n".encode() in file_of(server)
    assert int(client.info("persistence")["aof_pending_bio_fsync"]) == 0


def file_of(server: RedisServer) -> bytes:
    return b"".join(path.read_bytes() for path in server._directory.rglob("*.incr.aof"))


def test_the_wait_is_for_the_disk_and_not_for_the_answer(client: Redis) -> None:
    """A server that leaves its disk to the system does not confirm: the answer is there, and is not on disk."""
    client.config_set("appendfsync", "no")
    began = time.monotonic()
    assert write(DiskWait(client, 0.2), client) == ("x", False)
    assert 0.15 < time.monotonic() - began < 2.0
    assert client.get("{disk}:key") == "x"


def test_a_server_that_never_confirms_is_not_waited_for_each_time(client: Redis) -> None:
    """After three time-outs in a row it cannot tell; a minute later it is asked again, and may have been mended."""
    client.config_set("appendfsync", "no")
    watch = Watch()
    wait = DiskWait(client, 0.05, monotonic=watch)
    assert [write(wait, client)[1] for _ in range(5)] == [False, False, False, None, None]
    client.config_set("appendfsync", "everysec")
    assert write(wait, client)[1] is None
    watch.now += ASK_AGAIN_SECONDS
    wait = DiskWait(client, 2.0, monotonic=watch)
    assert write(wait, client)[1] is True


def test_without_an_append_only_file_nobody_waits(client: Redis) -> None:
    """The server cannot tell, which is remembered for a minute; the script has run all the same."""
    client.config_set("appendonly", "no")
    watch = Watch()
    wait = DiskWait(client, 2.0, monotonic=watch)
    assert write(wait, client, "one") == ("one", None)
    client.config_set("appendonly", "yes")
    assert write(wait, client, "two") == ("two", None)
    watch.now += ASK_AGAIN_SECONDS
    assert write(wait, client, "three") == ("three", True)


def test_a_server_that_does_not_know_the_command_cannot_tell() -> None:
    """Older servers, and imitations of one, run the script, and are not asked each time."""
    client = fakeredis.FakeRedis(decode_responses=True)
    wait = DiskWait(client, 2.0)
    assert [write(wait, client, text) for text in ("one", "two")] == [("one", None), ("two", None)]


def test_none_does_not_wait(client: Redis) -> None:
    """Who does not want to wait gets the script's answer alone."""
    client.config_set("appendfsync", "no")
    assert write(DiskWait(client, None), client) == ("x", None)


def test_a_restarted_server_gets_the_script_again(server: RedisServer, client: Redis) -> None:
    """Its scripts are gone, and the next call runs nevertheless, once."""
    wait = DiskWait(client, 5.0)
    count = client.register_script("return redis.call('INCR', KEYS[1])")
    assert wait.call(count, ["{disk}:n"], []) == (1, True)
    server.restart()
    assert wait.call(count, ["{disk}:n"], []) == (2, True)


def test_a_script_that_fails_raises_its_own_error(client: Redis) -> None:
    """As it would without the wait."""
    with pytest.raises(ResponseError, match="no good"):
        DiskWait(client, 2.0).call(client.register_script("return redis.error_reply('no good')"), [], [])


@pytest.mark.parametrize("patience", [CALLER, TIMEKEEPER])
def test_the_connection_s_own_time_out_comes_later(server: RedisServer, patience: object) -> None:
    """However long the wait may be, the server's answer that it took too long arrives: nothing is sent again."""
    client = connect(server.url, patience)  # type: ignore[arg-type]  # both are patiences
    client.config_set("appendfsync", "no")
    count = client.register_script("return redis.call('INCR', KEYS[1])")
    assert DiskWait(client, 30.0).call(count, ["{disk}:once"], []) == (1, False)
    assert client.get("{disk}:once") == "1"
    client.close()
