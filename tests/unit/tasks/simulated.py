"""A workshop whose provider is the simulator: the real client over an in-process transport, on the test's clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx

from sceneshift.fetch_errors import FetchStatusError
from sceneshift.guarded_http import Downloaded
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.simulator import SimulatorConfig, SimulatorTransport
from sceneshift.simulator.answers import Fault, FaultError
from sceneshift.simulator.config import API_PREFIX
from tests.factories import an_order
from tests.unit.simulator.support import mask, photo
from tests.unit.tasks.ports import FakeWeb
from tests.unit.tasks.workshop import Workshop

BASE_URL = "http://simulator.test"
SETTLED = frozenset(
    {JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED, JobState.NEEDS_ATTENTION}
)
STEPS_MAX = 400


def source(url: str) -> bytes:
    """The pictures of the orders that these tests give."""
    order = an_order()
    pictures = {order.image: photo(), order.mask: mask()}
    if url not in pictures:
        raise FaultError(Fault.IMAGE_UNREACHABLE)
    return pictures[url]


class SimulatorWeb(FakeWeb):
    """Fetches results from the simulator, and delivers webhooks nowhere."""

    def __init__(self, transport: SimulatorTransport) -> None:
        super().__init__()
        self._client = httpx.Client(transport=transport, trust_env=False)

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
        answer = self._client.get(url)
        if answer.status_code != httpx.codes.OK:
            raise FetchStatusError(f"status {answer.status_code}", status=answer.status_code)
        self.files[url] = answer.content
        return super().download(url, into, max_bytes=max_bytes, timeout_seconds=timeout_seconds)


class Shop:
    """A workshop, the ledger of the simulator that it works with, and a way to let time pass until a job is settled."""

    def __init__(self, work: Workshop, ledger: Callable[[], Mapping[str, Any]]) -> None:
        self.work = work
        self._ledger = ledger

    def order(self, **values: Any) -> JobRecord:
        """An accepted job of one image."""
        return self.work.accept(order=an_order(**{"num_output": 1, **values}))

    def step(self, job: JobRecord) -> JobRecord:
        """The job's due time has come, and its step is done."""
        due_at = self.work.due_at(job.id)
        assert due_at is not None
        self.work.clock.advance(max(0.0, due_at - self.work.clock.now()))
        self.work.wake(job.id)
        return self.work.job(job.id)

    def settle(self, job: JobRecord) -> JobRecord:
        """The job after all its steps, each at its time; it is final, or waits for a person."""
        return self.step_until(job, SETTLED)

    def step_until(self, job: JobRecord, states: Collection[JobState]) -> JobRecord:
        """The job after so many of its steps, each at its time, that it is in one of these states."""
        for _ in range(STEPS_MAX):
            if job.state in states:
                return job
            job = self.step(job)
        raise AssertionError(f"{job.id} is still {job.state} after {STEPS_MAX} steps")

    @property
    def charged(self) -> int:
        """What the provider has charged for, by its own account."""
        charged: int = self._ledger()["charged"]
        return charged

    @property
    def submits(self) -> int:
        """How often anything was submitted, by the provider's account."""
        return len(self._ledger()["submits"])


class SimulatedShop(Shop):
    """A shop whose simulator is in this process."""

    def __init__(self, work: Workshop, simulator: SimulatorTransport, provider: BgRepProvider) -> None:
        super().__init__(work, simulator.ledger.as_json)
        self.simulator = simulator
        settings = work.services.settings.model_copy(update={"preflight": False})
        work.use(provider=provider, fetcher=SimulatorWeb(simulator), settings=settings)


@contextmanager
def open_shop(work: Workshop, **behaviour: Any) -> Iterator[SimulatedShop]:
    """A shop whose provider behaves like this; nothing waits, and no socket is opened."""
    config = SimulatorConfig(**{"quality": "draft", **behaviour})
    with (
        SimulatorTransport(config, clock=work.clock.now, fetch=source) as simulator,
        provider_on(f"{BASE_URL}{API_PREFIX}", config, work, simulator) as provider,
    ):
        yield SimulatedShop(work, simulator, provider)


def provider_on(
    base_url: str, config: SimulatorConfig, work: Workshop, transport: SimulatorTransport | None = None
) -> BgRepProvider:
    """The real client of a simulator."""
    nonces = itertools.count(1)
    return BgRepProvider(
        base_url=base_url,
        appcode=config.appcode,
        connect_timeout_seconds=5,
        read_timeout_seconds=35,
        new_nonce=lambda: f"query-{next(nonces)}",
        transport=transport,
        now=work.clock.now,
    )
