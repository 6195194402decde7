"""The demonstration, as somebody who has just cloned the repository runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sceneshift.cli.jobs import read_catalogue
from tests.integration.deployment import wait_until
from workers.demo.stack import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]


def start_demo(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, started in a session of its own, as from a fresh shell."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCENESHIFT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "sceneshift", "demo", "--out", str(directory), *arguments],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def demo(directory: Path, *arguments: str) -> tuple[int, str]:
    """The command, run to its end: exit code and standard error. Nothing of its session is left."""
    process = start_demo(directory, *arguments)
    _, errors = process.communicate(timeout=240)
    gone = wait_until(lambda: processes_of_session(process.pid) == [], timeout_seconds=5)
    assert gone, f"processes are left: {processes_of_session(process.pid)}"
    return process.returncode, errors


def processes_of_session(session: int) -> list[int]:
    """The running processes of a session (Linux; zombies do not count)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(entry.name))
    return found


def test_demo_ends_well_twice_and_leaves_a_report_and_no_process(tmp_path: Path) -> None:
    """Every job succeeds with the images of its entry, is charged once and told to the shop; a worker is killed."""
    out = tmp_path / "out"
    for arguments in (("--jobs", "12", "--kill-workers", "1"), ("--jobs", "3", "--no-flower")):
        code, errors = demo(out, *arguments)
        assert code == 0, errors[-3000:]
        report = json.loads((out / "report.json").read_text())
        count = int(arguments[1])
        assert (len(report["jobs"]), report["charged"], report["submitted"]) == (count, count, count)
        ordered = [entry["num_output"] for entry in read_catalogue(CATALOGUE)[:count]]
        assert [len(job["outputs"]) for job in report["jobs"]] == ordered
        assert f"{count} jobs, {sum(ordered)} images, {count} charged" in errors
        for job in report["jobs"]:
            _assert_complete(out, job)
    assert "\x1b[" not in errors, "there are control sequences where there is no terminal"


def _assert_complete(out: Path, job: dict[str, Any]) -> None:
    assert job["state"] == "succeeded"
    assert job["attempts"]["submit"] >= 1
    assert job["attempts"]["poll"] >= 1
    assert job["webhook"]["delivered"] is True
    assert job["webhook"]["verified"] is True
    assert job["timings"]["total_seconds"] > 0
    for output in job["outputs"]:
        assert output["key"].startswith("results/")
        with Image.open(out / output["path"]) as image:
            assert image.size == (output["width"], output["height"])
            assert Image.MIME[image.format or ""] == output["content_type"]


def test_gallery_asks_nobody_for_anything(tmp_path: Path) -> None:
    """The page shows before and after of every job from files beside it, without any address in it."""
    out = tmp_path / "out"
    assert demo(out, "--jobs", "2", "--no-flower")[0] == 0
    page = (out / "index.html").read_text(encoding="utf-8")

    class Sources(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "poster"}]

    parser = Sources()
    parser.feed(page)
    files = [source for source in parser.found if not source.startswith(("#", "data:"))]
    assert len(files) >= 4
    assert all((out / source).is_file() for source in files), files


def test_demo_refuses_a_directory_with_other_peoples_files(tmp_path: Path) -> None:
    """`--out` on a folder that is not a demonstration's is an error, and nothing in it is touched."""
    (tmp_path / "thesis.txt").write_text("years of work")
    code, errors = demo(tmp_path)
    assert code == 2
    assert "name another --out" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the children of a killed process live on")
def test_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    """Even a SIGKILL of the demonstration ends its server, workers and simulator."""
    out = tmp_path / "out"
    process = start_demo(out, "--no-flower")
    assert wait_until(lambda: len(processes_of_session(process.pid)) >= 5, timeout_seconds=60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert wait_until(lambda: processes_of_session(process.pid) == [], timeout_seconds=20)
