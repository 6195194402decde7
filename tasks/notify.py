"""`sceneshift.notify`: one attempt at one webhook, signed now, with links that work from now on.

Run twice: the receiver gets the same `webhook-id` again, as at-least-once delivery allows.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from celery import shared_task

from sceneshift.errors import SceneshiftError, UnknownRecordError
from sceneshift.fetch_errors import FetchBlockedError
from sceneshift.guarded_http import retry_after_seconds
from sceneshift.jobs.decisions import is_poisoned
from sceneshift.jobs.delivery_schedule import AttemptOutcome, judge
from sceneshift.jobs.record import JobRecord
from sceneshift.store.deliveries import Delivery, Settlement, delivery_of
from sceneshift.store.due import Hold
from sceneshift.webhooks import sign
from tasks.services import Services, current_services
from tasks.steps import Report, note_skipped
from tasks.unknown_records import pass_over, put_back
from tasks.webhook_payloads import webhook_body

log = logging.getLogger(__name__)


@shared_task(name="sceneshift.notify")
def notify(*, job_id: str, delivery_id: str, step: str, sku: str = "", **later: Any) -> dict[str, Any]:  # noqa: ARG001  # for Flower's search, and of a later release
    """One attempt at one webhook."""
    return notify_endpoint(current_services(), delivery_id, step)


def notify_endpoint(services: Services, delivery_id: str, step: str) -> Report:
    """The attempt was made and recorded: delivered, due again, or given up."""
    taken = services.store.due.begin(delivery_id, step, counted_as="sceneshift.notify")
    if taken.status == "unknown":
        pass_over(delivery_id, step, taken)
    if not taken.is_taken:
        note_skipped(services, delivery_id, step, taken)
        return {"skipped": taken.status}
    hold = Hold(subject_id=delivery_id, step=step, fence=int(taken.fields["fence"]))
    with services.holds.keeping(hold):
        try:
            delivery = delivery_of(taken.fields)
            job = services.store.jobs.load(delivery.job_id)
        except UnknownRecordError as error:
            put_back(services, hold, error)
            return {"skipped": "unknown"}
        return _settle(services, delivery, _outcome(services, delivery, job, starts=taken.starts))


def _outcome(services: Services, delivery: Delivery, job: JobRecord | None, *, starts: int) -> AttemptOutcome:
    if job is None or not job.order.webhook_url:
        return AttemptOutcome(summary="job_expired", final=True)
    if is_poisoned(starts):
        # An attempt like any other: the schedule goes on, and the next one may find a healthier worker.
        return AttemptOutcome(summary="poison")
    return _attempt(services, delivery, job, job.order.webhook_url)


def _attempt(services: Services, delivery: Delivery, job: JobRecord, url: str) -> AttemptOutcome:
    settings = services.settings
    secrets = [secret.get_secret_value() for secret in settings.webhook_secret]
    if not secrets:
        return AttemptOutcome(summary="no_webhook_secret")
    now = services.store.clock.now()
    try:
        body = webhook_body(delivery, job, services.objects, link_lifetime_seconds=settings.url_lifetime_seconds)
        headers = {
            "content-type": "application/json",
            "sceneshift-attempt": str(delivery.attempts + 1),
            **sign(body, webhook_id=delivery.event_id, timestamp=int(now), secrets=secrets),
        }
        answer = services.fetcher.post(url, body, headers, timeout_seconds=settings.webhook_timeout_seconds)
    except FetchBlockedError as error:
        return AttemptOutcome(summary=error.code, final=True)
    except SceneshiftError as error:
        log.warning("webhook.not_sent", extra={"delivery_id": delivery.id, "error": str(error)})
        return AttemptOutcome(summary=error.code)
    return AttemptOutcome(
        summary=str(answer.status),
        status=answer.status,
        retry_after_seconds=retry_after_seconds(answer.headers),
    )


def _settle(services: Services, delivery: Delivery, outcome: AttemptOutcome) -> Report:
    verdict = judge(delivery.id, delivery.attempts, outcome)
    settlement = Settlement(status=verdict.status, last_status=outcome.summary)
    if verdict.pause_seconds is not None:
        settlement = replace(settlement, due_at=services.store.clock.now() + verdict.pause_seconds)
    applied = services.store.deliveries.settle(delivery, settlement)
    level = logging.INFO if verdict.status == "delivered" else logging.WARNING
    log.log(
        level,
        "webhook.attempted",
        extra={
            "delivery_id": delivery.id,
            "job_id": delivery.job_id,
            "attempt": delivery.attempts + 1,
            "outcome": outcome.summary,
            "status": verdict.status,
        },
    )
    return {"status": verdict.status, "outcome": outcome.summary} if applied else {"skipped": "stale"}
