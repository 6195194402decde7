"""A storm: the strikes of a schedule are carried out at their times, and what really happened is written down.

One thread does it all, for the servers are its children and would end with it.
"""

from __future__ import annotations

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import httpx
from redis.exceptions import RedisError

from sceneshift.jobs.states import JobState
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import Store, open_job_store
from tests.chaos.consumer import Consumer
from tests.chaos.deployment import ChaosDeployment
from tests.chaos.fleet import Worker
from tests.chaos.schedule import Fault, Strike

TICK_SECONDS = 0.05
SAMPLE_SECONDS = 1.0
WORD_SECONDS = 15.0
THAWED_SECONDS = 3.0
"""A worker that was frozen is left alone for so long: what it does now, with leases that it has lost, is the point."""
LATE_SECONDS = 60.0
"""What is under way when the storm's time is over is brought to its end within this time, or the run has failed."""

USUAL_SCENARIOS = (
    "submit-accept-then-drop=0.004",
    "submit-accept-then-timeout=0.002",
    "submit-accept-then-500=0.004",
    "submit-500=0.004",
    "submit-drop=0.002",
    "submit-error-throttled=0.004",
    "query-500=0.01",
    "query-drop=0.01",
    "query-timeout=0.002",
    "query-truncated=0.005",
    "query-error-throttled=0.002",
    "task-failed=0.01",
    "task-wavers=0.01",
    "download-missing=0.01",
    "download-expired=0.01",
    "download-cut=0.01",
    "download-slow=0.003",
)
"""What the provider does wrong all the while."""

OUTAGE_SCENARIOS = (
    "submit-gateway-vpc-d503bb=0.2",
    "submit-gateway-vpc-d503cb=0.5",
    "submit-drop",
    "query-500",
    "download-500",
)


@dataclass(slots=True, kw_only=True)
class Incident:
    """A fault as it happened: seconds since the storm began; `until` is None for one that only happens."""

    fault: Fault
    at: float
    until: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How many jobs were in each state at one moment, in seconds since the storm began."""

    at: float
    counts: dict[JobState, int]


@dataclass(slots=True, kw_only=True)
class _Ongoing:
    ends_at: float
    end: Callable[[], None]
    incident: Incident | None = None


@dataclass(slots=True)
class Storm:
    """The faults of one run, and what was seen of the jobs meanwhile. Times are seconds since it began."""

    deployment: ChaosDeployment
    consumer: Consumer
    random: Random
    say: Callable[[str], None]
    incidents: list[Incident] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    """How often the provider did which thing wrong."""
    spared: int = 0
    """Kills that found no worker to kill."""
    _began_at: float = field(default_factory=time.monotonic)
    _ongoing: list[_Ongoing] = field(default_factory=list)
    _rolling: deque[Worker] = field(default_factory=deque)
    _stopping: Worker | None = None
    _roll: Incident | None = None
    _store: Store | None = None
    _sampled_at: float = float("-inf")
    _said_at: float = float("-inf")

    @property
    def now(self) -> float:
        return time.monotonic() - self._began_at

    def rage(self, strikes: Sequence[Strike], seconds: float) -> None:
        """All strikes have struck, and the storm's time is over; what began has ended."""
        self._began_at = time.monotonic()
        self.deployment.direct_provider(USUAL_SCENARIOS)
        waiting = deque(strikes)
        delayed: list[Strike] = []
        while self.now < seconds or waiting or delayed or self._ongoing or self._roll:
            if self.now > seconds + LATE_SECONDS:
                raise TimeoutError(f"the storm did not end: {delayed}, {self._roll}")
            while waiting and waiting[0].at_seconds <= self.now:
                delayed.append(waiting.popleft())
            delayed = [strike for strike in delayed if not self._strike(strike)]
            self.tick()
        self._count_struck()
        self.deployment.direct_provider(())
        self.consumer.behaves = True

    def tick(self) -> None:
        """What was due has happened, and a moment has passed."""
        for each in [each for each in self._ongoing if each.ends_at <= self.now]:
            self._ongoing.remove(each)
            each.end()
            if each.incident:
                each.incident.until = self.now
        self.deployment.fleet.supervise()
        self._roll_on()
        self._look()
        time.sleep(TICK_SECONDS)

    def _strike(self, strike: Strike) -> bool:
        """Whether it has struck, or will not any more; False when it must be tried again."""
        begun = _BEGINNINGS[strike.fault](self, strike)
        if begun is None:
            self.spared += strike.fault is Fault.WORKER_KILLED
            return strike.fault is Fault.WORKER_KILLED
        detail, end = begun
        incident = Incident(fault=strike.fault, at=self.now, detail=detail)
        self.incidents.append(incident)
        if strike.fault is Fault.WORKERS_ROLLED:
            self._roll = incident
        elif end is not None:
            self._ongoing.append(_Ongoing(ends_at=self.now + strike.lasts_seconds, end=end, incident=incident))
        return True

    def kill_worker(self, _strike: Strike) -> _Begun:
        free = self.deployment.fleet.free()
        if not free:
            return None
        victim = self.random.choice(free)
        self.deployment.fleet.kill(victim)
        return victim.name, None

    def squeeze_worker(self, _strike: Strike) -> _Begun:
        free = self.deployment.fleet.free()
        if not free:
            return None
        # The youngest: an old one has what it needs, and goes on with that.
        victim = free[-1]
        try:
            limit_bytes = victim.squeeze()
        except OSError:
            return None
        victim.purpose = "squeezed"

        def end() -> None:
            if victim in self.deployment.fleet.workers:
                self.deployment.fleet.kill(victim)

        return f"{victim.name}, at {limit_bytes >> 20} MB of data", end

    def freeze_worker(self, _strike: Strike) -> _Begun:
        free = self.deployment.fleet.free()
        if not free:
            return None
        victim = self.random.choice(free)
        victim.purpose = "frozen"
        victim.signalled(signal.SIGSTOP)

        def release() -> None:
            victim.purpose = ""

        def end() -> None:
            victim.signalled(signal.SIGCONT)
            self._ongoing.append(_Ongoing(ends_at=self.now + THAWED_SECONDS, end=release))

        return victim.name, end

    def roll_workers(self, _strike: Strike) -> _Begun:
        free = self.deployment.fleet.free()
        if not free or self._roll:
            return None
        self._rolling.extend(free)
        return f"{len(free)} workers", None

    def kill_state(self, _strike: Strike) -> _Begun:
        self.deployment.state.kill()
        return "", self.deployment.state.start_again

    def kill_broker(self, _strike: Strike) -> _Begun:
        self.deployment.broker.kill()
        return "", self.deployment.broker.start_again

    def flush_broker(self, _strike: Strike) -> _Begun:
        try:
            self.deployment.broker.flush()
        except RedisError:
            return None
        return "", None

    def hang_provider(self, _strike: Strike) -> _Begun:
        self.deployment.simulator.send_signal(signal.SIGSTOP)
        return "", lambda: self.deployment.simulator.send_signal(signal.SIGCONT)

    def fail_provider(self, _strike: Strike) -> _Begun:
        def end() -> None:
            self._count_struck()
            self.deployment.direct_provider(USUAL_SCENARIOS)

        try:
            self._count_struck()
            self.deployment.direct_provider(OUTAGE_SCENARIOS)
        except httpx.HTTPError:
            return None
        return "", end

    def take_shop_down(self, _strike: Strike) -> _Begun:
        self.consumer.go_down()
        return "", self.consumer.come_up

    def _count_struck(self) -> None:
        """The provider's own counts begin anew with each change of its rules."""
        self.struck.update(self.deployment.provider("state")["struck"])

    def _roll_on(self) -> None:
        """One worker after the other is told to stop, once the one before it has."""
        fleet = self.deployment.fleet
        if self._roll is None or (self._stopping and self._stopping in fleet.workers):
            return
        self._stopping = None
        while self._rolling and self._stopping is None:
            worker = self._rolling.popleft()
            if worker in fleet.workers and worker.is_free:
                fleet.replace(worker)
                self._stopping = worker
        if self._stopping is None:
            self._roll.until = self.now
            self._roll = None

    def _look(self) -> None:
        """The jobs are counted by state, where the job store is there."""
        if self.now < self._sampled_at + SAMPLE_SECONDS:
            return
        self._sampled_at = self.now
        self._store = self._store or open_job_store(self.deployment.settings, patience=TIMEKEEPER)
        try:
            counts = self._store.jobs.counts()
        except RedisError:
            return
        self.samples.append(Sample(at=self.now, counts=counts))
        if self.now >= self._said_at + WORD_SECONDS:
            self._said_at = self.now
            words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
            self.say(f"{words or 'nothing ordered yet'}; {self.deployment.fleet.kills} workers killed")


_Begun = tuple[str, Callable[[], None] | None] | None
"""What to say of a fault that has begun, and how it ends; None when it cannot begin now."""

_BEGINNINGS: dict[Fault, Callable[[Storm, Strike], _Begun]] = {
    Fault.WORKER_KILLED: Storm.kill_worker,
    Fault.WORKER_OUT_OF_MEMORY: Storm.squeeze_worker,
    Fault.WORKER_FROZEN: Storm.freeze_worker,
    Fault.WORKERS_ROLLED: Storm.roll_workers,
    Fault.STATE_KILLED: Storm.kill_state,
    Fault.BROKER_KILLED: Storm.kill_broker,
    Fault.BROKER_FLUSHED: Storm.flush_broker,
    Fault.PROVIDER_HANGS: Storm.hang_provider,
    Fault.PROVIDER_FAILS: Storm.fail_provider,
    Fault.SHOP_DOWN: Storm.take_shop_down,
}
