"""A worker's sign of life, which a probe checks without asking anybody."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from workers import health
from workers.health import Heartbeat, is_fresh


def test_a_beat_is_a_fresh_file(tmp_path: Path) -> None:
    """The sign is there after the first beat, and fresh for a minute."""
    path = tmp_path / "heartbeat"
    assert not is_fresh(path, now=time.time())
    Heartbeat(path).beat()
    assert is_fresh(path, now=time.time())
    os.utime(path, (1000.0, 1000.0))
    assert is_fresh(path, now=1059.9)
    assert not is_fresh(path, now=1060.0)


def test_a_worker_that_is_not_well_does_not_beat(tmp_path: Path) -> None:
    """BRK16: with a step that hangs it is to be replaced, although its timekeeper is alive."""
    hanging: list[str] = ["a step"]
    heartbeat = Heartbeat(tmp_path / "heartbeat", is_well=lambda: not hanging)
    heartbeat.beat()
    assert not (tmp_path / "heartbeat").exists()
    hanging.clear()
    heartbeat.beat()
    assert (tmp_path / "heartbeat").exists()


def test_the_file_is_touched_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timekeeper that looks ten times a second does not wear the disk."""
    monotonic = ManualClock(10.0)
    monkeypatch.setattr(time, "monotonic", monotonic.now)
    path = tmp_path / "heartbeat"
    heartbeat = Heartbeat(path)
    heartbeat.beat()
    path.unlink()
    monotonic.advance(0.9)
    heartbeat.beat()
    assert not path.exists()
    monotonic.advance(0.1)
    heartbeat.beat()
    assert path.exists()


def test_a_disk_that_takes_nothing_does_not_stop_the_timekeeper(tmp_path: Path) -> None:
    """The probe tells, not the beat."""
    path = tmp_path / "missing" / "heartbeat"
    Heartbeat(path).beat()
    assert not is_fresh(path, now=time.time())


def test_the_probe_exits_with_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 for a fresh sign; 1 and a sentence on standard error for none."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert health.main() == 1
    assert "no fresh heartbeat" in capsys.readouterr().err
    Heartbeat(health.heartbeat_path()).beat()
    assert health.main() == 0
    assert capsys.readouterr().err == ""
