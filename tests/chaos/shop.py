"""The shop of a storm: callers who order and cancel all the while, as a web shop does, and repeat what went wrong.

A call that raised `EnqueueError` is made again with the same idempotency key, until it returns. What cancelling a job
cost, as its caller was told, is remembered.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from sceneshift.client import Client
from sceneshift.errors import EnqueueError, StoreUnavailableError
from sceneshift.handle import Job
from tests.chaos.deployment import ChaosDeployment, prompt_of

Answer = TypeVar("Answer")

CALLERS = 3
CALL_AGAIN_SECONDS = 0.5
BULK_SHARE = 0.2
CANCEL_SHARE = 0.08
CANCEL_WITHIN_SECONDS = 6.0
"""Some are cancelled before they are sent, some while the provider is at them, and some too late."""
KEEP_SHARE = 0.5
"""Of those who cancel, so many want what they have paid for."""
PATIENCE_SECONDS = 120.0
"""A call that has not returned for so long after the storm is given up, and is a problem."""


@dataclass(slots=True, kw_only=True)
class Books:
    """What the callers know. `orders` are the prompts by job id, `cancelled` the answers by job id."""

    orders: dict[str, str] = field(default_factory=dict)
    cancelled: dict[str, str] = field(default_factory=dict)
    calls_repeated: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Shop:
    """Callers in threads of their own. Each order is made once, at its own time, by whoever is free."""

    def __init__(self, deployment: ChaosDeployment, *, webhook_url: str, rate: float, seed: int) -> None:
        self.books = Books()
        self._deployment = deployment
        self._webhook_url = webhook_url
        self._pause_seconds = 1 / rate
        self._seed = seed
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._gone = threading.Event()
        self._numbers = 0
        self._began_at = 0.0
        self._threads = [threading.Thread(target=self._call, name=f"caller-{number}") for number in range(CALLERS)]

    def open(self) -> None:
        """Orders come in, at the rate."""
        self._began_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No order is begun any more; what was begun is brought to its end, or given up after a while."""
        self._closing.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.leave()

    def leave(self) -> None:
        """No caller is there any more, whatever they were at."""
        self._closing.set()
        self._gone.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _call(self) -> None:
        client = self._deployment.client()
        wishes: list[tuple[float, str, bool]] = []
        while not self._closing.is_set():
            number, wait_seconds = self._next()
            if self._closing.wait(wait_seconds):
                break
            self._order(client, number, wishes)
            while wishes and wishes[0][0] <= time.monotonic():
                self._cancel(client, *heapq.heappop(wishes)[1:])
        while wishes:
            self._cancel(client, *heapq.heappop(wishes)[1:])

    def _next(self) -> tuple[int, float]:
        """The next order's number, and the seconds until its time."""
        with self._lock:
            self._numbers += 1
            number = self._numbers
        return number, max(0.0, self._began_at + number * self._pause_seconds - time.monotonic())

    def _order(self, client: Client, number: int, wishes: list[tuple[float, str, bool]]) -> None:
        lane, cancel_in, keep = self._drawn(number)
        about: dict[str, Any] = {"lane": lane, "webhook_url": self._webhook_url, "sku": f"SKU-{number:06d}"}
        job_id = self._insist(f"order {number}", lambda: self._deployment.enqueue(client, number, **about))
        if job_id is None:
            return
        self.books.orders[job_id] = prompt_of(number)
        if cancel_in is not None:
            heapq.heappush(wishes, (time.monotonic() + cancel_in, job_id, keep))

    def _cancel(self, client: Client, job_id: str, keep: bool) -> None:
        job = Job(id=job_id, created=True, client=client)
        answer = self._insist(f"cancelling {job_id}", lambda: job.cancel(keep_result=keep))
        if answer is not None:
            self.books.cancelled[job_id] = str(answer)

    def _insist(self, what: str, call: Callable[[], Answer]) -> Answer | None:
        """What the call returned in the end; None when it never did, which is a problem."""
        while True:
            try:
                return call()
            except (EnqueueError, StoreUnavailableError) as error:
                self.books.calls_repeated[type(error).__name__] += 1
            if self._gone.wait(CALL_AGAIN_SECONDS):
                self.books.problems.append(f"{what}: the call never succeeded")
                return None

    def _drawn(self, number: int) -> tuple[str, float | None, bool]:
        """The order's lane, when it is to be cancelled if at all, and whether its result is to be kept then."""
        random = Random(f"{self._seed} order {number}")
        lane = "bulk" if random.random() < BULK_SHARE else "interactive"
        if random.random() >= CANCEL_SHARE:
            return lane, None, False
        return lane, random.uniform(0.0, CANCEL_WITHIN_SECONDS), random.random() < KEEP_SHARE
