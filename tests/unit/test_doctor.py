"""`doctor`: each fault of a deployment is found, named and given a remedy; the exit code says what kind it was."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sceneshift import service
from sceneshift.cli.doctor_settings import worker_findings
from sceneshift.cli.doctor_store import clock_finding, server_findings, store_findings
from sceneshift.cli.findings import Finding, Level, exit_code_of, failure, fine, warning
from sceneshift.cli.shown_settings import shown_settings
from sceneshift.errors import ConfigurationError
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from tests.unit.doctoring import APPCODE, SECRETS, Doctor, consulting
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer

PROVIDER_URL = "https://provider.example/api/v1/bg-rep"


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Doctor]:
    """The doctor, with settings of the test's own, and those that every worker needs."""
    monkeypatch.setenv("SCENESHIFT_STORAGE_URL", f"file://{tmp_path}/results")
    monkeypatch.setenv("SCENESHIFT_SPOOL_DIRECTORY", f"{tmp_path}/spool")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_URL", PROVIDER_URL)
    monkeypatch.setenv("SCENESHIFT_PROVIDER_APPCODE", APPCODE)
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
            storage_url="s3://shots/a?endpoint_url=https%3A%2F%2Fkey%3Ahunter2%40s3.shop.example%3A9000%2Fx&region=eu-1",
        )
    )
    assert set(shown) == set(Settings.model_fields)
    assert shown["redis_url"] == "rediss://***@redis.shop.example:6380/3"
    assert shown["broker_url"] == "amqp://***@broker.shop.example//"
    assert shown["webhook_url"] == "https://hooks.shop.example:8443/***"
    assert shown["webhook_secret"] == "*** ***"
    assert shown["storage_url"] == "s3://shots/a?endpoint_url=https://***@s3.shop.example:9000&region=eu-1"
    assert shown["poll_batch_max"] == "50"
    assert not any(secret in str(shown) for secret in SECRETS)


CANARIES = ("AKIA", "wJal", "K7MD", "bPx", "passw0rd", "s3cr", "hunter2", "424242")
ODD_ADDRESSES = [
    "redis://:hunter2/x@h:6379/0",
    "redis://a:hunter2@h;redis://b:hunter2@h",
    "redis://:hunter2@h:port/0",
    "redis://:s3cr/et@host",
    "redis://:s3cr?et@host",
    "redis://:424242#et@host",
    "redis://s3cr:424242/et@127.0.0.1:1/0",
    "s3://AKIA:wJal/K7MD/bPx@bucket",
    "s3://bucket?endpoint_url=http%3A%2F%2Fuser%3Apassw0rd%40host",
    "s3://bucket?endpoint_url=http%3A%2F%2F%3As3cr%2Fet%40host",
    "s3://bucket?secret_access_key=hunter2&region=passw0rd%20x",
    "redis://:424242",
    "redis://h/0?password=hunter2",
    "redis://[hunter2/0",
    "hunter2",
    ":hunter2",
]


@pytest.mark.parametrize("url", ODD_ADDRESSES)
def test_a_secret_in_the_wrong_place_is_not_shown(url: str) -> None:
    """P8: whichever part of a URL a parser takes it for, and whichever setting it was given as."""
    shown = shown_settings(Settings(redis_url=url, broker_url=url, storage_url=url))
    assert not any(canary in f"{shown}" for canary in CANARIES)


@pytest.mark.parametrize("url", ["hunter2", "https://provider.example/api?appcode=hunter2", "https://a:hunter2@h/x"])
def test_the_provider_s_address_shows_no_more_than_its_place(url: str) -> None:
    """P8: also where the AppCode was appended to it; a value that is no URL is a wrong setting."""
    try:
        shown = str(shown_settings(Settings.from_env({"SCENESHIFT_PROVIDER_URL": url})))
    except ConfigurationError as error:
        shown = error.message
    assert "hunter2" not in shown


def test_an_allowed_host_that_is_none_is_not_shown() -> None:
    """P8: a whole URL with its password is masked, a name is not."""
    assert shown_settings(Settings(allow_hosts=("http://a:hunter2@h", "minio")))["allow_hosts"] == "*** minio"


@pytest.mark.parametrize("url", ODD_ADDRESSES)
def test_an_odd_address_is_a_finding_and_no_traceback(doctor: Doctor, url: str) -> None:
    """P8: as job store, as broker and as storage, whatever a client makes of it, and without any part of a secret."""
    for name in ("REDIS_URL", "BROKER_URL", "STORAGE_URL"):
        said = doctor(**{"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", name: url})
        assert said.code in {2, 5}
        assert not any(canary in said.out + said.error for canary in CANARIES), said.out
        assert "Traceback" not in said.error


@pytest.mark.parametrize(
    "url",
    [
        "redis://h" + "x" * 70 + ".example/0",
        "redis://h..example/0",
        "redis://127.0.0.1:6379/0?socket_timeout=soon",
        "redis://127.0.0.1:6379/0?colour=blue",
    ],
)
def test_hosts_and_options_that_no_client_knows_are_wrong_settings(doctor: Doctor, url: str) -> None:
    """They are told as findings about their variable, with the exit code of a setting, for both servers."""
    said = doctor(REDIS_URL=url)
    assert said.code == 2
    for what in ("job store", "broker"):
        assert said.line(what).startswith("fail")
    assert "SCENESHIFT_REDIS_URL" in said.line("job store")


# What a worker needs


def test_without_provider_a_worker_does_not_start(doctor: Doctor, server: RedisServer) -> None:
    """What is not set is named, with the exit code of settings: a deployment stops before its workers do."""
    said = doctor(REDIS_URL=server.url, PROVIDER_URL="", PROVIDER_APPCODE="")
    assert said.code == 2
    assert said.line("provider").startswith("fail  provider          SCENESHIFT_PROVIDER_URL and SCENESHIFT_PROVIDER_A")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("PROVIDER_URL", "https://provider.example/api?appcode=hunter2", "provider"),
        ("PROVIDER_APPCODE", "APPCODE hunter2", "provider"),
        ("WEBHOOK_SECRET", "hunter2", "webhook secrets"),
        ("WEBHOOK_SECRET", "whsec_d2hzZWNfY2FuYXJ5", "webhook secrets"),
        ("ALLOW_HOSTS", "http://user:hunter2@h", "allowed hosts"),
        ("SPOOL_DIRECTORY", "/dev/null/spool", "spool"),
        ("STORAGE_URL", "hunter2", "storage"),
        ("STORAGE_URL", "s3://UPPER", "storage"),
        ("STORAGE_URL", "s3://bucket?endpoint_url=ftp://h", "storage"),
        ("STORAGE_URL", "file://hunter2:4243@h/x", "storage"),
    ],
)
def test_what_keeps_a_worker_from_starting_is_found(
    doctor: Doctor, server: RedisServer, name: str, value: str, what: str
) -> None:
    """A setting that a worker refuses is a failure with the exit code of settings, and is not repeated."""
    said = doctor(REDIS_URL=server.url, **{name: value})
    assert said.code == 2
    assert said.line(what).startswith("fail")
    assert not any(canary in said.out for canary in CANARIES)


def test_a_storage_that_cannot_be_opened_is_a_failure(doctor: Doctor, server: RedisServer, tmp_path: Path) -> None:
    """A file is where the directory should be: no worker starts, though the setting is well-formed."""
    (tmp_path / "taken").write_text("")
    said = doctor(REDIS_URL=server.url, STORAGE_URL=f"file://{tmp_path}/taken/results")
    assert (said.code, said.line("storage")[:4]) == (1, "fail")


def test_without_the_service_its_needs_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop's own package called `storage` is not the service's: what only a worker needs is not demanded."""
    monkeypatch.setattr(service, "_CHECKOUT", Path("/elsewhere"))
    levels = {finding.what: finding.level for finding in worker_findings(Settings())}
    assert levels == {"provider": "warn", "webhook secrets": "ok", "allowed hosts": "ok", "storage": "warn"}


def test_a_webhook_without_a_secret_is_a_warning() -> None:
    """Nothing is sent unsigned."""
    (finding,) = [
        each
        for each in worker_findings(
            Settings(webhook_url="https://shop.example/hook", storage_url="s3://bucket", spool_directory="none")
        )
        if each.what == "webhook secrets"
    ]
    assert finding.level is Level.WARN


def test_to_do_without_a_spool_is_a_warning() -> None:
    """It works, and a kill at the wrong moment costs a person's time."""
    findings = {each.what: each for each in worker_findings(Settings(storage_url="s3://b", spool_directory="none"))}
    assert findings["spool"].level is Level.WARN


# The job store and the broker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, whose configuration it may change."""
    with RedisServer(tmp_path / "server", fsync="always") as server:
        yield server


def test_a_good_deployment_is_all_right(doctor: Doctor, server: RedisServer) -> None:
    """Every check is there and fine, for people and for programs."""
    said = doctor(REDIS_URL=server.url)
    assert said.code == 0
    server_s = ["server version", "server role", "eviction policy", "persistence"]
    workers_ = ["provider", "webhook secrets", "allowed hosts", "storage", "spool"]
    storage_s = ["stored object", "links", "write conditions", "write checksums"]
    memory_s = ["disk wait", "intent log", "recovery mode", "records"]
    whats = ["settings", *workers_, *storage_s, "job store", *server_s, *memory_s, "clock", "broker", "messages"]
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
    for what in ("server version", "server role", "eviction policy", "persistence"):
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


def test_a_refused_password_is_not_a_server_that_is_away(doctor: Doctor, server: RedisServer) -> None:
    """Who may not log in, or may not ask, is told so, as to the job store and to the broker."""
    client = connect(server.url, TIMEKEEPER)
    client.acl_setuser("mute", enabled=True, passwords=["+hunter2"], keys=["*"], categories=["-@all"])
    client.close()
    for user in ("mute:hunter2", "stranger:hunter2"):
        said = doctor(REDIS_URL=server.url.replace("//", f"//{user}@"))
        assert said.code == 5
        for what in ("job store", "broker"):
            assert said.line(what).startswith(f"fail  {what:<16}  answers, but refuses us ("), said.out
            assert "correct user and password" in said.line(what)


def test_a_replica_is_not_the_job_store(doctor: Doctor, server: RedisServer) -> None:
    """A server that takes no writes is a failure, however well it answers."""
    client = connect(server.url, TIMEKEEPER)
    client.replicaof("127.0.0.1", free_port())
    said = doctor(REDIS_URL=server.url)
    client.replicaof("NO", "ONE")
    client.close()
    assert said.code == 1
    assert said.line("server role").startswith("fail  server role       a replica")


GOOD: dict[str, Any] = {
    "redis_version": "6.2.0",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, ["ok", "ok", "ok", "ok"]),
        ({"redis_version": "6.0.16"}, ["fail", "ok", "ok", "ok"]),
        ({"redis_version": "5.0"}, ["fail", "ok", "ok", "ok"]),
        ({"redis_version": "10.1"}, ["ok", "ok", "ok", "ok"]),
        ({"redis_version": "?"}, ["warn", "ok", "ok", "ok"]),
        ({"role": "slave"}, ["ok", "fail", "ok", "ok"]),
        ({"maxmemory_policy": "volatile-lru"}, ["ok", "ok", "fail", "ok"]),
        ({"aof_enabled": 0}, ["ok", "ok", "ok", "warn"]),
    ],
)
def test_what_a_server_says_of_itself(changes: dict[str, Any], levels: list[str]) -> None:
    """6.2 and newer will do, nothing may be evicted, and the append-only file should be on."""
    assert [finding.level for finding in server_findings(GOOD | changes, {"appendfsync": "always"})] == levels


@pytest.mark.parametrize(("fsync", "level"), [("always", "ok"), ("everysec", "warn"), ("no", "warn"), (None, "warn")])
def test_what_a_power_failure_takes_is_told(fsync: str | None, level: str) -> None:
    """Only a server that writes each change down before it answers loses nothing."""
    assert server_findings(GOOD, {"appendfsync": fsync} if fsync else {})[3].level == level


def test_the_configured_policy_counts() -> None:
    """When the server tells both, the configuration is the truth."""
    assert server_findings(GOOD, {"maxmemory-policy": "allkeys-lfu"})[2].level is Level.FAIL


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
