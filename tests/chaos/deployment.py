"""A deployment of real processes for a long run: servers with append-only files, provider and workers, and no webhooks.

It is tuned for throughput: the smallest pictures in draft quality, no rates of ours, and pauses of a second. What it
proves does not depend on that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from sceneshift.client import Client
from sceneshift.errors import ConfigurationError
from sceneshift.jobs.order import check_order
from sceneshift.settings import PREFIX, Settings
from tests.integration.deployment import draw_product
from workers.embedded.processes import ROOT, _die_with_parent, spawn, stop
from workers.embedded.redis_server import RedisServer
from workers.health import heartbeat_path

APPCODE = "chaos-appcode"
CONCURRENCY = 8
LEASE_SECONDS = 4.0
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
PACE = {
    "ALLOW_HOSTS": "127.0.0.1",
    "SUBMIT_RATE": "none",
    "QUERY_RATE": "none",
    "PROVIDER_READ_TIMEOUT_SECONDS": "3",
    "POLL_FIRST_SECONDS": "1",
    "POLL_MAX_SECONDS": "1",
    "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    # All jobs have the same two sources, which are fit.
    "PREFLIGHT": "false",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process, which is no child of ours: see `tests.chaos.nursery`."""

    process_id: int
    directory: Path

    @property
    def is_alive(self) -> bool:
        return self._signalled(0)

    @property
    def is_ready(self) -> bool:
        """Whether it has shown its first sign of life."""
        return (self.directory / heartbeat_path().name).exists()

    def terminate(self) -> None:
        """It was asked to end."""
        self._signalled(signal.SIGTERM)

    def kill(self) -> None:
        """It was killed with SIGKILL and is gone."""
        while self._signalled(signal.SIGKILL):
            time.sleep(0.001)

    def wait(self, seconds: float) -> None:
        """It is gone: by itself within this time, or killed."""
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def _signalled(self, number: int) -> bool:
        try:
            os.kill(self.process_id, number)
        except ProcessLookupError:
            return False
        return True


@dataclass(slots=True)
class ChaosDeployment:
    """The running parts. `exits` counts workers that ended by themselves."""

    directory: Path
    environment: dict[str, str]
    simulator_url: str
    nursery: subprocess.Popen[bytes]
    workers: list[Worker] = field(default_factory=list)
    exits: int = 0
    kills: int = 0
    _started: int = 0

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.environment)

    def client(self) -> Client:
        """A caller's client, as in a shop's process."""
        return Client(self.settings)

    def start_worker(self) -> None:
        """One more worker is starting."""
        self._started += 1
        temporary = self.directory / f"worker-{self._started}"
        temporary.mkdir()
        assert self.nursery.stdin is not None, "pipes were asked for"
        assert self.nursery.stdout is not None, "pipes were asked for"
        self.nursery.stdin.write(f"{temporary}\n".encode())
        self.nursery.stdin.flush()
        self.workers.append(Worker(int(self.nursery.stdout.readline()), temporary))

    def kill_worker(self) -> None:
        """The worker that has lived longest was killed with SIGKILL, and another one is starting.

        One that is still starting is spared: on a slow machine there are fewer kills, and not none that ever works.
        """
        if self.workers[0].is_ready:
            self.workers.pop(0).kill()
            self.kills += 1
            self.start_worker()

    def supervise(self) -> None:
        """Workers that ended by themselves are counted and replaced."""
        for worker in [each for each in self.workers if not each.is_alive]:
            self.workers.remove(worker)
            self.exits += 1
            self.start_worker()

    def wait_until_ready(self) -> None:
        """Every worker has shown its first sign of life.

        Raises:
            TimeoutError: one has not in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not all(worker.is_ready for worker in self.workers):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the workers did not start: {self._last_words()}")
            time.sleep(0.05)

    def stop_workers(self) -> None:
        """No worker runs any more."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(STOP_SECONDS)
        self.workers.clear()

    def _last_words(self) -> str:
        return (self.directory / "workers.log").read_text(errors="replace")[-1000:]

    def enqueue(self, client: Client, number: int) -> str:
        """The id of job NUMBER, which its prompt names to the provider."""
        base = f"{self.simulator_url}/catalogue"
        order = check_order(
            allow_hosts=["127.0.0.1"],
            image=f"{base}/product.png",
            mask=f"{base}/mask.png",
            positive_prompt=prompt_of(number),
            seed=number,
            steps=15,
            idempotency_key=f"chaos-{number}",
            lane="bulk",
        )
        return client.enqueue(order).id

    def provider(self, address: str) -> dict[str, Any]:
        """What the simulated provider says of itself: its `ledger` or its `state`."""
        answer = httpx.get(f"{self.simulator_url}/_sim/{address}", trust_env=False, timeout=60.0)
        document: dict[str, Any] = answer.raise_for_status().json()
        return document


def prompt_of(number: int) -> str:
    """What the provider is told of job NUMBER, so that its account can be read without asking the job store."""
    return f"chaos {number}"


@contextmanager
def running_chaos(*, workers: int, simulator: Sequence[str], settings: Mapping[str, str]) -> Iterator[ChaosDeployment]:
    """A deployment on free loopback ports in a directory of its own, both gone when the context ends.

    `simulator` are further options of the simulator's command; `settings` are variables without their prefix.
    """
    with ExitStack() as parts:
        directory = Path(tempfile.mkdtemp(prefix="sceneshift-chaos-"))
        parts.callback(shutil.rmtree, directory, ignore_errors=True)
        state = parts.enter_context(RedisServer(directory / "state", fsync="always"))
        broker = parts.enter_context(RedisServer(directory / "broker"))
        simulator_url = _simulator(parts, directory, simulator)
        values = {
            **PACE,
            "REDIS_URL": state.url,
            "BROKER_URL": broker.url,
            "PROVIDER_URL": simulator_url,
            "PROVIDER_APPCODE": APPCODE,
            "SPOOL_DIRECTORY": str(directory / "spool"),
            "STORAGE_URL": (directory / "results").as_uri(),
            **settings,
        }
        parts_of_url = urlsplit(simulator_url)
        environment = {PREFIX + name: value for name, value in values.items()}
        deployment = ChaosDeployment(
            directory=directory,
            environment=environment,
            simulator_url=f"{parts_of_url.scheme}://{parts_of_url.netloc}",
            nursery=_nursery(parts, directory, environment),
        )
        parts.callback(deployment.stop_workers)
        for _ in range(workers):
            deployment.start_worker()
        yield deployment


def _simulator(parts: ExitStack, directory: Path, options: Sequence[str]) -> str:
    """A simulated provider in a process of its own; returns its URL."""
    catalogue = directory / "catalogue"
    catalogue.mkdir()
    draw_product(catalogue)
    process = spawn(
        [sys.executable, "-m", "sceneshift", "simulator", "--port", "0", "--seed", "7", "--quality", "draft",
         "--catalogue", catalogue, *options],
        log=directory / "simulator.log",
        environment={f"{PREFIX}PROVIDER_APPCODE": APPCODE},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    parts.callback(stop, process)
    assert process.stdout is not None, "a pipe was asked for"
    line = process.stdout.readline().decode()
    if "http://" not in line:
        raise ConfigurationError(f"the simulator did not start: {(directory / 'simulator.log').read_text()[-500:]}")
    return line.split()[-1]


def _nursery(parts: ExitStack, directory: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The process that workers come from; it ends when its input does."""
    with (directory / "workers.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery", str(CONCURRENCY), str(directory)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # one system call that takes no lock of Python's
        )
    parts.callback(stop, process)
    assert process.stdin is not None, "pipes were asked for"
    parts.callback(process.stdin.close)
    return process


def processes_of(directory: Path) -> list[int]:
    """The processes whose command line names this directory (Linux; elsewhere none are found)."""
    name = directory.name.encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
