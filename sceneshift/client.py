"""The calls of a shop's backend: order a background, find a job again, cancel it.

from sceneshift import enqueue_job

job = enqueue_job(
    image="https://shop.example/perfume.jpg",
    mask="https://shop.example/perfume-mask.png",
    positive_prompt="The perfume bottle is placed on soft pale yellow silk.",
    webhook_url="https://shop.example/webhooks/sceneshift",
    sku="PERF-50",
)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from sceneshift.errors import (
    EnqueueError,
    IdempotencyConflictError,
    JobNotFoundError,
    StoreUnavailableError,
    UnknownRecordError,
)
from sceneshift.handle import CancelOutcome, Job
from sceneshift.identifiers import is_job_id, new_job_id
from sceneshift.jobs.order import JobOrder, Lane, check_order
from sceneshift.jobs.states import JobState
from sceneshift.messages import FIRST_STEP, CeleryPublisher, Publisher, step_message
from sceneshift.pulling import LoggedEvent, pull_events

if TYPE_CHECKING:
    from pydantic import SecretStr

    from sceneshift.jobs.record import JobRecord
    from sceneshift.settings import Settings
    from sceneshift.store.opening import Store
    from sceneshift.webhook_bodies import Links


class Client:
    """A connection to one deployment; the module's functions use one per process."""

    def __init__(self, settings: Settings, *, store: Store | None = None, publisher: Publisher | None = None) -> None:
        self.settings = settings
        self._given_store = store
        self.publisher: Publisher = publisher or CeleryPublisher(settings)

    @cached_property
    def store(self) -> Store:
        from sceneshift.store.connection import CALLER  # noqa: PLC0415  # redis is loaded when it is needed
        from sceneshift.store.opening import open_job_store  # noqa: PLC0415

        return self._given_store or open_job_store(self.settings, patience=CALLER)

    @cached_property
    def links(self) -> Links | None:
        """What makes links to results, where this process has the service beside it; None elsewhere."""
        from sceneshift.service import result_links  # noqa: PLC0415  # settings take long to load

        return result_links(self.settings)

    def enqueue(self, order: JobOrder) -> Job:
        """The order is stored as a job, or its idempotency key's job is found again."""
        from sceneshift.store.connection import translating  # noqa: PLC0415

        publish = order.lane == "interactive"
        with translating(EnqueueError, "nothing was stored; it is safe to call again with the same idempotency_key"):
            job = self._new_record(order)
        with translating(EnqueueError, _after_lost_answer(order), job_id=job.id):
            accepted_id = self._accept(job, publish=publish)
            if accepted_id != job.id:
                return self._existing(accepted_id, order)
        if publish:
            self.publisher.publish(
                [step_message(subject_id=job.id, step=job.step, sku=job.sku or "", parent_step="", job_id=job.id)]
            )
        return Job(id=job.id, idempotency_key=order.idempotency_key, created=True, client=self)

    def _accept(self, job: JobRecord, *, publish: bool) -> str:
        from sceneshift.store.jobs import AcceptanceNotOnDiskError  # noqa: PLC0415

        try:
            return self.store.jobs.accept(job, publish=publish)
        except AcceptanceNotOnDiskError:
            raise EnqueueError(
                f"the job store has the order, and its disk has not confirmed it within "
                f"{self.settings.disk_wait_seconds:g} s; {_after_lost_answer(job.order)}",
                job_id=job.id,
            ) from None

    def _new_record(self, order: JobOrder) -> JobRecord:
        from sceneshift.jobs.record import JobRecord  # noqa: PLC0415

        now = self.store.clock.now()
        return JobRecord(
            id=new_job_id(now),
            state=JobState.QUEUED,
            step=FIRST_STEP,
            order=order,
            created_at=now,
            deadline_at=now + (order.deadline_seconds or self.settings.job_deadline_seconds),
        )

    def _existing(self, job_id: str, order: JobOrder) -> Job:
        existing = None
        # A job that only a later release can read is there all the same, and its key is not ordered twice.
        with suppress(UnknownRecordError):
            existing = self.store.jobs.load(job_id)
        if existing is not None and (changed := existing.order.differing_fields(order)):
            raise IdempotencyConflictError(
                f"the idempotency key {order.idempotency_key!r} belongs to a job that differs in {', '.join(changed)}; "
                f"use another key for another image",
                existing_job_id=job_id,
                changed=changed,
            )
        return Job(id=job_id, idempotency_key=order.idempotency_key, created=False, client=self)

    def load(self, job_id: str) -> JobRecord:
        """The job's record.

        Raises:
            JobNotFoundError: there is none.
            UnknownRecordError: a later release wrote it.
            StoreUnavailableError: the job store could not be reached.
        """
        from sceneshift.store.connection import translating  # noqa: PLC0415

        if is_job_id(job_id):
            with translating(StoreUnavailableError, "the job itself is not affected", job_id=job_id):
                record = self.store.jobs.load(job_id)
            if record is not None:
                return record
        raise JobNotFoundError(
            f"no job {str(job_id)[:64]!r}: the id is wrong, it is of another deployment, or its retention has ended"
        )

    def events(self, *, after: str | None = None, limit: int = 100) -> list[LoggedEvent]:
        """What `sceneshift.events` says."""
        from sceneshift.store.connection import translating  # noqa: PLC0415

        with translating(StoreUnavailableError, "try again from the same cursor"):
            return pull_events(
                self.store,
                after,
                limit=limit,
                links=self.links,
                link_lifetime_seconds=self.settings.url_lifetime_seconds,
            )


def _after_lost_answer(order: JobOrder) -> str:
    if order.idempotency_key:
        return "it is safe to call again with the same idempotency_key"
    return (
        "whether the order was stored is not known, and without an idempotency_key calling again may order it twice: "
        "look for this job first. With a key, calling again with the same idempotency_key is safe"
    )


_lock = threading.Lock()
_client: Client | None = None


def current_client() -> Client:
    """This process's client, made from the environment on first use."""
    from sceneshift.settings import current_settings  # noqa: PLC0415  # takes longer to load than all the rest

    global _client  # noqa: PLW0603  # one connection per process is the point
    with _lock:
        if _client is None:
            _client = Client(current_settings())
        return _client


def enqueue_job(
    *,
    image: str,
    mask: str,
    positive_prompt: str,
    negative_prompt: str | None = None,
    guidance_scale: float | None = None,
    strength: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    num_output: int | None = None,
    webhook_url: str | None = None,
    idempotency_key: str | None = None,
    sku: str | None = None,
    metadata: Mapping[str, str] | None = None,
    lane: Lane = "interactive",
    deadline: float | timedelta | None = None,
) -> Job:
    """Order a new background for a product photo. When this returns, the job is stored and will not be lost.

    Args:
        image: the product photo, an `https://` URL that the provider can fetch or `s3://bucket/key`; 400 to 4096 pixels
            a side.
        mask: what is product and what is background; of the same size.
        positive_prompt: the new background, at most 500 characters.
        negative_prompt: what must not appear; `NSFW` when None.
        guidance_scale: how closely the prompt is followed, above 0; 7.5 when None.
        strength: how much is changed, above 0 and at most 1; 0.5 when None.
        seed: 0 to 2147483647 for a repeatable image; None leaves the choice to the provider.
        steps: 15 to 50; 50 when None.
        num_output: how many images, 1 to 4; 1 when None. Each costs.
        webhook_url: where to tell the end of the job; the deployment's own address when None.
        idempotency_key: the same key again returns the same job instead of ordering a second one.
        sku: your product's name, shown in Flower and sent back in webhooks; at most 64 characters.
        metadata: up to 16 short strings that come back in webhooks and are never sent to the provider.
        lane: `bulk` jobs wait while `interactive` ones are in the queue.
        deadline: seconds (or a timedelta) after which the job is reported as overdue. It is paid, so it goes on.

    Raises:
        InvalidRequestError: a value is out of range; `param` names it, and nothing was stored.
        IdempotencyConflictError: the key belongs to a job that would generate something else.
        EnqueueError: the job store could not be reached; calling again with the same key is safe.
    """
    client = current_client()
    order = check_order(
        allow_hosts=client.settings.allow_hosts,
        image=image,
        mask=mask,
        positive_prompt=positive_prompt,
        negative_prompt=negative_prompt,
        guidance_scale=guidance_scale,
        strength=strength,
        seed=seed,
        steps=steps,
        num_output=num_output,
        webhook_url=webhook_url or _revealed(client.settings.webhook_url),
        idempotency_key=idempotency_key,
        sku=sku,
        metadata=metadata,
        lane=lane,
        deadline=deadline,
    )
    return client.enqueue(order)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def get_job(job_id: str) -> Job:
    """The handle of a job, in any process that has the same settings.

    Raises:
        JobNotFoundError: there is no such job, or its retention has ended.
        UnknownRecordError: a later release wrote it, in a way that this one does not understand.
        StoreUnavailableError: the job store could not be reached.
    """
    client = current_client()
    record = client.load(job_id)
    return Job(id=record.id, idempotency_key=record.order.idempotency_key, created=False, client=client)


def cancel_job(job_id: str, *, keep_result: bool = False) -> CancelOutcome:
    """Cancel a job and learn whether it cost money; see `Job.cancel`.

    Raises:
        JobNotFoundError: there is no such job.
        UnknownRecordError: a later release wrote it; nothing was changed.
        StoreUnavailableError: the job store could not be reached.
    """
    return get_job(job_id).cancel(keep_result=keep_result)


def events(*, after: str | None = None, limit: int = 100) -> list[LoggedEvent]:
    """The events of all jobs after this cursor, the oldest first: what webhooks tell, for those who would rather ask.

    Each has a cursor. Store the last one together with what you made of the events, and give it next time; an empty
    list says that nothing has happened since. Events are kept for as long as finished jobs are.

    Args:
        after: the cursor of the last event that you have dealt with; None begins with the oldest that is still there.
        limit: at most so many, 1 to 1000.

    Raises:
        InvalidRequestError: this is no cursor, or the limit is out of range.
        CursorExpiredError: events that followed the cursor are gone; `oldest_cursor` is where to go on.
        UnknownRecordError: a later release wrote the next event or its job, in a way that this one does not understand.
        StoreUnavailableError: the job store could not be reached.
    """
    return current_client().events(after=after, limit=limit)
