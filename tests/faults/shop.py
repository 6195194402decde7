"""The shop's processes in a simulation: they order, repeat what raised, die and are replaced, and cancel."""

from __future__ import annotations

import random
from collections.abc import Callable

from sceneshift.client import Client
from sceneshift.errors import EnqueueError, SceneshiftError
from sceneshift.handle import Job
from sceneshift.messages import CeleryPublisher
from sceneshift.store.connection import CALLER
from sceneshift.store.opening import open_job_store
from tests.faults import orders
from tests.faults.kernel import Process
from tests.faults.plan import Plan
from tests.faults.worker import Surroundings

CALL_AGAIN_SECONDS = 5.0
CALLS_MAX = 200


class Shop:
    """All callers of one deployment; `wake` is told when they have changed anything.

    Attributes:
        accepted: the orders that were confirmed to their callers: the job's id, and its prompt.
        cancelled: the jobs that were cancelled, and what their callers were answered.
    """

    def __init__(self, plan: Plan, parts: Surroundings, wake: Callable[[], None]) -> None:
        self.accepted: dict[str, str] = {}
        self.cancelled: list[tuple[str, str]] = []
        self._plan = plan
        self._parts = parts
        self._kernel = parts.kernel
        self._wake = wake
        self._unplaced: list[Callable[[], None]] = []

    def order_again(self) -> None:
        """Whoever died before he knew that his order is stored is replaced, and orders again."""
        for again in self._unplaced.copy():
            again()

    def place_order(self, number: int, *, delay_seconds: float = 0.0) -> None:
        """One of the shop's processes orders; when it dies, another one takes its place, with the same key."""
        order = orders.an_order(
            number, random.Random(number), most_outputs=self._plan.outputs_max, lane=self._plan.lane
        )
        process = Process(f"shop-{number}")
        done: list[str] = []

        def place() -> None:
            client = self.client(process)
            for _ in range(CALLS_MAX):
                try:
                    job = client.enqueue(order)
                except EnqueueError:
                    self._kernel.sleep(CALL_AGAIN_SECONDS)
                    continue
                done.append(job.id)
                self.accepted[job.id] = order.positive_prompt
                self._kernel.note(f"ordered {job.id}")
                self._wake()
                self._perhaps_cancel(number, job)
                return

        def again() -> None:
            if not done and not process.is_alive:
                self.place_order(number, delay_seconds=1.0)

        self._kernel.start(process, place, delay_seconds=delay_seconds)
        self._unplaced.append(again)

    def client(self, process: Process) -> Client:
        """A caller's client, as this process has it."""
        settings = self._parts.settings
        return Client(
            settings,
            store=open_job_store(settings, patience=CALLER, client=self._parts.state.client(process, CALLER)),
            publisher=CeleryPublisher(settings, self._parts.broker.app),
        )

    def _perhaps_cancel(self, number: int, job: Job) -> None:
        for which, after_seconds, keep_result in self._plan.cancels:
            if which == number:
                self._kernel.sleep(after_seconds)
                self.cancel(job, keep_result=keep_result)

    def cancel(self, job: Job, *, keep_result: bool) -> None:
        """The job was cancelled by the activity that runs, and the answer is remembered."""
        try:
            answer = job.cancel(keep_result=keep_result)
        except SceneshiftError:
            self._kernel.counts["cancel failed"] += 1
        else:
            self.cancelled.append((job.id, str(answer)))
            self._kernel.counts[f"cancel {answer}"] += 1
        self._wake()
