"""A provider that goes away and comes back, and workers that drive many jobs by their due times while it does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import httpx

from sceneshift.identifiers import step_kind
from sceneshift.jobs.record import JobRecord
from sceneshift.messages import message_for_due
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.simulator.config import API_PREFIX, SimulatorConfig
from sceneshift.store.due import DueStep
from tests.factories import a_job, an_order
from tests.unit.tasks.simulated import BASE_URL
from tests.unit.tasks.workshop import Workshop
from workers.outage_watch import OutageWatch

CLAIM_MAX = 1000


class Line(httpx.BaseTransport):
    """The way to the provider, which can be cut: `refused` and `503` cut it for all calls, `submit-503` for one."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self.fault = ""
        self.submits_lost = 0
        self.questions_lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_submit = request.url.path.endswith("/submit")
        if not self.fault or (self.fault == "submit-503" and not is_submit):
            return self._transport.handle_request(request)
        self.submits_lost += is_submit
        self.questions_lost += not is_submit
        if self.fault == "refused":
            raise httpx.ConnectError("connection refused", request=request)
        return httpx.Response(503, text="Service Unavailable")


def provider_over(line: Line, work: Workshop) -> BgRepProvider:
    """The real client at the end of this line."""
    numbers = itertools.count(1)
    return BgRepProvider(
        base_url=f"{BASE_URL}{API_PREFIX}",
        appcode=SimulatorConfig().appcode,
        connect_timeout_seconds=5,
        read_timeout_seconds=35,
        new_nonce=lambda: f"question-{next(numbers)}",
        transport=line,
        now=work.clock.now,
    )


class Fleet:
    """Workers with the watch of one of them: submissions are handed out as a timekeeper does it, and run at once.

    While the breaker is open they stay where they are, and one is handed out when it may probe. When it closes, all are
    due at once, which is the hardest case. Jobs at the provider stay there.
    """

    def __init__(self, work: Workshop, *, submit_rate: float) -> None:
        self._work = work
        self._apart_seconds = 1 / submit_rate
        self._watch = OutageWatch(work.services)
        self._watch_at = work.clock.now()

    def order(self, count: int) -> list[JobRecord]:
        """So many accepted jobs, all due now."""
        jobs = [a_job(order=an_order(num_output=1), created_at=self._work.clock.now()) for _ in range(count)]
        for job in jobs:
            self._work.store.jobs.accept(job, publish=False)
        return jobs

    def run(self, is_done: Callable[[], bool], *, within_seconds: float) -> float:
        """Everything was done at its time until this is so; returns the seconds that it took."""
        clock = self._work.clock
        began_at = clock.now()
        while not is_done():
            assert clock.now() - began_at < within_seconds, "it is not done in time"
            is_shut = self._is_shut()
            clock.advance(max(0.0, (self._watch_at if is_shut else self._next_at()) - clock.now()))
            if clock.now() >= self._watch_at:
                self._watch_at = clock.now() + self._watch._turn()
            if not self._is_shut():
                self._bring_back(self._work.store.due.claim(CLAIM_MAX))
        return clock.now() - began_at

    def run_for(self, seconds: float) -> None:
        """Everything was done at its time for so long."""
        until = self._work.clock.now() + seconds
        self.run(lambda: self._work.clock.now() >= until, within_seconds=2 * seconds)

    def _is_shut(self) -> bool:
        breaker = self._work.store.breaker.state()
        return breaker.is_open and not breaker.lets_one_through

    def _next_at(self) -> float:
        first: list[tuple[str, float]] = self._work.store.client.zrange(  # type: ignore[assignment]  # redis-py
            self._work.store.keys.due, 0, 0, withscores=True
        )
        return min([self._watch_at, *(score for _, score in first)])

    def _bring_back(self, claimed: Sequence[DueStep]) -> None:
        steps = [step for step in claimed if step_kind(step.step) == "submit"]
        for number, step in enumerate(steps):
            if self._is_shut():
                self._work.store.due.postpone(steps[number:], self._apart_seconds, apart_seconds=self._apart_seconds)
                return
            for ready in self._work.store.due.hand_out([step]):
                self._work.run(message_for_due(ready))
