"""A whole deployment of real processes for one test: two servers with append-only files, provider, workers, shop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from sceneshift.client import Client
from sceneshift.handle import Job
from sceneshift.jobs.order import check_order
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import PREFIX, Settings
from sceneshift.simulator import RunningSimulator, SimulatorConfig, running_simulator
from sceneshift.webhooks import new_secret
from workers.demo.receiver import Received, receiving
from workers.embedded.processes import ROOT, kill, spawn, stop
from workers.embedded.redis_server import RedisServer

SECRET_PROMPT = "canary prompt"
APPCODE = "canary-appcode-1f6f"


@dataclass(slots=True)
class Deployment:
    """The running parts; workers are restarted when they die, as a supervisor does, and every death is remembered."""

    directory: Path
    state: RedisServer
    broker: RedisServer
    simulator: RunningSimulator
    received: Received
    environment: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    unexpected_exits: list[int] = field(default_factory=list)
    _started: int = 0

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.environment)

    def client(self) -> Client:
        """A caller's client, as in a shop's process."""
        return Client(self.settings)

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """One more worker."""
        self._started += 1
        name = f"w{self._started}"
        temporary = self.directory / name
        temporary.mkdir()
        process = spawn(
            [sys.executable, "-m", "sceneshift", "worker", "--name", f"{name}@test", "--concurrency", "8"],
            log=self.directory / f"{name}.log",
            environment={**self.environment, **environment, "TMPDIR": str(temporary)},
        )
        self.workers.append(process)
        return process

    def kill_worker(self, position: int) -> None:
        """A worker was killed with SIGKILL, and another one is starting."""
        kill(self.workers.pop(position))
        self.start_worker()

    def stop_workers(self) -> None:
        """No worker runs any more."""
        for process in self.workers:
            stop(process)

    def supervise(self) -> None:
        """Workers that ended by themselves are remembered and replaced."""
        for process in list(self.workers):
            if (code := process.poll()) is not None:
                self.workers.remove(process)
                self.unexpected_exits.append(code)
                self.start_worker()

    def enqueue(self, client: Client, number: int, **values: Any) -> Job:
        """Order number N: its prompt and its image are its own."""
        base = f"{self.simulator.base_url}/catalogue"
        defaults: dict[str, Any] = {
            "image": f"{base}/product.png?signature=canary-signature-{number}",
            "mask": f"{base}/mask.png",
            "positive_prompt": f"{SECRET_PROMPT} number {number}, on silk",
            "seed": number,
            "steps": 15,
            "webhook_url": self.environment[f"{PREFIX}WEBHOOK_URL"],
            "idempotency_key": f"order-{number}",
            "sku": f"SKU-{number:04d}",
        }
        return client.enqueue(check_order(allow_hosts=["127.0.0.1"], **{**defaults, **values}))

    def command(self, *arguments: str) -> str:
        """What `sceneshift ARGUMENTS` prints for an operator."""
        done = subprocess.run(
            [sys.executable, "-m", "sceneshift", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **self.environment},
            timeout=60,
        )
        return done.stdout

    def worker_logs(self) -> str:
        """Everything that the workers have written."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.directory.glob("w*.log")))


@contextmanager
def running_deployment(
    directory: Path,
    *,
    workers: int,
    median_seconds: float = 1.0,
    limits: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Deployment]:
    """A deployment on free loopback ports, ended with the context.

    `settings` are variables without their prefix; `limits` are those of the simulated provider, which has none else.
    """
    catalogue = directory / "catalogue"
    catalogue.mkdir()
    draw_product(catalogue)
    with ExitStack() as parts:
        state = parts.enter_context(RedisServer(directory / "state", fsync="always"))
        broker = parts.enter_context(RedisServer(directory / "broker", fsync="always"))
        config = SimulatorConfig(
            appcode=APPCODE, median_seconds=median_seconds, catalogue=catalogue, seed=7, **(limits or {})
        )
        simulator = parts.enter_context(running_simulator(config))
        secret = new_secret()
        received = parts.enter_context(receiving([secret]))
        values = {
            "REDIS_URL": state.url,
            "BROKER_URL": broker.url,
            "PROVIDER_URL": simulator.url,
            "PROVIDER_APPCODE": APPCODE,
            "SPOOL_DIRECTORY": str(directory / "spool"),
            "STORAGE_URL": (directory / "results").as_uri(),
            "WEBHOOK_SECRET": secret,
            "WEBHOOK_URL": f"http://127.0.0.1:{received.port}/webhooks",
            "ALLOW_HOSTS": "127.0.0.1",
            "SUBMIT_RATE": "none",
            "QUERY_RATE": "none",
            "POLL_FIRST_SECONDS": "0.3",
            "POLL_MAX_SECONDS": "1",
            "LEASE_SECONDS": "4",
            **settings,
        }
        deployment = Deployment(
            directory=directory,
            state=state,
            broker=broker,
            simulator=simulator,
            received=received,
            environment={**(environment or {}), **{PREFIX + name: value for name, value in values.items()}},
        )
        parts.callback(deployment.stop_workers)
        for _ in range(workers):
            deployment.start_worker()
        yield deployment


def draw_product(directory: Path) -> None:
    """`product.png` and `mask.png`, as small as the provider takes them."""
    box = (120, 80, 280, 360)
    image = Image.new("RGB", (400, 400), "#d8d8d8")
    ImageDraw.Draw(image).rounded_rectangle(box, 30, fill="#a33b2a")
    image.save(directory / "product.png")
    mask = Image.new("L", (400, 400), 0)
    ImageDraw.Draw(mask).rounded_rectangle(box, 30, fill=255)
    mask.save(directory / "mask.png")


def wait_until(condition: Callable[[], bool], *, timeout_seconds: float, every_seconds: float = 0.2) -> bool:
    """Whether the condition came true in time. Real processes have no clock that a test could move."""
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        pause.wait(every_seconds)
    return condition()


def load_all(client: Client, jobs: list[Job]) -> list[JobRecord]:
    """The records of these jobs as they are now."""
    return [client.load(job.id) for job in jobs]
