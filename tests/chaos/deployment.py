"""A deployment of real processes for a long run: servers with append-only files, provider and workers.

It is tuned for throughput: the smallest pictures in draft quality, no rates of ours, and pauses of a second. What it
proves does not depend on that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from sceneshift.client import Client
from sceneshift.errors import ConfigurationError
from sceneshift.jobs.order import check_order
from sceneshift.settings import PREFIX, Settings
from sceneshift.store.connection import CALLER, Patience
from sceneshift.store.opening import open_job_store
from tests.chaos.fleet import Fleet, start_nursery
from tests.chaos.servers import ChaosServer
from tests.integration.deployment import draw_product
from workers.embedded.processes import spawn, stop

APPCODE = "chaos-appcode-5b1f0c"
PASSWORD = "chaos-password-77d0e2"
SIGNATURE = "chaos-signature-c9a41b"
"""Of the URLs of all sources. They are the same for all jobs, so that the provider fetches them once."""
PROMPT = "chaos prompt 3e8d"
"""What all prompts begin with."""
CONCURRENCY = 8
LEASE_SECONDS = 4.0
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


@dataclass(slots=True, kw_only=True)
class ChaosDeployment:
    """The running parts."""

    directory: Path
    environment: dict[str, str]
    state: ChaosServer
    broker: ChaosServer
    simulator: subprocess.Popen[bytes]
    simulator_url: str
    fleet: Fleet

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.environment)

    @property
    def spool(self) -> Path:
        """Where the workers keep paid keys until the job store has them."""
        return self.directory / "spool"

    def client(self, patience: Patience = CALLER) -> Client:
        """A client as in a shop's process, or one that is more patient with the job store than a web request."""
        return Client(self.settings, store=open_job_store(self.settings, patience=patience))

    def enqueue(self, client: Client, number: int, **values: Any) -> str:
        """The id of job NUMBER, which its prompt names to the provider. Repeated, it is the same job."""
        base = f"{self.simulator_url}/catalogue"
        defaults: dict[str, Any] = {
            "image": f"{base}/product.png?signature={SIGNATURE}",
            "mask": f"{base}/mask.png?signature={SIGNATURE}",
            "positive_prompt": prompt_of(number),
            "seed": number,
            "steps": 15,
            "idempotency_key": f"chaos-{number}",
            "lane": "bulk",
        }
        return client.enqueue(check_order(allow_hosts=["127.0.0.1"], **{**defaults, **values})).id

    def provider(self, address: str) -> dict[str, Any]:
        """What the simulated provider says of itself: its `ledger` or its `state`."""
        answer = httpx.get(f"{self.simulator_url}/_sim/{address}", trust_env=False, timeout=60.0)
        document: dict[str, Any] = answer.raise_for_status().json()
        return document

    def direct_provider(self, scenarios: Sequence[str]) -> None:
        """The provider misbehaves by these rules from now on."""
        answer = httpx.post(
            f"{self.simulator_url}/_sim/control", json={"scenarios": list(scenarios)}, trust_env=False, timeout=60.0
        )
        answer.raise_for_status()


def prompt_of(number: int) -> str:
    """What the provider is told of job NUMBER, so that its account can be read without asking the job store."""
    return f"{PROMPT} number {number}"


@contextmanager
def running_chaos(
    *,
    workers: int,
    simulator: Sequence[str],
    settings: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> Iterator[ChaosDeployment]:
    """A deployment on free loopback ports in a directory of its own, both gone when the context ends.

    `simulator` are further options of the simulator's command; `settings` are variables without their prefix, and
    `environment` others that the workers need.
    """
    with ExitStack() as parts:
        directory = Path(tempfile.mkdtemp(prefix="sceneshift-chaos-"))
        parts.callback(shutil.rmtree, directory, ignore_errors=True)
        state = parts.enter_context(ChaosServer(directory / "state", password=PASSWORD, fsync="always"))
        broker = parts.enter_context(ChaosServer(directory / "broker", password=PASSWORD))
        process, simulator_url = _simulator(parts, directory, simulator)
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
        ours = {PREFIX + name: value for name, value in values.items()}
        nursery = start_nursery(directory, CONCURRENCY, {**(environment or {}), **ours}, at_the_end=parts.callback)
        fleet = Fleet(directory, nursery)
        parts.callback(fleet.stop_all)
        for _ in range(workers):
            fleet.start()
        yield ChaosDeployment(
            directory=directory,
            environment=ours,
            state=state,
            broker=broker,
            simulator=process,
            simulator_url="{0.scheme}://{0.netloc}".format(urlsplit(simulator_url)),
            fleet=fleet,
        )


def _simulator(parts: ExitStack, directory: Path, options: Sequence[str]) -> tuple[subprocess.Popen[bytes], str]:
    """A simulated provider in a process of its own, and its URL."""
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
    return process, line.split()[-1]


def processes_of(directory: Path) -> list[int]:
    """The processes that work in this directory or name it on their command line (Linux; elsewhere none are found)."""
    name = directory.name
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = f"{process.joinpath('cwd').readlink()} {process.joinpath('cmdline').read_text(errors='replace')}"
        except OSError:
            continue
        if name in where and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def left_behind(deployment: ChaosDeployment) -> list[str]:
    """The processes of a deployment that has ended, as a problem if there are any."""
    left = processes_of(deployment.directory)
    return [f"processes were left behind: {left}"] if left else []
