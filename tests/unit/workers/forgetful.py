"""A worker process whose job store a test can turn back."""

from __future__ import annotations

from sceneshift.clock import ManualClock
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobRecord
from sceneshift.provider.protocol import Accepted
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import Store, open_job_store
from tests.unit.store.inspection import place
from tests.unit.tasks.workshop import Workshop
from workers.recovery_keeper import RecoveryKeeper


class Worker(Workshop):
    """A worker process with a job store that a test can turn back to how a job was accepted."""

    def __init__(self, store: Store, settings: Settings, clock: ManualClock) -> None:
        super().__init__(store, settings, clock)
        self.keeper = RecoveryKeeper(self.services)
        self.provider.on_submit = lambda: Accepted(result_key=f"{len(self.provider.nonces):032d}", request_id="REQ")

    def newcomer(self) -> Worker:
        """A worker that was started after all others had died, on the same job store and bucket."""
        worker = Worker(
            open_job_store(self.services.settings, patience=TIMEKEEPER, client=self.store.client, clock=self.clock),
            self.services.settings,
            self.clock,
        )
        worker.use(objects=self.bucket)
        worker.keeper = RecoveryKeeper(worker.services)
        return worker

    def use_log(self) -> None:
        """Intents go to the bucket too."""
        self.use(settings=self.services.settings.model_copy(update={"intent_log": "storage"}))
        self.keeper = RecoveryKeeper(self.services)

    def turn_back(self, *accepted: JobRecord) -> None:
        """The store has lost everything but these jobs as they were accepted, and its own identity."""
        generation = self.store.client.hgetall(self.store.keys.generation)
        self.store.client.flushall()
        self.store.client.hset(self.store.keys.generation, mapping=generation)  # type: ignore[arg-type]
        for job in accepted:
            place(self.store, job)

    def configure(self, **settings: object) -> None:
        """The worker was started with these settings."""
        changed = self.services.settings.model_copy(update=settings)
        self.store = open_job_store(changed, patience=TIMEKEEPER, client=self.store.client, clock=self.clock)
        self.use(settings=changed, policy=Policy.from_settings(changed), store=self.store)
        self.keeper = RecoveryKeeper(self.services)
        self.keeper.look()
