"""`doctor`: each fault of a deployment is found, named and given a remedy; the exit code says what kind it was."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sceneshift.cli.doctor import shown_settings
from sceneshift.cli.doctor_store import clock_finding, server_findings, store_findings
from sceneshift.cli.findings import Finding, Level, exit_code_of, failure, fine, warning
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from tests.unit.doctoring import APPCODE, SECRETS, Doctor, consulting
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Doctor]:
    """The doctor, with settings of the test's own."""
    yield from consulting(monkeypatch, capsys)


# Settings


def test_an_unknown_variable_is_a_failure(doctor: Doctor) -> None:
    """A misspelt setting is named with its remedy, nothing else is tried, and the exit code is that of settings."""
    for options in ((), ("--provider",)):
        said = doctor(*options, REDIS_ULR="redis://:hunter2@h/0")
        assert said.code == 2
        assert said.line("settings").startswith("fail")
        assert "SCENESHIFT_REDIS_ULR" in said
        assert said.out.count("\n") == 1
    document_ = json.loads(doctor("--json").out)
    assert (document_["exit_code"], document_["checks"][0]["level"]) == (2, "fail")


def test_effective_values_are_shown_without_secrets() -> None:
    """Every setting is there; of a server's address the place is, of a webhook's the host, of a secret nothing."""
    shown = shown_settings(
        Settings(
            redis_url="rediss://user:hunter2@redis.shop.example:6380/3?password=hunter2",
            broker_url="amqp://shop:hunter2@broker.shop.example//",
            provider_url="https://provider.example/api/v1/bg-rep",
            provider_appcode=APPCODE,
            webhook_url="https://hooks.shop.example:8443/canary-token?key=canary-token",
            webhook_secret=("whsec_d2hzZWNfY2FuYXJ5", "whsec_d2hzZWNfY2FuYXJ5"),
            storage_url="s3://shots/a?endpoint_url=https://key:hunter2@s3.shop.example",
        )
    )
    assert set(shown) == set(Settings.model_fields)
    assert shown["redis_url"] == "rediss://***@redis.shop.example:6380/3"
    assert shown["broker_url"] == "amqp://***@broker.shop.example//"
    assert shown["webhook_url"] == "https://hooks.shop.example:8443/***"
    assert shown["webhook_secret"] == "*** ***"
    assert shown["storage_url"] == "s3://shots/a?endpoint_url=https://***@s3.shop.example"
    assert shown["poll_batch_max"] == "50"
    assert not any(secret in str(shown) for secret in SECRETS)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2/x@h:6379/0", "redis://a:hunter2@h;redis://b:hunter2@h", "redis://:hunter2@h:port/0"]
)
def test_an_address_that_cannot_be_read_is_masked_whole(url: str) -> None:
    """A password with a slash in it does not slip into the path."""
    assert "hunter2" not in shown_settings(Settings(redis_url=url))["redis_url"]


# The job store and the broker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, whose configuration it may change."""
    with RedisServer(tmp_path) as server:
        yield server


def test_a_good_deployment_is_all_right(doctor: Doctor, server: RedisServer) -> None:
    """Every check is there and fine, for people and for programs."""
    said = doctor(REDIS_URL=server.url)
    assert said.code == 0
    whats = ["settings", "job store", "server version", "eviction policy", "persistence", "clock", "broker"]
    assert [line[6:22].strip() for line in said.out.splitlines()] == whats
    assert all(line.startswith("ok ") for line in said.out.splitlines())
    assert server.url in said.line("settings")
    written = json.loads(doctor("--json").out)
    assert [check["what"] for check in written["checks"]] == whats
    assert {check["level"] for check in written["checks"]} == {"ok"}
    assert written["settings"]["redis_url"] == server.url
    assert written["exit_code"] == 0


def test_a_store_that_forgets_is_found(doctor: Doctor, server: RedisServer) -> None:
    """Eviction is a failure, missing persistence a warning; both name what to set."""
    client = connect(server.url, TIMEKEEPER)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    client.close()
    said = doctor(REDIS_URL=server.url)
    assert said.code == 1
    assert said.line("eviction policy").startswith("fail  eviction policy   allkeys-lru  -> set maxmemory-policy")
    assert said.line("persistence").startswith("warn  persistence       no append-only file  -> set appendonly to yes")


def test_a_server_that_does_not_let_its_users_look_is_a_warning(doctor: Doctor, server: RedisServer) -> None:
    """Where neither CONFIG nor INFO is allowed, what cannot be read is told; with INFO alone, all can be read."""
    client = connect(server.url, TIMEKEEPER)
    for user, forbidden in (("plain", ["-config"]), ("blind", ["-config", "-info"])):
        client.acl_setuser(user, enabled=True, passwords=["+hunter2"], keys=["*"], channels=["*"],
                           categories=["+@all"], commands=forbidden)  # fmt: skip
    client.close()
    assert doctor(REDIS_URL=server.url.replace("//", "//plain:hunter2@")).line("eviction policy").startswith("ok")
    said = doctor(REDIS_URL=server.url.replace("//", "//blind:hunter2@"))
    assert said.code == 0
    for what in ("server version", "eviction policy", "persistence"):
        assert said.line(what).startswith(f"warn  {what:<16}  cannot be read  -> make sure that")


def test_servers_that_are_away_are_unreachable(doctor: Doctor) -> None:
    """Both are named, without the password, and the exit code is that of something unreachable."""
    said = doctor(REDIS_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert said.code == 5
    assert said.line("job store").startswith("fail")
    assert said.line("broker").startswith("fail")


def test_a_broker_of_its_own_is_asked(doctor: Doctor, server: RedisServer) -> None:
    """The job store answers and the broker does not: one failure."""
    said = doctor(REDIS_URL=server.url, BROKER_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert said.code == 5
    assert said.line("job store").startswith("ok")
    assert said.line("broker").startswith("fail")


def test_an_address_that_is_none_is_a_wrong_setting(doctor: Doctor) -> None:
    """A scheme that no client knows is told as such."""
    said = doctor(REDIS_URL="http://h/0")
    assert said.code == 2
    assert "SCENESHIFT_REDIS_URL" in said.line("job store")


GOOD: dict[str, Any] = {"redis_version": "6.2.0", "maxmemory_policy": "noeviction", "aof_enabled": 1}


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, ["ok", "ok", "ok"]),
        ({"redis_version": "6.0.16"}, ["fail", "ok", "ok"]),
        ({"redis_version": "5.0"}, ["fail", "ok", "ok"]),
        ({"redis_version": "10.1"}, ["ok", "ok", "ok"]),
        ({"redis_version": "?"}, ["warn", "ok", "ok"]),
        ({"maxmemory_policy": "volatile-lru"}, ["ok", "fail", "ok"]),
        ({"aof_enabled": 0}, ["ok", "ok", "warn"]),
    ],
)
def test_what_a_server_says_of_itself(changes: dict[str, Any], levels: list[str]) -> None:
    """6.2 and newer will do, nothing may be evicted, and the append-only file should be on."""
    assert [finding.level for finding in server_findings(GOOD | changes, None)] == levels


def test_the_configured_policy_counts() -> None:
    """When the server tells both, the configuration is the truth."""
    assert server_findings(GOOD, "allkeys-lfu")[1].level is Level.FAIL


@pytest.mark.parametrize(("skew", "level"), [(0.0, "ok"), (-5.0, "ok"), (5.1, "warn"), (-6.0, "warn")])
def test_clocks_may_differ_by_five_seconds(skew: float, level: str) -> None:
    """More is a warning, in either direction."""
    assert clock_finding(1_000.0 + skew, 1_000.0).level == level


def test_the_store_s_clock_is_compared_with_this_machine_s(server: RedisServer) -> None:
    """A machine that is an hour behind hears of it."""
    findings = store_findings(Settings(redis_url=server.url), now=lambda: time.time() - 3600.0)
    (clock,) = [finding for finding in findings if finding.what == "clock"]
    assert (clock.level, clock.finding) == (Level.WARN, "the job store's differs by 3600.0 s")


def test_the_exit_code_is_that_of_the_gravest_failure() -> None:
    """Warnings do not count; wrong settings come before what is away, and that before what is refused."""

    def with_codes(*codes: int) -> list[Finding]:
        return [fine("a", ""), warning("b", "", "do"), *(failure("c", "", "do", code) for code in codes)]

    cases = [((), 0), ((1,), 1), ((1, 4), 4), ((4, 5, 1), 5), ((5, 2, 4), 2)]
    assert [exit_code_of(with_codes(*codes)) for codes, _ in cases] == [code for _, code in cases]
