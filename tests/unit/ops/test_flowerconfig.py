"""Flower starts with our options, locked and read-only, or not at all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest

from ops.probe import is_alive
from tests.unit.ops.compose_file import ROOT

CONFIG = "ops/flower/flowerconfig.py"
READ_OPTIONS = f"""
import json
from flower.command import apply_env_options, apply_options
from tornado.options import options
apply_env_options()
apply_options("flower", ["--conf={CONFIG}"])
shown = options.as_dict()
shown["format_task"] = shown["format_task"]("").__class__.__name__, shown["format_task"].__name__
print(json.dumps(shown, default=str))
"""
NAMES_IN_CONFIG = f"""
import runpy
from flower.options import options
from tornado.options import options
print(" ".join(sorted(name for name in runpy.run_path("{CONFIG}") if name in options)))
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "SCENESHIFT_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def options(**variables: str) -> dict[str, object]:
    done = run(READ_OPTIONS, **variables)
    assert done.returncode == 0, done.stderr
    read: dict[str, object] = json.loads(done.stdout)
    return read


def test_flower_takes_every_option_of_the_file() -> None:
    """Flower's own parser reads the file, and each value arrives."""
    read = options(FLOWER_BASIC_AUTH="admin:for-tests")
    assert read["basic_auth"] == ["admin:for-tests"]
    assert read["read_only"] is True
    assert read["natural_time"] is True
    assert read["max_tasks"] == 20_000
    assert read["max_workers"] == 500
    assert read["purge_offline_workers"] == 3600
    assert read["persistent"] is False
    assert read["state_save_interval"] == 0
    assert read["format_task"] == ["str", "redacted_task"]


def test_no_name_of_the_file_is_an_option_by_accident() -> None:
    """An import that happens to be called like an option of Flower or Tornado would set it."""
    names = set(run(NAMES_IN_CONFIG, FLOWER_BASIC_AUTH="admin:for-tests").stdout.split())
    assert names == {
        "basic_auth", "db", "format_task", "max_tasks", "max_workers", "natural_time", "persistent",
        "purge_offline_workers", "read_only", "state_save_interval", "tasks_columns",
    }  # fmt: skip


def test_every_column_exists() -> None:
    """Flower drops columns that it does not know without a word; none of ours is dropped."""
    code = "from flower.views.tasks import visible_task_columns as v; import sys; print(len(v(sys.argv[1])))"
    columns = str(options(FLOWER_BASIC_AUTH="admin:for-tests")["tasks_columns"])
    shown = subprocess.run([sys.executable, "-c", code, columns], capture_output=True, text=True, check=True).stdout
    assert int(shown) == len(columns.split(","))
    assert "kwargs" in columns


def test_variables_change_what_may_differ(tmp_path: Path) -> None:
    """The password comes from a file, the database is kept, and an operator can open the controls on purpose."""
    secret = tmp_path / "auth"
    secret.write_text("admin:for-tests\n")
    read = options(
        FLOWER_BASIC_AUTH_FILE=str(secret),
        FLOWER_DB="/somewhere/flower.db",
        FLOWER_READ_ONLY="false",
        FLOWER_MAX_TASKS="7",
    )
    assert read["basic_auth"] == ["admin:for-tests"]
    assert (read["persistent"], read["db"]) == (True, "/somewhere/flower.db")
    assert read["state_save_interval"] == 60_000
    assert read["read_only"] is False
    assert read["max_tasks"] == 7


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "FLOWER_BASIC_AUTH"),
        ({"FLOWER_BASIC_AUTH": "admin:"}, "FLOWER_BASIC_AUTH"),
        ({"FLOWER_BASIC_AUTH": "admin:for-tests,guest"}, "FLOWER_BASIC_AUTH"),
        ({"FLOWER_BASIC_AUTH_FILE": "/nonexistent/auth"}, "FLOWER_BASIC_AUTH_FILE"),
        ({"FLOWER_BASIC_AUTH": "admin:for-tests", "FLOWER_READ_ONLY": "maybe"}, "FLOWER_READ_ONLY"),
        ({"FLOWER_BASIC_AUTH": "admin:for-tests", "FLOWER_MAX_TASKS": "0"}, "FLOWER_MAX_TASKS"),
    ],
)
def test_flower_refuses_to_start_open_or_misread(variables: dict[str, str], named: str) -> None:
    """Without a whole password, or with a value that means nothing, there is one sentence and no Flower."""
    done = run(f"import runpy; runpy.run_path('{CONFIG}')", **variables)
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert "for-tests" not in done.stderr


@contextmanager
def running_flower() -> Iterator[str]:
    """Flower itself, on a broker in its own memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "-m",
        "celery",
        "--broker=memory://",
        "flower",
        f"--conf={CONFIG}",
        f"--port={port}",
        "--address=127.0.0.1",
    ]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "FLOWER_BASIC_AUTH": "admin:for-tests"}
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=variables, stderr=subprocess.DEVNULL)
    try:
        ends_at = time.monotonic() + 30
        while not is_alive(f"http://127.0.0.1:{port}/healthcheck"):
            assert process.poll() is None
            assert time.monotonic() < ends_at
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def status(url: str, *, method: str = "GET", authorization: str | None = None) -> int:
    request = urllib.request.Request(url, method=method)  # loopback, started by this test
    if authorization:
        request.add_header("Authorization", authorization)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_running_flower_is_locked_and_read_only() -> None:
    """Pages and interface ask for the password, health does not, and nobody revokes a task from here."""
    known = "Basic YWRtaW46Zm9yLXRlc3Rz"
    with running_flower() as url:
        assert status(f"{url}/healthcheck") == 200
        assert status(f"{url}/tasks") == 401
        assert status(f"{url}/api/tasks") == 401
        assert status(f"{url}/tasks", authorization=known) == 200
        assert status(f"{url}/api/task/revoke/some-id", method="POST", authorization=known) == 403
