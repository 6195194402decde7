"""`sceneshift demo`: a small catalogue through the whole system, on parts that this command owns."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import click

from sceneshift.cli.jobs import read_catalogue
from sceneshift.client import Client
from sceneshift.errors import SceneshiftError
from sceneshift.handle import Job
from sceneshift.jobs.events import ResolveAction
from sceneshift.jobs.order import check_order
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from workers.demo.progress import Counts, Display, display
from workers.demo.report import problems, write_report
from workers.demo.stack import CATALOGUE, Stack, running_stack

MARK = ".sceneshift-demo"
LOOK_EVERY_SECONDS = 0.25
PATIENCE_SECONDS = 240.0
PATIENCE_PER_JOB_SECONDS = 1.0


@click.command("demo")
@click.option("--jobs", "job_count", type=click.IntRange(1, 2000), help="How many jobs. [default: the whole catalogue]")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="Worker processes.")
@click.option(
    "--kill-workers",
    default=0,
    show_default=True,
    type=click.IntRange(0, 50),
    help="SIGKILL so many workers on the way.",
)
@click.option(
    "--out",
    "directory",
    default=Path("demo-out"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where to leave the gallery and the report.",
)
@click.option("--seed", default=1, show_default=True, type=int, help="For the simulated provider.")
@click.option("--flower-port", default=0, type=click.IntRange(0, 65_535), help="Flower's port. [default: a free one]")
@click.option("--no-flower", is_flag=True, help="Run without Flower.")
@click.option("--stay", is_flag=True, help="Keep everything running at the end, until Ctrl-C.")
def command(
    *,
    job_count: int | None,
    workers: int,
    kill_workers: int,
    directory: Path,
    seed: int,
    flower_port: int,
    no_flower: bool,
    stay: bool,
) -> None:
    """Send a catalogue of product photos through the whole system, and leave a gallery to look at.

    Everything runs on this machine: an embedded Redis-protocol server, a simulated provider, workers, Flower and a
    webhook receiver. Nothing is charged and nothing leaves the machine. At the end, all of it is stopped.
    """
    Settings.from_env()
    _check_port(flower_port)
    directory = directory.resolve()
    entries = read_catalogue(CATALOGUE)
    orders = [entries[number % len(entries)] for number in range(job_count or len(entries))]
    _prepare(directory)
    # However it is ended, it ends its children first; a shell's background jobs begin with interrupts ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with display(len(orders)) as show:
        show.say("starting the parts: server, simulated provider, webhook receiver, workers, Flower")
        port = None if no_flower else flower_port
        with running_stack(directory, workers=workers, flower_port=port, seed=seed) as stack:
            if stack.flower_url:
                show.say(
                    f"Flower: {stack.flower_url}/tasks  (search: kwargs:job_id=JOB; --stay keeps it running at the end)"
                )
            run = Run(stack, orders, kill_workers=kill_workers, show=show, stays=stay)
            report = run.to_the_end()
            show.say(_summary(report, directory))
            if stay:
                show.say("still running; Ctrl-C ends it")
                _wait_for_interrupt()
    if found := problems(report):
        raise SceneshiftError("; ".join(found[:5]))


def _prepare(directory: Path) -> None:
    """The directory is empty but for what an earlier demonstration left, which is removed."""
    if directory.exists() and not directory.is_dir():
        raise click.UsageError(f"{directory} is a file: name a directory with --out")
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARK).is_file():
            raise click.UsageError(f"{directory} holds other files than a demonstration's: name another --out")
        for name in ("store", "before", "logs", "run"):
            shutil.rmtree(directory / name, ignore_errors=True)
        for name in ("report.json", "index.html"):
            (directory / name).unlink(missing_ok=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MARK).write_text("A demonstration's results; the next one replaces them.\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{directory} cannot be written ({error.strerror}): name another --out") from None


def _check_port(port: int) -> None:
    """The port is free, or any port will do."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        raise click.UsageError(f"--flower-port {port}: {error.strerror}") from None


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        return


def _summary(report: dict[str, Any], directory: Path) -> str:
    jobs = report["jobs"]
    images = sum(len(job["outputs"]) for job in jobs)
    verified = sum(job["webhook"]["verified"] for job in jobs)
    lines = [
        f"{len(jobs)} jobs, {images} images, {report['charged']} charged, {verified} webhooks verified",
        f"{report['killed_workers']} workers killed, {report['seconds']:.0f} s",
        f"gallery: {directory / 'index.html'}",
        f"report:  {directory / 'report.json'}",
    ]
    if report["resolved"]:
        lines.insert(1, f"{report['resolved']} held jobs were decided by the provider's ledger, as a person would")
    return "\n".join(lines)


class Run:
    """One demonstration, from the first order to the last webhook."""

    def __init__(
        self, stack: Stack, orders: list[dict[str, Any]], kill_workers: int, show: Display, *, stays: bool
    ) -> None:
        self._stack = stack
        self._orders = orders
        self._show = show
        self._stays = stays
        self._client = Client(stack.settings)
        self._store = self._client.store
        self._records: dict[str, JobRecord] = {}
        self._notified: set[str] = set()
        # Spread over the run, from the first submissions on.
        self._kill_at = [len(orders) * number / (kill_workers + 1) for number in range(1, kill_workers + 1)]
        self._killed = 0
        self._resolved = 0

    def to_the_end(self) -> dict[str, Any]:
        """Every job is final and its webhook has arrived, or patience is at its end; the report is written."""
        started = time.monotonic()
        jobs = [(entry, self._enqueue(number, entry)) for number, entry in enumerate(self._orders)]
        self._show.say(f"{len(jobs)} jobs ordered")
        patience = PATIENCE_SECONDS + PATIENCE_PER_JOB_SECONDS * len(jobs)
        while not self._look([job for _, job in jobs]) and time.monotonic() - started < patience:
            time.sleep(LOOK_EVERY_SECONDS)
        ledger = self._stack.ledger()
        about = {
            "charged": ledger["charged"],
            "submitted": ledger["accepted"],
            "seconds": round(time.monotonic() - started, 1),
            "workers": len(self._stack.workers),
            "killed_workers": self._killed,
            "resolved": self._resolved,
            "flower_url": self._stack.flower_url if self._stays else None,
        }
        records = [(entry, self._client.load(job.id)) for entry, job in jobs]
        return write_report(self._stack.directory, records, self._store, self._stack.received, about)

    def _enqueue(self, number: int, entry: dict[str, Any]) -> Job:
        base_url = f"{self._stack.simulator_url}/catalogue"
        order = check_order(
            allow_hosts=["127.0.0.1"],
            image=f"{base_url}/{entry['image']}",
            mask=f"{base_url}/{entry['mask']}",
            positive_prompt=entry["positive_prompt"],
            num_output=entry.get("num_output"),
            # The catalogue may come several times: with other pictures each time.
            seed=entry["seed"] + number,
            webhook_url=self._stack.webhook_url,
            idempotency_key=f"demo-{number}",
            sku=entry["sku"],
            metadata={"catalogue_number": str(number)},
        )
        return self._client.enqueue(order)

    def _look(self, jobs: list[Job]) -> bool:
        """The progress is shown and what the demonstration does by itself is done; whether all is over."""
        for job in jobs:
            record = self._records.get(job.id)
            if record is None or not record.state.is_final:
                record = self._records[job.id] = self._client.load(job.id)
            if record.state is JobState.NEEDS_ATTENTION:
                self._decide(job, record)
            if record.state.is_final and job.id not in self._notified and self._is_notified(record):
                self._notified.add(job.id)
        counts = self._counts()
        self._show.show(counts)
        self._kill_when_it_is_time(counts)
        return counts.notified == len(jobs)

    def _is_notified(self, record: JobRecord) -> bool:
        return all(delivery.status != "pending" for delivery in self._store.deliveries.of_job(record))

    def _counts(self) -> Counts:
        records = self._records.values()
        return Counts(
            submitted=sum(record.submitted_at is not None or record.state.is_final for record in records),
            rendered=sum(record.rendered_at is not None or record.state.is_final for record in records),
            stored=sum(record.state.is_final for record in records),
            notified=len(self._notified),
        )

    def _kill_when_it_is_time(self, counts: Counts) -> None:
        progress = (counts.submitted + counts.rendered + counts.stored) / 3
        if self._killed < len(self._kill_at) and progress >= self._kill_at[self._killed]:
            process_id = self._stack.kill_worker()
            self._killed += 1
            self._show.say(f"killed a worker with SIGKILL (process {process_id}); another one is starting")

    def _decide(self, job: Job, record: JobRecord) -> None:
        """What an operator does with a held job: look into the provider's console, and attach or submit again."""
        accepted = {each["nonce"]: each["result_key"] for each in self._stack.ledger()["submits"] if each["result_key"]}
        key = accepted.get(record.nonce)
        action: ResolveAction = "attach" if key else "resubmit"
        job.resolve(action, by="demo: the provider's ledger", result_key=key or "")
        self._resolved += 1
        self._show.say(f"{job.id} was held ({record.error.code if record.error else ''}): {action}")
