"""A deployment in one thread: the real job store and tasks, fake ports, and messages that a test carries itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from sceneshift.clock import ManualClock
from sceneshift.guarded_http import GuardedClient
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobRecord
from sceneshift.messages import StepMessage, message_for_due
from sceneshift.settings import Settings
from sceneshift.store.deliveries import Delivery
from sceneshift.store.due import DueStep
from sceneshift.store.opening import Store
from storage.decoding import InProcessDecoder
from tasks.finalize import finalize
from tasks.holds import Holds
from tasks.notify import notify
from tasks.poll import poll
from tasks.services import Services, provide_services
from tasks.spill import Spill
from tasks.spool import Spool
from tasks.steps import Report
from tasks.submit import submit
from tests.factories import a_job, an_order
from tests.unit.tasks.ports import Bucket, FakeWeb, ScriptedProvider
from tests.unit.workers.recording_publisher import RecordingPublisher

TASKS: dict[str, Any] = {
    "sceneshift.submit": submit,
    "sceneshift.poll": poll,
    "sceneshift.finalize": finalize,
    "sceneshift.notify": notify,
}


class Workshop:
    """The ports and what a test does with them. `services` is what the tasks of this process work with."""

    def __init__(self, store: Store, settings: Settings, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.provider = ScriptedProvider()
        self.bucket = Bucket(clock)
        self.web = FakeWeb()
        self.publisher = RecordingPublisher()
        self.holds = Holds()
        self.services = Services(
            settings=settings,
            policy=Policy.from_settings(settings),
            store=store,
            provider=self.provider,
            objects=self.bucket,
            fetcher=cast("GuardedClient", self.web),
            decoder=InProcessDecoder(),
            publisher=self.publisher,
            holds=self.holds,
            spool=Spool(settings.spool_path),
            spill=Spill(settings.spill_path, max_bytes=settings.spill_max_bytes),
            wall_clock=clock.now,
        )
        provide_services(self.services)

    def use(self, **services: Any) -> None:
        """The tasks work with these services instead from now on; `settings` may be given as a change to them."""
        self.services = replace(self.services, **services)
        provide_services(self.services)

    def accept(self, **values: Any) -> JobRecord:
        """An accepted job with two images; an `order` or any field of the record may be given."""
        job = a_job(**{"order": an_order(num_output=2), "created_at": self.clock.now(), **values})
        self.store.jobs.accept(job, publish=True)
        return job

    def rendering(self, **values: Any) -> JobRecord:
        """A job that the provider has accepted."""
        job = self.accept(**values)
        self.wake(job.id)
        return self.job(job.id)

    def storing(self, **values: Any) -> JobRecord:
        """A job that the provider has finished."""
        job = self.rendering(**values)
        self.wake(job.id)
        return self.job(job.id)

    def job(self, job_id: str) -> JobRecord:
        """The job as it is stored."""
        job = self.store.jobs.load(job_id)
        assert job is not None
        return job

    def delivery(self, job_id: str) -> Delivery:
        """The job's latest webhook."""
        return self.store.deliveries.of_job(self.job(job_id))[-1]

    def wake(self, job_id: str) -> Report:
        """The job's current step is handed out and done."""
        job = self.job(job_id)
        return self.hand_out(job_id, job.step, job_id=job_id, parent_step=job.parent_step)

    def deliver(self, job_id: str) -> Report:
        """The job's latest webhook is attempted once."""
        delivery = self.delivery(job_id)
        return self.hand_out(delivery.id, delivery.step, job_id=job_id, parent_step="")

    def hand_out(self, subject_id: str, step: str, *, job_id: str, parent_step: str) -> Report:
        """This step is handed out as a timekeeper does it, and its message is run."""
        due = DueStep(
            subject_id=subject_id, step=step, sku="PERF-050", parent_step=parent_step, job_id=job_id, waiting=False
        )
        assert self.store.due.hand_out([due])
        return self.run(message_for_due(due))

    def run(self, message: StepMessage) -> Report:
        """The message's task has run, with nothing but the message's own arguments."""
        report: Report = TASKS[message.task](**message.kwargs)
        return report

    def due_at(self, subject_id: str) -> float | None:
        """When the job or delivery is due; None when it is not in the index."""
        score = self.store.client.zscore(self.store.keys.due, subject_id)
        return None if score is None else float(score)

    def due_in(self, subject_id: str) -> float:
        """The seconds until the job or delivery is due."""
        due_at = self.due_at(subject_id)
        assert due_at is not None
        return due_at - self.clock.now()

    def bring_back(self) -> list[Report]:
        """The leases of whoever was at work are over: what is due has been handed out again and done."""
        self.clock.advance(self.store.due.lease_seconds + 0.001)
        ready = self.store.due.hand_out(self.store.due.claim(100))
        return [self.run(message_for_due(step)) for step in ready]
