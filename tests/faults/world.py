"""One simulated deployment from its first order until nothing moves any more, and the evidence that it leaves."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sceneshift.jobs.gates import OUTAGE
from sceneshift.jobs.ledger import day_of
from sceneshift.settings import Settings
from sceneshift.simulator import SimulatorConfig
from sceneshift.store.changes import DAY_SECONDS
from sceneshift.store.connection import CALLER
from sceneshift.store.merging import hold_without_proof
from sceneshift.store.opening import Store, open_job_store
from tasks.services import provide_services
from tests.checkers import Bound, Evidence, collect, problems_of
from tests.factories import NOW
from tests.faults import orders
from tests.faults.bucket import CANARY_KEY, Bucket, Roads
from tests.faults.kernel import Effect, Kernel, KillPoint, Process
from tests.faults.log_capture import logged
from tests.faults.memory import Memory
from tests.faults.message_broker import Broker, Carriage
from tests.faults.outside import Outside, Receiver, Weather
from tests.faults.plan import Plan, StoreFault
from tests.faults.provider import BASE_URL, SimulatedProviderSite, Wire
from tests.faults.shop import Shop
from tests.faults.state_server import Line, StateServer
from tests.faults.surroundings import simulated
from tests.faults.worker import Surroundings, Worker

APPCODE = "canary-appcode"
SECRET = "whsec_" + "dGVzdC1zZWNyZXQtZm9yLXVuaXQtdGVzdHMtb25seQ=="
TICK_SECONDS = 0.5
REST_SECONDS = 4 * 86_400.0
"""So long after the faults, nothing may move any more: neither a webhook nor a result that the provider keeps."""
PERSON_SECONDS = 90.0
"""After so long in recovery mode, a person has looked and ends it, as the how-to says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended; `effects`, `continued`, `counts` and `trace` are the kernel's."""

    seed: int | str
    problems: list[str]
    evidence: Evidence
    effects: list[str]
    continued: list[bool]
    trace_hash: str
    counts: Counter[str]
    trace: list[str]


@dataclass(slots=True, eq=False)
class World:
    """The parts of one run."""

    plan: Plan
    kernel: Kernel
    parts: Surroundings
    workers: list[Worker] = field(default_factory=list)
    shop: Shop = field(init=False)
    more_allowed: Counter[str] = field(default_factory=Counter)
    """Charges that a person has allowed, by job."""
    store: Store = field(init=False)
    memory: Memory = field(init=False)
    _dead_files: bool = False
    _ticking: bool = False
    _recovering_since: float | None = None
    _is_faulty: bool = True

    def __post_init__(self) -> None:
        self.shop = Shop(self.plan, self.parts, self.wake)
        self.store = open_job_store(self.parts.settings, patience=CALLER, client=self.parts.state.client(None, CALLER))
        self.memory = Memory(self.kernel, self.parts.state, self.store)

    # The course of a run.

    def live(self) -> None:
        """Orders are placed, faults happen and end, and everything comes to rest."""
        self.begin()
        for number in range(self.plan.jobs):
            self.shop.place_order(number, delay_seconds=self.kernel.random.uniform(0, self.plan.spread_seconds))
        self.kernel.run(until=NOW + self.plan.fault_seconds)
        self.come_to_rest()

    def begin(self) -> None:
        """The workers run, and what can go wrong does."""
        self.kernel.latency = self._latency
        self.kernel.on_kill = self._bury
        self.parts.provider.on_submission = self.memory.note_submission
        self._begin_faults()
        for _ in range(self.plan.workers):
            self._start_worker()

    def come_to_rest(self) -> None:
        """The faults have ended, and nothing moves any more."""
        self._is_faulty = False
        self._heal()
        self.shop.order_again()
        self.kernel.run(until=self.kernel.now + REST_SECONDS)

    def _begin_faults(self) -> None:
        plan, parts, start = self.plan, self.parts, self.kernel.now
        parts.state.has_wait = plan.has_wait
        parts.state.line = replace(plan.line)
        parts.broker.carriage = replace(plan.carriage)
        parts.provider.wire = replace(plan.wire)
        parts.bucket.roads = replace(plan.roads)
        parts.outside.weather = replace(plan.weather)
        for fault in plan.store_faults:
            if not fault.at_effect:
                self.kernel.at(start + fault.at_seconds, lambda fault=fault: self.strike_store(fault))  # type: ignore[misc]
        for who, at, seconds in plan.outages:
            self.kernel.at(start + at, lambda who=who, seconds=seconds: self.strike(who, seconds))  # type: ignore[misc]

    def _heal(self) -> None:
        """No fault any more; what was broken stays broken until the code mends it."""
        parts = self.parts
        parts.state.line = Line()
        parts.state.fake.connected = True
        parts.broker.carriage = Carriage(delay_seconds=0.001)
        parts.provider.wire = Wire()
        parts.provider.behave(*self.plan.lasting_rules)
        parts.bucket.roads = Roads()
        parts.outside.weather = Weather()
        self.wake()

    # Processes.

    def _start_worker(self) -> None:
        number = self.kernel.counts["worker started"] = self.kernel.counts["worker started"] + 1
        skew = self.kernel.random.uniform(-1, 1) * self.plan.skew_seconds
        process = Process(f"worker-{number}", wall_skew_seconds=skew)
        self.workers.append(Worker(process, self.parts, self.memory.looks.__setitem__))
        self.wake()

    def _bury(self, process: Process) -> None:
        """A process was killed; whoever starts processes starts another one."""
        for worker in [each for each in self.workers if each.process is process]:
            self.workers.remove(worker)
            worker.spool.abandon()
            self._dead_files = True
            self.kernel.at(self.kernel.now + self.plan.restart_seconds, self._start_worker)

    def worker_processes(self) -> list[Process]:
        """The workers that take messages."""
        return [each.process for each in self.workers if each.process.stopped_until <= self.kernel.now]

    def provide(self, process: Process) -> None:
        """The task that begins now works with this worker's services."""
        [worker] = [each for each in self.workers if each.process is process]
        provide_services(worker.services)

    def _latency(self, effect: Effect) -> float:
        """How long an effect takes each way; and what happens to its process meanwhile."""
        chance, plan = self.kernel.random, self.plan
        if self._is_faulty:
            self._strike_at(len(self.kernel.effects))
            if effect.process.name.startswith("worker") or effect.process.name.startswith("shop"):
                if chance.random() < plan.kill_share:
                    self.kernel.kill(effect.process)
                elif chance.random() < plan.stop_share:
                    self.kernel.counts["stopped"] += 1
                    seconds = chance.choice([1.0, 10.0, 45.0, 300.0])
                    effect.process.stopped_until = self.kernel.now + seconds
        if not plan.latency_seconds:
            return 0.0
        slow = 100.0 if effect.label.startswith("provider") else 1.0
        return chance.expovariate(1 / plan.latency_seconds) * min(slow, max(1.0, 1.0 / plan.latency_seconds))

    # The keepers' ticks.

    def wake(self) -> None:
        """The keepers look around again, if they do not do so anyway."""
        if not self._ticking:
            self._ticking = True
            self.kernel.at(self.kernel.now, self._tick)

    def _tick(self) -> None:
        self._look_after_recovery()
        workers = self.kernel.random.sample(self.workers, len(self.workers))
        for worker in workers:
            worker.look_around(self._has_inheritances, is_first=worker is workers[0])
        self._ticking = False
        if (when := self._next_tick()) is not None:
            self._ticking = True
            self.kernel.at(when, self._tick)

    def _next_tick(self) -> float | None:
        now, state = self.kernel.now, self.parts.state
        soon = now + TICK_SECONDS
        keys = self.store.keys
        moments = [when for when in (state.due_at(keys.due), self.kernel.next_at) if when is not None]
        moment = min(moments, default=math.inf)
        restless = (
            state.has(keys.recovery)
            or self._has_inheritances()
            or any(
                worker.spool.has_deferred or worker.services.holds.current() or worker.is_to_look
                for worker in self.workers
            )
            or (state.field(keys.breaker, "reason") == OUTAGE and state.has_due_job(keys.due))
        )
        if restless:
            return soon
        return None if math.isinf(moment) else max(soon, moment)

    def _has_inheritances(self) -> bool:
        if self._dead_files:
            own = sum(1 for worker in self.workers if worker.spool._file is not None)
            self._dead_files = len(list((self.parts.directory / "spool").glob("*.jsonl"))) > own
        return self._dead_files

    def _look_after_recovery(self) -> None:
        """A person ends recovery mode some time after everything was merged, where the bucket does not know."""
        if not self.parts.state.has(self.store.keys.recovery):
            self._recovering_since = None
        elif self._recovering_since is None:
            self._recovering_since = self.kernel.now
        elif self.kernel.now - self._recovering_since > PERSON_SECONDS and self.parts.state.fake.connected:
            self._end_recovery()

    def _end_recovery(self) -> None:
        """As `sceneshift recovery end --hold-queued` does it."""
        state = self.store.recovery.state()
        if state is not None:
            hold_without_proof(self.store, state.since)
            if self.store.recovery.end(by="operator", note="all workers have merged", begins=state.begins) == "ended":
                self.kernel.counts["recovery ended by a person"] += 1

    # What strikes.

    def _strike_at(self, number: int) -> None:
        for fault in self.plan.store_faults:
            if fault.at_effect == number:
                self.strike_store(fault)

    def strike_store(self, fault: StoreFault) -> None:
        state, kernel = self.parts.state, self.kernel
        kernel.counts[f"store {fault.kind}"] += 1
        kernel.note(f"store {fault.kind}")
        match fault.kind:
            case "restart" | "power cut" | "away":
                state.fake.connected = False
                state.drop_connections()
                lost = self._losses(fault, state.unsynced) if fault.kind == "power cut" else 0
                kernel.at(kernel.now + fault.seconds, lambda: self._come_back(lost, were_confirmed=not state.has_wait))
            case "stale copy":
                lost = self._losses(fault, state.written_since(kernel.now - fault.seconds))
                self._come_back(lost, were_confirmed=True)
            case "recovery":
                # As `sceneshift recovery begin` does it.
                with state.seen():
                    self.store.recovery.begin("a person restored a copy", by="operator")
                self.memory.note_recovery()
            case refusal:
                state.line.refusal = refusal
                kernel.at(kernel.now + fault.seconds, lambda: setattr(state.line, "refusal", ""))

    def _losses(self, fault: StoreFault, most: int) -> int:
        return most if fault.loses_all else self.kernel.random.randint(0, most)

    def _come_back(self, lost: int, *, were_confirmed: bool) -> None:
        """The job store answers again, and has forgotten its last writes, of which it may have confirmed some."""
        state = self.parts.state
        if lost:
            self.kernel.counts["writes lost"] += lost
            with self.memory.of_a_loss(were_confirmed=were_confirmed):
                state.lose(lost)
        state.fake.connected = True
        self.wake()

    def strike(self, who: str, seconds: float) -> None:
        parts, back_at = self.parts, self.kernel.now + seconds
        self.kernel.counts[f"{who} away"] += 1
        match who:
            case "provider":
                parts.provider.wire.is_away = True
                self.kernel.at(back_at, lambda: setattr(parts.provider.wire, "is_away", False))
            case "bucket":
                parts.bucket.roads.is_down = True
                self.kernel.at(back_at, lambda: setattr(parts.bucket.roads, "is_down", False))
            case "receiver":
                parts.outside.weather.receiver_is_down = True
                self.kernel.at(back_at, lambda: setattr(parts.outside.weather, "receiver_is_down", False))
            case "broker":
                parts.broker.flush()

    # The evidence.

    def evidence(self) -> Evidence:
        """What the run has left behind."""
        parts = self.parts
        seen: dict[str, Any] = {
            "webhooks": parts.outside.receiver.received,
            "forgettable": frozenset(self.memory.forgettable),
            "unremembered": {} if self.plan.settings.get("intent_log") == "storage" else self.memory.unremembered,
            "more_allowed": self.more_allowed,
            "cancelled": dict(self.shop.cancelled),
            "was_turned_back": self.kernel.counts["writes lost"] > 0,
            "captured": {
                "the log": "\n".join(self.kernel.log or ()).encode(),
                "the queues": b"\n".join(parts.broker.captured),
                "the webhooks": b"\n".join(parts.outside.receiver.bodies),
                "the bucket": b"\n".join(
                    stored.body if name.endswith(".json") else str(dict(stored.metadata)).encode()
                    for name, stored in parts.bucket.objects.items()
                    # The intent log holds orders as they are: a job store is restored from it.
                    if not name.startswith("intents/")
                ),
            },
            "canaries": {
                "provider_appcode": APPCODE,
                "webhook_secret": SECRET,
                "storage secret": CANARY_KEY,
                "source signature": "canary-source-signature",
                "prompt": orders.PROMPT_CANARY,
            },
        }
        policy = parts.settings.unknown_outcome
        return collect(
            self.store,
            parts.bucket.store(self.store.clock),
            bound=Bound.of_policy(policy),
            accepted=self.shop.accepted,
            submits=parts.provider.submits,
            days=[day_of(NOW + number * DAY_SECONDS) for number in range(-1, 5)],
            **seen,
        )

    def problems(self, evidence: Evidence) -> list[str]:
        """What breaks a promise in this run."""
        return [*problems_of(evidence), *self.memory.unproven]


def run(
    plan: Plan, seed: int | str, *, kills: tuple[KillPoint, ...] = (), keep_trace: bool = False, keep_log: bool = False
) -> Outcome:
    """What becomes of this plan; the same plan, seed and kills give the same run, to the last effect."""
    kernel = Kernel(seed, now=NOW, kills=kills)
    kernel.keep_trace = keep_trace
    kernel.log = [] if keep_log else None
    with opened(plan, kernel) as world:
        world.live()
        evidence = world.evidence()
        return Outcome(
            seed=seed,
            problems=world.problems(evidence),
            evidence=evidence,
            effects=kernel.effects,
            continued=kernel.continued,
            trace_hash=kernel.trace_hash,
            counts=kernel.counts,
            trace=kernel.trace,
        )


@contextmanager
def opened(plan: Plan, kernel: Kernel) -> Iterator[World]:
    """A new world in a directory of its own, which is gone with it."""
    directory = Path(tempfile.mkdtemp(prefix="sceneshift-simulated-", dir=_memory_directory()))
    settings = Settings(
        provider_url=BASE_URL + "/api/v1/bg-rep",
        provider_appcode=APPCODE,
        spool_directory=str(directory / "spool"),
        webhook_secret=SECRET,
        # An activity is one thread: what threads of their own would do is not the kernel's to order.
        copy_concurrency=1,
        **{"submit_rate": None, "query_rate": None, "preflight": False, **plan.settings},
    )
    config = SimulatorConfig(
        appcode=APPCODE, quality="draft", seed=kernel.random.getrandbits(31),
        **{"median_seconds": 8.0, **plan.provider, "scenarios": (*plan.rules, *plan.lasting_rules)},
    )  # fmt: skip
    with simulated(kernel), logged(kernel.log):
        provider = SimulatedProviderSite(kernel, config, settings)
        state = StateServer(kernel)
        broker = Broker(kernel, settings)
        parts = Surroundings(
            kernel=kernel,
            settings=settings,
            state=state,
            broker=broker,
            provider=provider,
            bucket=Bucket(kernel),
            outside=Outside(kernel, provider.transport, Receiver((SECRET,))),
            directory=directory,
        )
        world = World(plan, kernel, parts)
        broker.workers, broker.before_task = world.worker_processes, world.provide
        try:
            yield world
        finally:
            kernel.close()
            provider.close()
            shutil.rmtree(directory, ignore_errors=True)


def _memory_directory() -> str | None:
    """Where a forced write costs nothing, if there is such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
