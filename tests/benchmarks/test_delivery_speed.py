"""A thousand endpoints, some of them black holes: deliveries per second, and what the good ones notice of the bad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from sceneshift import identifiers
from sceneshift.jobs.change import DeliveryDraft
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.settings import PREFIX, Settings
from sceneshift.store.connection import SERVICE
from sceneshift.store.deliveries import delivery_fields
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job, an_order
from tests.webhook_material import SECRET
from workers.embedded.processes import ROOT, spawn, stop
from workers.embedded.redis_server import RedisServer

ENDPOINTS = 1000
WORKERS = 2
THREADS = 64
PER_SECOND = float(os.environ.get("DELIVERIES_PER_SECOND", "200"))
SECONDS = float(os.environ.get("DELIVERY_SECONDS", "30"))
LEAD_SECONDS = 6.0
ABSURD_PER_SECOND = 20

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Figures:
    """What one run came to. Latencies count from the event to the request's arrival, at good endpoints."""

    per_second: float
    median_seconds: float
    p99_seconds: float
    lost: int
    processor_ms: dict[str, float]


class Bench:
    """Valkey, a receiver, and workers that do nothing but deliver."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        server = stack.enter_context(RedisServer(directory / "redis"))
        self.receiver = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.many_endpoints"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(self.receiver.kill)
        assert self.receiver.stdout is not None
        self.port = int(self.receiver.stdout.readline())
        environment = {
            PREFIX + "REDIS_URL": server.url,
            PREFIX + "PROVIDER_URL": "http://127.0.0.1:1/api/v1/bg-rep",
            PREFIX + "PROVIDER_APPCODE": "none",
            PREFIX + "STORAGE_URL": (directory / "results").as_uri(),
            PREFIX + "SPOOL_DIRECTORY": str(directory / "spool"),
            PREFIX + "WEBHOOK_SECRET": SECRET,
            PREFIX + "ALLOW_HOSTS": "127.0.0.1",
            PREFIX + "LOG_LEVEL": "ERROR",
        }
        self.store: Store = open_job_store(Settings.from_env(environment), patience=SERVICE)
        self.workers = []
        for number in range(WORKERS):
            temporary = directory / f"w{number}"
            temporary.mkdir()
            command = ["worker", "--name", f"w{number}@bench", "--queues", "notify", "--concurrency", str(THREADS)]
            process = spawn(
                [sys.executable, "-m", "sceneshift", *command],
                log=directory / f"w{number}.log",
                environment={**environment, "TMPDIR": str(temporary)},
            )
            stack.callback(stop, process)
            self.workers.append(process)
        self.server_pid = int(self.store.client.info("server")["process_id"])

    def jobs(self, paths: list[str]) -> list[JobRecord]:
        """A finished job for each endpoint."""
        jobs = []
        with self.store.client.pipeline(transaction=False) as pipeline:
            for path in paths:
                order = an_order(webhook_url=f"http://127.0.0.1:{self.port}{path}")
                now = self.store.clock.now()
                job = a_job(id=identifiers.new_job_id(now), order=order, state=JobState.FAILED, step="done-3")
                pipeline.hset(self.store.keys.job(job.id), mapping=job.to_fields())  # type: ignore[arg-type]  # redis-py: an invariant dict
                pipeline.set(self.store.keys.order(job.id), order.to_json())
                jobs.append(job)
            pipeline.execute()
        return jobs

    def feed(
        self, jobs: list[JobRecord], *, count: int, per_second: float, from_number: int, start: float
    ) -> dict[str, float]:
        """So many events will happen from `start` on, at the endpoints in turn; returns when each does."""
        occurs: dict[str, float] = {}
        with self.store.client.pipeline(transaction=False) as pipeline:
            for number in range(count):
                job, sequence, at = (
                    jobs[number % len(jobs)],
                    from_number + number // len(jobs),
                    start + number / per_second,
                )
                draft = DeliveryDraft(
                    id=identifiers.delivery_id(job.id, sequence), event_id=identifiers.event_id(job.id, sequence),
                    type="job.failed", sequence=sequence, state=JobState.FAILED, occurred_at=at, error=None,
                )  # fmt: skip
                fields = delivery_fields(draft, job)
                pipeline.hset(self.store.keys.delivery(draft.id), items=fields)
                pipeline.zadd(self.store.keys.due, {draft.id: round(at, 3)})
                occurs[draft.event_id] = at
                if number % 500 == 499:
                    pipeline.execute()
            pipeline.execute()
        return occurs

    def arrivals(self) -> list[tuple[float, str, str]]:
        """Everything that arrived; the receiver has ended."""
        out, _ = self.receiver.communicate(timeout=60)
        return [tuple(each) for each in json.loads(out)]

    def processor_seconds(self) -> dict[str, float]:
        """What each part has used so far."""
        return {
            "workers": sum(_processor_seconds(worker.pid) for worker in self.workers),
            "valkey": _processor_seconds(self.server_pid),
            "receiver": _processor_seconds(self.receiver.pid),
        }


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def measured(bench: Bench, *, bad: int) -> Figures:
    """A steady stream to all endpoints, of which so many are black holes, and as many fail."""
    paths = [f"/black-hole/{n}" for n in range(bad)] + [f"/error/{n}" for n in range(bad)]
    paths += [f"/good/{n}" for n in range(ENDPOINTS - len(paths))]
    # Spread over the round, as they are in life.
    paths = [paths[number * 367 % ENDPOINTS] for number in range(ENDPOINTS)]
    jobs = bench.jobs(paths)
    path_of = {job.id: path for job, path in zip(jobs, paths, strict=True)}
    warm = bench.feed(
        jobs, count=ENDPOINTS, per_second=PER_SECOND, from_number=1, start=bench.store.clock.now() + LEAD_SECONDS
    )
    start = max(warm.values()) + 3.0
    occurs = bench.feed(jobs, count=int(PER_SECOND * SECONDS), per_second=PER_SECOND, from_number=2, start=start)
    time.sleep(max(0.0, start - bench.store.clock.now()))
    before = bench.processor_seconds()
    time.sleep(SECONDS)
    used = {name: seconds - before[name] for name, seconds in bench.processor_seconds().items()}
    time.sleep(5.0)
    first: dict[str, float] = {}
    for at, _, event in bench.arrivals():
        first.setdefault(event, at)
    good = [event for event in occurs if path_of[f"job_{event[4:].partition('_')[0]}"].startswith("/good")]
    latencies = sorted(first[event] - occurs[event] for event in good if event in first)
    done = len([event for event in occurs if event in first])
    return Figures(
        # Of the good ones: a failing one that is tried again says nothing about speed.
        per_second=len(latencies) / (max(first[event] for event in good if event in first) - start),
        median_seconds=latencies[len(latencies) // 2],
        p99_seconds=latencies[int(len(latencies) * 0.99)],
        lost=len(good) - len(latencies),
        processor_ms={name: 1000 * seconds / done for name, seconds in used.items()},
    )


@pytest.mark.parametrize("bad", [0, ENDPOINTS // 100])
def test_good_endpoints_do_not_notice_bad_ones(bench: Bench, bad: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundredth of the endpoints never answers and another fails: the others get their events all the same."""
    figures = measured(bench, bad=bad)
    with capsys.disabled():
        print(  # noqa: T201  # the figures are the point
            f"\n{PER_SECOND:.0f} events/s, {bad} black holes, {bad} failing: "
            f"{figures.per_second:.0f} deliveries/s at good endpoints, median {figures.median_seconds * 1000:.0f} ms, "
            f"99th percentile {figures.p99_seconds * 1000:.0f} ms, {figures.lost} late; processor ms each: "
            + ", ".join(f"{name} {each:.2f}" for name, each in figures.processor_ms.items())
        )
    assert figures.per_second > ABSURD_PER_SECOND
