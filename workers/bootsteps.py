"""What every worker process runs beside its tasks, hung into Celery's own start and stop."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import Celery, bootsteps
from kombu import Connection
from kombu.exceptions import ChannelError

from sceneshift.messages import CeleryPublisher
from sceneshift.queues import length_of
from sceneshift.settings import current_settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import open_job_store
from tasks.services import open_services, provide_services
from workers.health import Heartbeat, heartbeat_path
from workers.lane_keeper import LaneKeeper
from workers.leases import LeaseKeeper
from workers.outage_watch import OutageWatch
from workers.recovery_keeper import RecoveryKeeper
from workers.recurring import Recurring
from workers.spill_keeper import SpillKeeper
from workers.spool_keeper import SpoolKeeper
from workers.timekeeper import Timekeeper

log = logging.getLogger(__name__)


class TimekeeperStep(bootsteps.StartStopStep):
    """Gives the tasks their services, and runs what works beside them, on threads of their own.

    Leases are kept, and the job store is watched, for as long as the process lives: its last tasks need both when the
    worker was told to stop. The others run until then.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._leases: LeaseKeeper | None = None
        self._recovery: RecoveryKeeper | None = None
        self._timekeeper: Timekeeper | None = None
        self._until_stopped: list[Recurring] = []

    def start(self, worker: Any) -> None:
        settings = current_settings()
        services = open_services(settings, worker.app, threads=worker.concurrency)
        provide_services(services)
        self._leases = LeaseKeeper(open_job_store(settings, patience=TIMEKEEPER).due, services.holds)
        self._leases.start()
        self._timekeeper = Timekeeper(
            # Its own connection without patience: a store that is away must not hide that this thread is alive.
            store=open_job_store(settings, patience=TIMEKEEPER),
            publisher=CeleryPublisher(settings, worker.app),
            queue_length=QueueLengths(worker.app),
            heartbeat=Heartbeat(heartbeat_path(), is_well=lambda: not services.holds.hanging()),
            interval_seconds=settings.timekeeper_interval_seconds,
            poll_batch_max=settings.poll_batch_max,
        )
        self._recovery = RecoveryKeeper(services)
        self._recovery.start()
        self._until_stopped = [
            SpoolKeeper(services),
            SpillKeeper(services),
            OutageWatch(services),
            LaneKeeper(services),
            self._timekeeper,
        ]
        for each in self._until_stopped:
            each.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002  # Celery's signature
        # The timekeeper first: it brings new work.
        while self._until_stopped:
            self._until_stopped.pop().stop()

    def terminate(self, worker: Any) -> None:
        self.stop(worker)


class QueueLengths:
    """Asks the broker how many messages wait in a queue, on a connection of its own."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def __call__(self, queue: str) -> int:
        with self._lock:
            try:
                self._connection = self._connection or self._app.connection_for_read()
                return length_of(self._connection.default_channel, queue)
            except ChannelError:
                return 0
            except Exception:
                if self._connection is not None:
                    self._connection.collect(socket_timeout=1.0)
                self._connection = None
                raise
