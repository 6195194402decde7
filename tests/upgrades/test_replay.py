"""BRK15: what each release has left in store, queues, spool and bucket is brought to its end by the code of today."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import sceneshift.client
from sceneshift.cli import main
from sceneshift.cli.doctor_store import store_findings
from sceneshift.client import Client
from sceneshift.store.connection import TIMEKEEPER, connect
from tests.upgrades.corpus import Scene, releases, scenes_of
from tests.upgrades.replaying import Replay
from workers.embedded.redis_server import RedisServer

SCENES = [(release, name, scene) for release in releases() for name, scene in scenes_of(release).items()]
each_scene = pytest.mark.parametrize(
    "scene", [pytest.param(scene, id=f"{release}-{name}") for release, name, scene in SCENES]
)
UNKNOWN: dict[str, str] = {"palette": "warm", "zz_later": '{"of": ["a later release", 1.50]}'}


@pytest.fixture(autouse=True)
def _own_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.services._services", None)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line on a replayed deployment."""

    def run(work: Replay, *arguments: str) -> tuple[int, str, str]:
        client = Client(work.services.settings, store=work.store, publisher=work.publisher)
        monkeypatch.setattr(sceneshift.client, "_client", client)
        monkeypatch.setattr("sceneshift.queues.waiting_messages", lambda _settings, _queue: 0)
        monkeypatch.setattr(sys, "argv", ["sceneshift", *arguments])
        capsys.readouterr()
        return (main(), *capsys.readouterr())

    return run


def hashes(client: Redis, kind: str) -> dict[str, dict[str, str]]:
    """The records of jobs (`job`) or webhooks (`delivery`), by id."""
    prefix = f"{{sceneshift}}:{kind}:"
    keys: list[str] = client.keys(f"{prefix}*")  # type: ignore[assignment]  # redis-py: maybe awaitable
    keys = [key for key in keys if ":" not in key.removeprefix(prefix)]
    return {key.removeprefix(prefix): client.hgetall(key) for key in keys}  # type: ignore[misc]  # redis-py: maybe awaitable


@each_scene
def test_every_job_comes_to_its_end(scene: Scene, redis_client: Redis, tmp_path: Path) -> None:
    """Or stays held; nothing that may have been paid for is sent again, no job is lost, every webhook is settled."""
    work = Replay(scene, redis_client, tmp_path)
    before = hashes(redis_client, "job")
    work.rest()
    after = hashes(redis_client, "job")
    assert {job_id: fields["state"] for job_id, fields in after.items() if job_id in scene.ends} == scene.ends
    assert after.keys() == before.keys()
    assert len(set(work.sent)) == len(work.sent)
    if scene.settings.get("unknown_outcome") != "probe":
        assert set(work.sent) & set(scene.paid) == set()
    ends = {"delivered", "exhausted", "aborted"}
    assert {fields["status"] for fields in hashes(redis_client, "delivery").values()} <= ends


@each_scene
def test_what_a_later_release_has_added_is_there_at_the_end(scene: Scene, tmp_path: Path) -> None:
    """A field on every record, beside the results and in every image survives all that happens to a job, unchanged."""
    import fakeredis  # noqa: PLC0415  # its imitation of a server is enough here

    client = fakeredis.FakeRedis(decode_responses=True)
    work = Replay(scene, client, tmp_path)
    keys = work.store.keys
    records = [f"{{sceneshift}}:{kind}:{each}" for kind in ("job", "delivery") for each in hashes(client, kind)]
    for record in records:
        client.hset(record, mapping=dict(UNKNOWN))  # type: ignore[arg-type]  # redis-py: an invariant dict
    marked: dict[str, list[str]] = {}
    for job_id, fields in hashes(client, "job").items():
        document = json.loads(client.get(keys.results(job_id)) or "{}")
        for output in document.get("outputs", ()):
            output["blurhash"] = {"of": output["sha256"]}
        marked[job_id] = [output["sha256"] for output in document.get("outputs", ())]
        if document or fields["state"] == "rendering":
            client.set(keys.results(job_id), json.dumps({**document, "palette": ["warm"]}))
    with_results = {job_id for job_id in marked if client.exists(keys.results(job_id))}
    work.rest()
    for record in records:
        assert client.hmget(record, *UNKNOWN) == [*UNKNOWN.values()]
    for job_id in with_results:
        document = json.loads(client.get(keys.results(job_id)) or "{}")
        assert document["palette"] == ["warm"]
        for output in document.get("outputs", ()):
            if output["sha256"] in marked[job_id]:
                assert output["blurhash"] == {"of": output["sha256"]}


@each_scene
def test_every_command_can_tell_of_it(
    scene: Scene, redis_client: Redis, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """Lists, each job with its timeline and what comes next, and the ledger; before it goes on, and in the end."""
    work = Replay(scene, redis_client, tmp_path)
    for _ in range(2):
        code, out, error = command(work, "jobs", "list", "--json")
        assert (code, error) == (0, "")
        assert {each["id"] for each in json.loads(out)} == hashes(redis_client, "job").keys()
        for job_id in scene.ends:
            for words in (("jobs", "get", job_id), ("jobs", "explain", job_id), ("jobs", "explain", job_id, "--json")):
                code, out, error = command(work, *words)
                assert (code, error) == (0, ""), words
                assert job_id in out
        code, out, error = command(work, "ledger", "--json")
        assert (code, error) == (0, "")
        assert command(work, "recovery")[0] in {0, 1}
        work.rest()


@pytest.mark.parametrize("release", releases())
def test_the_doctor_finds_nothing_odd(release: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """A job store that a release has left is one that this release can work with."""
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    work = Replay(scenes_of(release)["ended"], client, tmp_path)
    settings = work.services.settings.model_copy(update={"redis_url": _secret(redis_server.url)})
    levels = {finding.what: finding.level for finding in store_findings(settings)}
    assert (levels["job store"], levels["recovery mode"], levels["records"]) == ("ok", "ok", "ok")
    client.close()


def _secret(text: str) -> Any:
    from pydantic import SecretStr  # noqa: PLC0415

    return SecretStr(text)
