"""`doctor` says what a confirmation of the job store is worth, and when nothing is submitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sceneshift.cli.doctor_store import durability_findings
from sceneshift.cli.findings import Level
from sceneshift.clock import ManualClock
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.keys import Keys
from sceneshift.store.recovery import Recovery
from tests.factories import NOW
from tests.unit.doctoring import Doctor, consulting
from workers.embedded.redis_server import RedisServer


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Doctor]:
    """The doctor, with the settings that every worker needs."""
    monkeypatch.setenv("SCENESHIFT_STORAGE_URL", f"file://{tmp_path}/results")
    monkeypatch.setenv("SCENESHIFT_SPOOL_DIRECTORY", f"{tmp_path}/spool")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_URL", "https://provider.example/api/v1/bg-rep")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_APPCODE", "test-appcode")
    yield from consulting(monkeypatch, capsys)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, whose configuration it may change."""
    with RedisServer(tmp_path / "server", fsync="always") as server:
        yield server


NO_WAITAOF = "no WAITAOF, or not for us"


@pytest.mark.parametrize(
    ("settings", "cannot_wait", "fsync", "levels", "text"),
    [
        ({}, "", "everysec", ["ok", "ok"], "up to 2 s (WAITAOF)"),
        ({}, "", None, ["ok", "ok"], "up to 2 s (WAITAOF)"),
        ({}, "", "always", ["ok", "ok"], "appendfsync always"),
        ({}, NO_WAITAOF, "always", ["ok", "ok"], "appendfsync always"),
        ({"disk_wait_seconds": None}, "", "everysec", ["warn", "warn"], "not used"),
        ({}, NO_WAITAOF, "everysec", ["warn", "warn"], NO_WAITAOF),
        ({}, "no append-only file", "always", ["warn", "warn"], "no append-only file"),
        ({}, "", "no", ["warn", "warn"], "leaves its disk to the system"),
        ({"intent_log": "storage"}, "", "everysec", ["ok", "ok"], "WAITAOF"),
        ({"intent_log": "storage"}, "no append-only file", "no", ["warn", "ok"], "no append-only file"),
    ],
)
def test_what_a_confirmation_is_worth(
    settings: dict[str, Any], cannot_wait: str, fsync: str | None, levels: list[str], text: str
) -> None:
    """It is a warning when neither the store's disk nor the bucket keeps what was submitted."""
    disk, log = durability_findings(Settings(**settings), cannot_wait, fsync)
    assert [disk.level, log.level] == levels
    assert text in disk.finding
    assert bool(disk.remedy) == (disk.level is Level.WARN)


def test_a_server_is_asked_whether_it_can_tell(doctor: Doctor, server: RedisServer) -> None:
    """By the command itself: with an append-only file, without one, and by a user who may not."""
    client = connect(server.url, TIMEKEEPER)
    client.config_set("appendfsync", "everysec")
    assert doctor(REDIS_URL=server.url).line("disk wait").startswith("ok    disk wait         orders, intents")
    client.acl_setuser("mute", enabled=True, passwords=["+hunter2"], keys=["*"], channels=["*"],
                       categories=["+@all"], commands=["-waitaof"])  # fmt: skip
    assert NO_WAITAOF in doctor(REDIS_URL=server.url.replace("//", "//mute:hunter2@")).line("disk wait")
    client.config_set("appendonly", "no")
    said = doctor(REDIS_URL=server.url)
    assert "(no append-only file)" in said.line("disk wait")
    assert said.line("intent log").startswith("warn")
    assert doctor(REDIS_URL=server.url, INTENT_LOG="storage").line("intent log").startswith("ok")
    client.close()


def test_recovery_mode_is_a_failure(doctor: Doctor, server: RedisServer) -> None:
    """Nothing is submitted, so the doctor says since when, why, and where to read on."""
    client = connect(server.url, TIMEKEEPER)
    Recovery(client, Keys("{sceneshift}"), ManualClock(NOW)).begin("for a test", by="ann")
    client.close()
    said = doctor(REDIS_URL=server.url)
    assert said.code == 1
    assert said.line("recovery mode").startswith("fail  recovery mode     on since 2026-11-23 00:00:00 UTC, so nothing")
    assert "for a test  -> sceneshift recovery, and docs/how-to/recover-the-job-store.md" in said.line("recovery mode")
