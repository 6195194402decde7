"""The workers of a long run: started from a nursery, killed, stopped, squeezed and rolled, and replaced when they end.

Each way in which a worker may end is expected or not: one that was told to stop must exit with 0 and in time, one that
was killed or squeezed may end as it likes, and any other that ends by itself is a fault of the product.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.nursery import EXITS
from workers.embedded.processes import ROOT, _die_with_parent, stop
from workers.health import heartbeat_path

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
"""What docs/how-to/production.md asks for: a worker that was told to stop has this long."""
POLL_SECONDS = 0.02


@dataclass(slots=True, eq=False)
class Worker:
    """One worker process, which is no child of ours: see `tests.chaos.nursery`.

    `purpose` says what is being done to it, and nothing else is done to it meanwhile; '' when it is left alone.
    """

    process_id: int
    directory: Path
    purpose: str = ""
    told_to_stop_at: float | None = None

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def is_alive(self) -> bool:
        return self.signalled(0)

    @property
    def is_ready(self) -> bool:
        """Whether it has shown its first sign of life."""
        return (self.directory / heartbeat_path().name).exists()

    @property
    def is_free(self) -> bool:
        """Whether something may be done to it: it works, and nothing else is being done to it."""
        return not self.purpose and self.is_ready

    def signalled(self, number: int) -> bool:
        """Whether it was there to receive this signal; 0 only asks."""
        try:
            os.kill(self.process_id, number)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """It was killed with SIGKILL and is gone."""
        while self.signalled(signal.SIGKILL):
            time.sleep(0.001)

    def tell_to_stop(self) -> None:
        """It was asked to end, with SIGTERM."""
        self.purpose, self.told_to_stop_at = "told to stop", time.monotonic()
        self.signalled(signal.SIGTERM)

    def squeeze(self) -> int:
        """It gets no more memory from the system, not even what it has given back (Linux); returns what it may have.

        The limit is on data (RLIMIT_DATA), and half of what it has. One on addresses (RLIMIT_AS) would leave it what
        its threads have reserved.
        """
        status = Path(f"/proc/{self.process_id}/status").read_text(encoding="utf-8")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmData:"))
        limit_bytes = int(kilobytes) * 1024 // 2
        resource.prlimit(self.process_id, resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
        return limit_bytes


@dataclass(slots=True, kw_only=True)
class Stopped:
    """How long a worker took that was told to stop, and its exit code; None when it had to be killed."""

    name: str
    code: int | None
    seconds: float

    @property
    def is_clean(self) -> bool:
        return self.code == 0


@dataclass(slots=True)
class Fleet:
    """The workers. `exits` counts those that ended by themselves, and `stopped` are those that were told to."""

    directory: Path
    nursery: subprocess.Popen[bytes]
    workers: list[Worker] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    exits: int = 0
    kills: int = 0
    _started: int = 0

    def start(self) -> Worker:
        """One more worker is starting."""
        self._started += 1
        temporary = self.directory / f"worker-{self._started}"
        temporary.mkdir()
        assert self.nursery.stdin is not None, "pipes were asked for"
        assert self.nursery.stdout is not None, "pipes were asked for"
        self.nursery.stdin.write(f"{temporary}\n".encode())
        self.nursery.stdin.flush()
        worker = Worker(int(self.nursery.stdout.readline()), temporary)
        self.workers.append(worker)
        return worker

    def free(self) -> list[Worker]:
        """The workers to which something may be done, the oldest first."""
        return [worker for worker in self.workers if worker.is_free]

    def kill(self, worker: Worker) -> None:
        """The worker was killed with SIGKILL, and another one is starting."""
        self.workers.remove(worker)
        worker.kill()
        self.kills += 1
        self.start()

    def kill_oldest(self) -> None:
        """The worker that has lived longest was killed, and another one is starting.

        One that is still starting is spared: on a slow machine there are fewer kills, and not none that ever works.
        """
        if self.workers[0].is_ready:
            self.kill(self.workers[0])

    def replace(self, worker: Worker) -> None:
        """Another worker is starting, and this one was told to stop."""
        self.start()
        worker.tell_to_stop()

    def supervise(self) -> None:
        """Workers that have ended are noted and, unless another took their place before, replaced."""
        for worker in list(self.workers):
            if worker.told_to_stop_at is not None:
                self._look_at_stopping(worker, worker.told_to_stop_at)
            elif not worker.is_alive:
                self.workers.remove(worker)
                self.exits += worker.purpose == ""
                self.start()

    def wait_until_ready(self) -> None:
        """Every worker has shown its first sign of life.

        Raises:
            TimeoutError: one has not in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not all(worker.is_ready for worker in self.workers):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the workers did not start: {self.log()[-1000:]!r}")
            time.sleep(POLL_SECONDS)

    def stop_all(self) -> None:
        """No worker runs any more; each was told to stop, and had its time for that."""
        for worker in self.workers:
            if worker.told_to_stop_at is None:
                worker.signalled(signal.SIGCONT)
                worker.tell_to_stop()
        while self.workers:
            self.supervise()
            time.sleep(POLL_SECONDS)

    def unclean(self) -> list[Stopped]:
        """The workers that were told to stop and did not do it well."""
        return [each for each in self.stopped if not each.is_clean]

    def log(self) -> bytes:
        """Everything that the workers have written."""
        return (self.directory / "workers.log").read_bytes()

    def _look_at_stopping(self, worker: Worker, told_at: float) -> None:
        seconds = time.monotonic() - told_at
        code = None if worker.is_alive else self._exit_codes().get(worker.name)
        if code is None and seconds <= STOP_SECONDS:
            return
        worker.kill()
        self.workers.remove(worker)
        self.stopped.append(Stopped(name=worker.name, code=code, seconds=seconds))

    def _exit_codes(self) -> Mapping[str, int]:
        lines = (self.directory / EXITS).read_text(encoding="utf-8").splitlines()
        return {name: int(code) for name, code in (line.split() for line in lines)}


def start_nursery(
    directory: Path,
    concurrency: int,
    environment: Mapping[str, str],
    *,
    at_the_end: Callable[[Callable[[], None]], object],
) -> subprocess.Popen[bytes]:
    """The process that workers come from; `at_the_end` is told how to end it."""
    with (directory / "workers.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery", str(concurrency), str(directory)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # one system call that takes no lock of Python's
        )

    def end() -> None:
        assert process.stdin is not None, "pipes were asked for"
        with suppress(BrokenPipeError):
            process.stdin.close()
        stop(process)

    at_the_end(end)
    return process
