"""The Celery messages that wake the steps: their names, ids and routes, for producers and workers alike.

A message carries ids, the sku and the step, never what was ordered: Celery copies arguments into headers, events and
Flower. Losing a message costs seconds, because the due index outlives it (DESIGN §4).
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sceneshift import identifiers

if TYPE_CHECKING:
    from celery import Celery

    from sceneshift.jobs.change import Change, DeliveryDraft
    from sceneshift.settings import Settings
    from sceneshift.store.due import DueStep

log = logging.getLogger(__name__)

TASKS = ("sceneshift.submit", "sceneshift.poll", "sceneshift.finalize", "sceneshift.notify")
"""The task names, which are the queue names too. They are a contract with messages that are on their way.

So is what they take: `job_id` and `step` (`delivery_id` for a webhook), or `job_ids` (`delivery_ids`) and `steps`.
A later release may add arguments that older ones may ignore, which they do; for others it takes a new name, and so a
new queue.
"""

FIRST_STEP = identifiers.step_name("submit", 1)
FIRST_TRY = identifiers.step_name("notify", 1)

PRODUCER_TIMEOUT_SECONDS = 1.5
"""A caller's process waits no longer for a broker; it must be more than the second that a consumer's read may take."""

QUIET_AFTER_FAILURE_SECONDS = 5.0
"""A caller that found the broker away does not try again so soon: the timekeepers publish for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMessage:
    """One task message; its ids make a job's tasks readable as one chain in Flower."""

    task: str
    task_id: str
    root_id: str
    parent_id: str | None
    kwargs: dict[str, Any]


def step_message(*, subject_id: str, step: str, sku: str, parent_step: str, job_id: str) -> StepMessage:
    """The message that wakes this step of a job or a delivery; one that is about no job has an empty `job_id`."""
    is_delivery = subject_id != job_id
    kwargs: dict[str, Any] = {"job_id": job_id, "sku": sku, "step": step}
    if is_delivery:
        kwargs["delivery_id"] = subject_id
    parent_subject = subject_id if identifiers.step_kind(parent_step) == "notify" else job_id
    return StepMessage(
        task=f"sceneshift.{identifiers.step_kind(step)}",
        task_id=identifiers.task_id(subject_id, step),
        root_id=identifiers.task_id(job_id, FIRST_STEP) if job_id else identifiers.task_id(subject_id, FIRST_TRY),
        parent_id=identifiers.task_id(parent_subject, parent_step) if parent_step else None,
        kwargs=kwargs,
    )


def message_for_due(step: DueStep) -> StepMessage:
    """The message of a step that a timekeeper has claimed."""
    return step_message(
        subject_id=step.subject_id, step=step.step, sku=step.sku, parent_step=step.parent_step, job_id=step.job_id
    )


def messages_for_change(change: Change) -> list[StepMessage]:
    """What a stored change makes possible at once: the next step, and the webhooks of its events."""
    job = change.after
    messages = [_notify_message(draft, change) for draft in change.deliveries]
    if change.publish:
        messages.append(
            step_message(
                subject_id=job.id, step=job.step, sku=job.sku or "", parent_step=job.parent_step, job_id=job.id
            )
        )
    return messages


def _notify_message(draft: DeliveryDraft, change: Change) -> StepMessage:
    job = change.after
    return step_message(
        subject_id=draft.id,
        step=FIRST_TRY,
        sku=job.sku or "",
        parent_step=job.parent_step,
        job_id=job.id,
    )


def celery_settings(settings: Settings, *, timeout_seconds: float) -> dict[str, Any]:
    """What producers and workers must agree on; `timeout_seconds` is how long a silent broker is waited for."""
    url = settings.effective_broker_url
    return {
        "broker_url": url,
        "broker_connection_timeout": 2.0,
        **(
            _redis_options(settings, timeout_seconds)
            if url.startswith(("redis://", "rediss://", "redis+socket://"))
            else {}
        ),
        # Without this, kombu would not check the certificate of a Redis server.
        **({"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}} if url.startswith("rediss://") else {}),
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_send_sent_event": True,
        "task_routes": {name: {"queue": name} for name in TASKS},
        "task_default_queue": TASKS[0],
        "task_publish_retry": False,
        "enable_utc": True,
    }


def _redis_options(settings: Settings, timeout_seconds: float) -> dict[str, Any]:
    return {
        "broker_transport_options": {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": 2.0,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # No message waits for its time in the broker, so a dead worker's messages may come back soon.
            "visibility_timeout": 600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_restore_limit": 500,
            "global_keyprefix": f"{settings.key_prefix}:celery:",
        }
    }


class Publisher(Protocol):
    """Sends wake-ups."""

    def publish(self, messages: Sequence[StepMessage]) -> bool:
        """The messages are on their way, or False: then the due index brings the steps back. Never raises."""
        ...


class CeleryPublisher:
    """Publishes through a Celery app; without one it makes its own, for a process that only enqueues."""

    def __init__(self, settings: Settings, app: Celery | None = None) -> None:
        self._settings = settings
        self._app = app
        self._quiet_until = 0.0

    def publish(self, messages: Sequence[StepMessage]) -> bool:
        if not messages or time.monotonic() < self._quiet_until:
            return not messages
        app = self._app = self._app or producer_app(self._settings)
        try:
            with app.producer_or_acquire() as producer:
                for message in messages:
                    app.send_task(
                        message.task,
                        kwargs=message.kwargs,
                        task_id=message.task_id,
                        root_id=message.root_id,
                        parent_id=message.parent_id,
                        producer=producer,
                        retry=False,
                    )
        except Exception as error:  # noqa: BLE001  # whatever a broker's client raises: the due index is the net
            self._quiet_until = time.monotonic() + QUIET_AFTER_FAILURE_SECONDS
            log.warning(
                "message.not_published",
                extra={"task_id": messages[0].task_id, "count": len(messages), "error": type(error).__name__},
            )
            return False
        return True


def producer_app(settings: Settings) -> Celery:
    """A Celery app that can only publish; it does not become the process's current app, which is the shop's own."""
    # A tenth of a second that reading jobs does not need.
    from sceneshift.celery_app import SceneshiftCelery  # noqa: PLC0415

    app = SceneshiftCelery("sceneshift", set_as_current=False)
    app.conf.update(celery_settings(settings, timeout_seconds=PRODUCER_TIMEOUT_SECONDS))
    return app
