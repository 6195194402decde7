"""A process that has loaded what a worker needs, and forks a worker for each name that it reads.

A worker takes more than a second of a core to load its code. When one is killed every two seconds, the machine would do
little else; forked, it is a process like any other, at work in a tenth of that.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from sceneshift.messages import TASKS
from workers.embedded.processes import _die_with_parent


def main() -> None:
    """One line in is a worker's directory, whose name is the worker's; one line out is its process id."""
    from workers.app import app  # noqa: PLC0415  # reads the settings, which only this process has

    app.loader.import_default_modules()
    # Nobody waits for the dead here: the system forgets them by itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        process_id = os.fork()
        if process_id == 0:
            _become_worker(Path(line.strip()))
        print(process_id, flush=True)  # noqa: T201  # the answer to the line


def _become_worker(directory: Path) -> None:
    """Celery's worker has run and this process has ended."""
    from workers.app import app  # noqa: PLC0415  # see above

    try:
        _die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
        app.worker_main(
            ["worker", "--pool", "threads", "--concurrency", sys.argv[1], "--without-gossip", "--without-mingle",
             "--queues", ",".join(TASKS), "--loglevel", "WARNING", "--hostname", f"{directory.name}@chaos"]
        )  # fmt: skip
    finally:
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
