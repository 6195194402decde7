"""A worker process in a simulation: the services of a real one, and the keepers that run beside its tasks.

A killed worker leaves what a killed process leaves: its file in the spool, its leases, and nothing else. The keepers do
not tick through empty hours: each takes its turn when there is something for it to do, as the world can see for free.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sceneshift.clock import elapsed
from sceneshift.guarded_http import GuardedClient
from sceneshift.jobs.gates import OUTAGE
from sceneshift.jobs.policy import Policy
from sceneshift.messages import CeleryPublisher
from sceneshift.settings import Settings
from sceneshift.store.connection import SERVICE, TIMEKEEPER
from sceneshift.store.opening import open_job_store
from storage.decoding import InProcessDecoder
from tasks.holds import Holds
from tasks.services import Services
from tasks.spill import Spill
from tasks.spool import Spool, SpooledKey
from tests.faults.bucket import Bucket
from tests.faults.kernel import Kernel, Process
from tests.faults.message_broker import Broker
from tests.faults.outside import Outside
from tests.faults.provider import SimulatedProviderSite
from tests.faults.state_server import StateServer
from workers.health import Heartbeat
from workers.leases import LeaseKeeper
from workers.outage_watch import OutageWatch
from workers.recovery_keeper import INTERVAL_SECONDS, RecoveryKeeper
from workers.recurring import Recurring
from workers.spool_keeper import SpoolKeeper
from workers.timekeeper import Timekeeper

OTHERS_SHARE = 0.3
"""How often a second timekeeper looks at the same moment as the first."""


class SimulatedSpool(Spool):
    """The real spool on a real disk; each line forced to disk is an effect."""

    def __init__(self, directory: Path, kernel: Kernel) -> None:
        super().__init__(directory)
        self._kernel = kernel

    def keep(self, key: SpooledKey) -> None:
        self._kernel.effect("spool keep", lambda: super(SimulatedSpool, self).keep(key))

    def settle(self, key: SpooledKey) -> None:
        self._kernel.effect("spool settle", lambda: super(SimulatedSpool, self).settle(key))

    @property
    def has_deferred(self) -> bool:
        return bool(self._deferred)

    def abandon(self) -> None:
        """The operating system lets go of a dead process's file, which stays as it is."""
        if self._file is not None:
            if self._open:
                self._file.close()
            else:
                # An empty file is of no use to whoever finds it; on a real disk it would be found and removed.
                self._file.remove()
            self._file = None


class _Silent(Heartbeat):
    """A sign of life that nobody looks for."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))

    def beat(self) -> None:
        pass


@dataclass(slots=True, eq=False)
class Surroundings:
    """All that processes of one world have in common."""

    kernel: Kernel
    settings: Settings
    state: StateServer
    broker: Broker
    provider: SimulatedProviderSite
    bucket: Bucket
    outside: Outside
    directory: Path


@dataclass(slots=True, eq=False)
class Worker:
    """One worker process and what it runs."""

    process: Process
    world: Surroundings
    on_look: Callable[[Process, float], None]
    """Told when this process has looked whether the store has lost anything, and when it began to."""
    services: Services = field(init=False)
    timekeeper: Timekeeper = field(init=False)
    _keepers: dict[str, Recurring] = field(init=False)
    _busy: set[str] = field(default_factory=set)
    _next: dict[str, float] = field(default_factory=dict)
    _looked_at: tuple[int, int] = (-1, -1)
    """How many submissions there had been, and losses of the store, when the recovery keeper looked last."""
    _noticed: tuple[int, int] = (-1, -1)
    _looks_at: float = 0.0

    def __post_init__(self) -> None:
        world, process, settings = self.world, self.process, self.world.settings
        store = open_job_store(settings, patience=SERVICE, client=world.state.client(process, SERVICE))
        self.services = Services(
            settings=settings,
            policy=Policy.from_settings(settings),
            store=store,
            provider=world.provider.client(process),
            objects=world.bucket.store(store.clock),
            fetcher=cast("GuardedClient", world.outside),
            decoder=InProcessDecoder(),
            publisher=CeleryPublisher(settings, world.broker.app),
            holds=Holds(),
            spool=SimulatedSpool(world.directory / "spool", world.kernel),
            spill=Spill(None, max_bytes=0),
            wall_clock=lambda: world.kernel.now + process.wall_skew_seconds,
        )
        timing = open_job_store(settings, patience=TIMEKEEPER, client=world.state.client(process, TIMEKEEPER))
        self.timekeeper = Timekeeper(
            store=timing,
            publisher=CeleryPublisher(settings, world.broker.app),
            queue_length=lambda queue: world.broker.waiting[queue],
            heartbeat=_Silent(),
            interval_seconds=settings.timekeeper_interval_seconds,
            poll_batch_max=1,
            monotonic=elapsed,
        )
        self._keepers = {
            "timekeeper": self.timekeeper,
            "leases": LeaseKeeper(timing.due, self.services.holds),
            "recovery": RecoveryKeeper(self.services),
            "spool": SpoolKeeper(self.services),
            "outage": OutageWatch(self.services),
        }
        self._next = dict.fromkeys(self._keepers, 0.0)
        # What dead processes left is looked at first, as a real worker does.
        self.turn("spool")

    @property
    def spool(self) -> SimulatedSpool:
        return cast("SimulatedSpool", self.services.spool)

    def turn(self, name: str) -> None:
        """This keeper takes its turn, unless it is still at the last one."""
        kernel = self.world.kernel
        if name in self._busy or kernel.now < self._next[name] or kernel.now < self.process.stopped_until:
            return
        self._busy.add(name)

        def take() -> None:
            began_at = kernel.now
            try:
                self._next[name] = kernel.now + cast("Any", self._keepers[name])._turn()
                if name == "recovery":
                    self.on_look(self.process, began_at)
            finally:
                self._busy.discard(name)

        kernel.start(self.process, take)

    @property
    def is_to_look(self) -> bool:
        """Whether the recovery keeper's next look, one of those that it takes every two seconds, is of any use."""
        world = self.world
        happened = (world.provider.submissions, world.state.losses)
        if happened != self._noticed:
            self._noticed = happened
            self._looks_at = world.kernel.now + world.kernel.random.uniform(0, INTERVAL_SECONDS)
        return happened != self._looked_at

    def look_around(self, inheritances: Callable[[], bool], *, is_first: bool) -> None:
        """Whatever keeper has something to do takes its turn; of all timekeepers the first one's, and some others'."""
        world = self.world
        keys, state, now = self.services.store.keys, world.state, world.kernel.now
        due_at = state.due_at(keys.due)
        if due_at is not None and due_at <= now and (is_first or world.kernel.random.random() < OTHERS_SHARE):
            self.turn("timekeeper")
        if self.services.holds.current():
            self.turn("leases")
        # Where no job waits, the questions change nothing.
        if state.field(keys.breaker, "reason") == OUTAGE and state.has_due_job(keys.due):
            self.turn("outage")
        if state.has(keys.recovery) or (self.is_to_look and now >= self._looks_at):
            self._looked_at = self._noticed
            self.turn("recovery")
        if self.spool.has_deferred or inheritances():
            self.turn("spool")
