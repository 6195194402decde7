"""`sceneshift worker`: Celery's worker with our defaults, after checking that it could work at all."""

from __future__ import annotations

import os
import sys

import click

from sceneshift.messages import TASKS
from sceneshift.settings import current_settings
from tasks.services import check_worker_settings
from workers.config import CONCURRENCY


@click.command("worker")
@click.option("--concurrency", "-c", default=CONCURRENCY, show_default=True, type=click.IntRange(1), help="Threads.")
@click.option(
    "--queues", "-Q", help="Comma-separated short names, such as `submit,poll`. All four when it is not given."
)
@click.option("--name", "-n", help="The worker's name in Flower, such as `images@%h`.")
def command(concurrency: int, queues: str | None, name: str | None) -> None:
    """Run a worker until it is told to stop; one process per core, under something that restarts it."""
    settings = current_settings()
    check_worker_settings(settings)
    if not settings.webhook_secret:
        click.echo("warning: SCENESHIFT_WEBHOOK_SECRET is not set, so no webhook can be signed and sent", err=True)
    arguments = [
        "-A",
        "workers.app",
        "worker",
        "--pool",
        "threads",
        "--concurrency",
        str(concurrency),
        "--loglevel",
        settings.log_level,
    ]
    arguments += ["--without-gossip", "--without-mingle", "--queues", ",".join(_queue_names(queues))]
    if name:
        arguments += ["--hostname", name]
    # Celery's own program takes this one's place: its exit code is what a supervisor sees.
    os.execv(sys.executable, [sys.executable, "-m", "celery", *arguments])  # noqa: S606  # our own arguments, no shell


def _queue_names(queues: str | None) -> list[str]:
    if not queues:
        return list(TASKS)
    names = [f"sceneshift.{name.strip().removeprefix('sceneshift.')}" for name in queues.split(",")]
    for name in names:
        if name not in TASKS:
            known = ", ".join(task.removeprefix("sceneshift.") for task in TASKS)
            raise click.UsageError(f"{name.removeprefix('sceneshift.')} is not a queue; the queues are {known}")
    return names
