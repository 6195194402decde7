"""The demonstration's parts as real processes: server, simulated provider, workers and Flower."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sceneshift.errors import ConfigurationError
from sceneshift.settings import PREFIX, Settings
from sceneshift.webhooks import new_secret
from workers.demo.receiver import Received, receiving
from workers.embedded.processes import ROOT, free_port, kill, spawn, stop, wait_for_port
from workers.embedded.redis_server import RedisServer

CATALOGUE = ROOT / "examples" / "catalogue"
PACE = {
    "SUBMIT_RATE": "none",
    "QUERY_RATE": "none",
    "POLL_FIRST_SECONDS": "1",
    "POLL_MAX_SECONDS": "3",
    "LEASE_SECONDS": "6",
    "LOG_LEVEL": "INFO",
}
"""Faster than in production, because the simulated provider is: nobody wants to watch a demonstration for minutes."""


FLOWER_COLUMNS = "name,uuid,state,kwargs,result,received,started,runtime,worker"


@dataclass(slots=True)
class Stack:
    """The running parts."""

    directory: Path
    environment: dict[str, str]
    provider_url: str
    received: Received
    flower_url: str | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started_workers: int = 0

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.environment)

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self.received.port}/webhooks/sceneshift"

    @property
    def simulator_url(self) -> str:
        parts = urlsplit(self.provider_url)
        return f"{parts.scheme}://{parts.netloc}"

    def ledger(self) -> dict[str, Any]:
        """What the simulated provider has accepted and charged, as its own console would show it."""
        with urllib.request.urlopen(f"{self.simulator_url}/_sim/ledger", timeout=10) as answer:  # noqa: S310  # our own
            return dict(json.load(answer))

    def start_worker(self) -> None:
        """One more worker process runs."""
        self.started_workers += 1
        name = f"worker-{self.started_workers}"
        temporary = self.directory / "run" / name
        temporary.mkdir(parents=True)
        self.workers.append(
            spawn(
                [sys.executable, "-m", "sceneshift", "worker", "--name", f"{name}@%h"],
                log=self.directory / "logs" / f"{name}.log",
                environment={**self.environment, "TMPDIR": str(temporary)},
            )
        )

    def kill_worker(self) -> int:
        """The oldest worker was killed with SIGKILL and another started, as a supervisor does; its process id."""
        victim = self.workers.pop(0)
        kill(victim)
        self.start_worker()
        return victim.pid


@contextmanager
def running_stack(directory: Path, *, workers: int, flower_port: int | None, seed: int) -> Iterator[Stack]:
    """All parts run, and end with the context. `flower_port` 0 takes a free one; None runs no Flower."""
    for name in ("logs", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        redis_url, prefix = _redis(parts, directory)
        secret, appcode = new_secret(), secrets.token_hex(16)
        received = parts.enter_context(receiving([secret]))
        provider_url = _simulator(parts, directory, appcode, seed)
        values = {
            **PACE,
            "REDIS_URL": redis_url,
            "KEY_PREFIX": prefix,
            "PROVIDER_URL": provider_url,
            "PROVIDER_APPCODE": appcode,
            "SPOOL_DIRECTORY": str((directory / "spool").resolve()),
            "STORAGE_URL": (directory / "store").resolve().as_uri(),
            "WEBHOOK_SECRET": secret,
            "ALLOW_HOSTS": "127.0.0.1",
        }
        stack = Stack(
            directory=directory,
            environment={PREFIX + name: value for name, value in values.items()},
            provider_url=provider_url,
            received=received,
        )
        parts.callback(_stop_all, stack.workers)
        if flower_port is not None:
            stack.flower_url = _flower(parts, stack, flower_port or free_port())
        for _ in range(workers):
            stack.start_worker()
        yield stack


def _stop_all(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        stop(process)


def _redis(parts: ExitStack, directory: Path) -> tuple[str, str]:
    given = os.environ.get(f"{PREFIX}REDIS_URL")
    if given:
        # A server of the user's: its other keys are none of our business.
        return given, f"{{sceneshift-demo-{secrets.token_hex(4)}}}"
    server = parts.enter_context(RedisServer(directory / "run"))
    return server.url, "{sceneshift}"


def _simulator(parts: ExitStack, directory: Path, appcode: str, seed: int) -> str:
    process = spawn(
        [sys.executable, "-m", "sceneshift", "simulator", "--port", "0", "--seed", str(seed), "--median-seconds", "3",
         "--catalogue", CATALOGUE],
        log=directory / "logs" / "simulator.log",
        environment={f"{PREFIX}PROVIDER_APPCODE": appcode},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    parts.callback(stop, process)
    assert process.stdout is not None  # noqa: S101  # a pipe was asked for
    line = process.stdout.readline().decode()
    if "http://" not in line:
        raise ConfigurationError(f"the simulator did not start; its log is {directory / 'logs' / 'simulator.log'}")
    return line.split()[-1]


def _flower(parts: ExitStack, stack: Stack, port: int) -> str:
    log = stack.directory / "logs" / "flower.log"
    # Without a password, and so on the loopback address only, read-only, and without its API.
    process = spawn(
        [sys.executable, "-m", "celery", "-A", "workers.app", "flower", "--address=127.0.0.1", f"--port={port}",
         "--read_only=True", f"--tasks_columns={FLOWER_COLUMNS}"],
        log=log,
        environment=stack.environment,
    )  # fmt: skip
    parts.callback(stop, process)
    if not wait_for_port(port, process, timeout_seconds=30):
        raise ConfigurationError(f"Flower did not start on port {port}; its log is {log}")
    return f"http://127.0.0.1:{port}"
