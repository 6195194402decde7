"""A process that has loaded what a worker needs, and forks a worker for each name that it reads.

A worker takes more than a second of a core to load its code. When one is killed every two seconds, the machine would do
little else; forked, it is a process like any other, at work in a tenth of that.

How each of them ended is a line in a file, for whoever started them is not their parent.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from sceneshift.messages import TASKS
from sceneshift.settings import current_settings
from storage.opening import open_store
from workers.embedded.processes import _die_with_parent

LATE_MODULES = (
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.events.state",
    "celery.worker.autoscale",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.loops",
    "celery.worker.pidbox",
    "celery.worker.strategy",
    "kombu.transport.redis",
    "workers.bootsteps",
)
"""What Celery loads when a worker starts."""
EXITS = "exits.txt"
"""In the nursery's directory: a worker's name and its exit code (negative: a signal) on each line."""


def main() -> None:
    """One line in is a worker's directory, whose name is the worker's; one line out is its process id."""
    _load()
    names: dict[int, str] = {}
    exits = os.open(Path(sys.argv[2]) / EXITS, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    signal.signal(signal.SIGCHLD, lambda *_: _note_exits(names, exits))
    for line in sys.stdin:
        directory = Path(line.strip())
        # A worker must not end before its name is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        process_id = os.fork()
        if process_id == 0:
            _become_worker(directory)
        names[process_id] = directory.name
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        print(process_id, flush=True)  # noqa: T201  # the answer to the line


def _load() -> None:
    """What a worker does before it is of use is done: its code is loaded, and the S3 client's descriptions are read."""
    from workers.app import app  # noqa: PLC0415  # reads the settings, which only this process has

    app.loader.import_default_modules()
    for name in LATE_MODULES:
        importlib.import_module(name)
    open_store(current_settings().storage_url)


def _note_exits(names: dict[int, str], exits: int) -> None:
    """Every worker that has ended is noted, and forgotten by the system."""
    while True:
        try:
            process_id, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process_id == 0:
            return
        os.write(exits, f"{names.pop(process_id)} {os.waitstatus_to_exitcode(status)}\n".encode())


def _become_worker(directory: Path) -> None:
    """Celery's worker has run and this process has ended, with the worker's exit code."""
    code = 1
    try:
        _die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
        code = _run_worker(directory.name)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run_worker(name: str) -> int:
    """The exit code of `celery worker`, which Celery's own `worker_main` does not tell."""
    from celery.bin.celery import celery  # noqa: PLC0415  # after the settings were read

    from workers.app import app  # noqa: PLC0415  # see main

    celery.params[0].default = app
    code = celery.main(
        args=["worker", "--pool", "threads", "--concurrency", sys.argv[1], "--without-gossip", "--without-mingle",
              "--queues", ",".join(TASKS), "--loglevel", "WARNING", "--hostname", f"{name}@chaos"],
        standalone_mode=False,
    )  # fmt: skip
    return int(code or 0)


if __name__ == "__main__":
    main()
