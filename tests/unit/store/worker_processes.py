"""Worker processes as the job store meets them, each with a memory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from sceneshift.clock import ManualClock
from sceneshift.jobs.events import IntentStored
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings
from sceneshift.store.connection import SERVICE, connect
from sceneshift.store.jobs import IntentGuard
from sceneshift.store.opening import open_job_store
from tests.factories import a_job, an_order


class Process:
    """One worker process's view of a job store, with a memory of its own."""

    def __init__(self, url: str, settings: Settings, clock: ManualClock) -> None:
        self.store = open_job_store(settings, patience=SERVICE, client=connect(url, SERVICE), clock=clock)
        self.recovery = self.store.recovery

    def accept(self) -> JobRecord:
        job = a_job(order=an_order(webhook_url=None))
        self.store.jobs.accept(job, publish=True)
        return job

    def store_intent(self, job: JobRecord) -> JobRecord:
        """The job's intent is stored as `submit` does it."""
        witness, count = self.recovery.witness()
        change = self.store.jobs.transition(
            job, IntentStored(nonce="n", request_hash="0" * 64), guard=IntentGuard(witness=witness, witnessed=count)
        )
        assert change is not None
        self.recovery.witnessed(change.after)
        return change.after

    def submit_new(self) -> JobRecord:
        return self.store_intent(self.accept())


ProcessOf = Callable[[str], Process]


@contextmanager
def processes(settings: Settings, clock: ManualClock) -> Iterator[ProcessOf]:
    """Makes processes that work with the server of a URL; their connections are closed in the end."""
    with ExitStack() as stack:

        def make(url: str) -> Process:
            process = Process(url, settings, clock)
            stack.callback(process.store.client.close)
            return process

        yield make


def is_off(process: Process) -> bool:
    """Neither this look nor the next one finds anything."""
    return process.recovery.look() is None and process.recovery.look() is None
