"""`sceneshift.notify`: one attempt at one webhook, signed now, with links that work from now on.

Run twice: the receiver gets the same `webhook-id` again, as at-least-once delivery allows. An endpoint that is slow,
failing or catching up has a lane of its own, in which its webhooks wait without a worker.

With much due, one message carries many webhooks, because a message costs more than an attempt does.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from celery import shared_task

from sceneshift.errors import SceneshiftError, UnknownRecordError
from sceneshift.fetch_errors import FetchBlockedError, FetchError
from sceneshift.guarded_http import Answer, retry_after_seconds
from sceneshift.jobs.attempts import Attempt, excerpt
from sceneshift.jobs.decisions import is_poisoned
from sceneshift.jobs.delivery_schedule import OVERLOADED, AttemptOutcome, Directive, judge
from sceneshift.jobs.lanes import bare_url
from sceneshift.jobs.record import JobRecord
from sceneshift.store.deliveries import Delivery, Settlement, delivery_of
from sceneshift.store.due import Hold
from sceneshift.store.lanes import Entry, LaneOutcome
from sceneshift.webhook_bodies import webhook_body
from sceneshift.webhooks import event_payload, sign
from tasks.destinations import Destination, destination_of
from tasks.endpoint_warnings import announce
from tasks.services import Services, current_services
from tasks.steps import Report, note_skipped
from tasks.unknown_records import pass_over, put_back

log = logging.getLogger(__name__)

HINTS = {
    401: "the endpoint wants credentials: does its URL have a token, and is the route exempt from the shop's log-in?",
    403: "the endpoint refuses us: is a firewall or a CSRF check in front of the route?",
    404: "there is no such route: was the shop's URL changed?",
}
"""What operators are told about answers that mostly have one cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One attempt that was made: when it began, how long it took, what came of it, and what was answered."""

    began_at: float
    outcome: AttemptOutcome
    latency_seconds: float = 0.0
    answer: bytes = b""


@shared_task(name="sceneshift.notify")
def notify(
    *,
    job_id: str = "",  # noqa: ARG001  # for Flower's search
    delivery_id: str = "",
    step: str = "",
    sku: str = "",  # noqa: ARG001  # for Flower's search
    delivery_ids: list[str] | None = None,
    steps: list[str] | None = None,
    **later: Any,  # noqa: ARG001  # what a later release adds
) -> dict[str, Any]:
    """One attempt at one webhook, or one each at many."""
    if delivery_id and step:
        return notify_endpoint(current_services(), delivery_id, step)
    return notify_endpoints(current_services(), list(zip(delivery_ids or [], steps or [], strict=True)))


def notify_endpoints(services: Services, pairs: list[tuple[str, str]]) -> Report:
    """One attempt at each of these webhooks was made, at once; the report counts what came of them."""

    def attempt(numbered: tuple[int, tuple[str, str]]) -> str:
        number, (delivery_id, step) = numbered
        try:
            report = notify_endpoint(services, delivery_id, step, counted=number == 0)
        except Exception:
            # Its lease brings it back, alone or in another batch; the others must not wait for that.
            log.exception("webhook.failed", extra={"delivery_id": delivery_id, "step": step})
            return "error"
        return str(report.get("status", "skipped"))

    return dict(Counter(_senders(services.shares.threads).map(attempt, enumerate(pairs))))


@cache
def _senders(threads: int) -> ThreadPoolExecutor:
    """The threads that all batches of this process share: as many as it has for messages of their own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="notify")


def notify_endpoint(services: Services, delivery_id: str, step: str, *, counted: bool = True) -> Report:
    """The attempt was made and recorded: delivered, due again, or given up; or the webhook waits in its lane."""
    taken = services.store.due.begin(delivery_id, step, counted_as="sceneshift.notify" if counted else None)
    if taken.status == "unknown":
        pass_over(delivery_id, step, taken)
    if not taken.is_taken:
        note_skipped(services, delivery_id, step, taken)
        return {"skipped": taken.status}
    hold = Hold(subject_id=delivery_id, step=step, fence=int(taken.fields["fence"]))
    with services.holds.keeping(hold):
        try:
            delivery = delivery_of(taken.fields)
            job = services.store.jobs.load(delivery.job_id) if delivery.job_id else None
            destination = destination_of(services, delivery, job)
        except UnknownRecordError as error:
            put_back(services, hold, error)
            return {"skipped": "unknown"}
        why_ended = _why_ended(services, delivery, job, destination)
        if destination is None or why_ended:
            ended = Made(began_at=services.store.clock.now(), outcome=AttemptOutcome(summary=why_ended, final=True))
            return _settle(services, delivery, ended, None, Entry(status="go"))
        return _through_lane(services, hold, delivery, job, destination)


def _why_ended(services: Services, delivery: Delivery, job: JobRecord | None, destination: Destination | None) -> str:
    """Why there is nothing to be sent any more; empty when there is.

    What is about no job would otherwise wait for ever at an endpoint that nobody enables again.
    """
    if delivery.job_id:
        if job is None:
            return "job_expired"
    elif delivery.occurred_at < services.store.clock.now() - services.settings.job_retention_seconds:
        return "event_expired"
    return "endpoint_removed" if destination is None else ""


def _through_lane(
    services: Services, hold: Hold, delivery: Delivery, job: JobRecord | None, destination: Destination
) -> Report:
    entry = services.store.lanes.enter(
        hold, destination.lane_id, occurred_at=delivery.occurred_at, limits=services.shares.limits
    )
    if not entry.may_go:
        return {"skipped": entry.waits_for or entry.status}
    with services.shares.taking(entry.kind) as granted:
        if not granted:
            services.store.lanes.leave(
                hold, destination.lane_id, occurred_at=delivery.occurred_at, seconds=services.shares.pause_seconds()
            )
            return {"skipped": "no_thread"}
        return _settle(services, delivery, _attempt(services, delivery, job, destination), destination, entry)


def _attempt(services: Services, delivery: Delivery, job: JobRecord | None, destination: Destination) -> Made:
    began_at, began = services.store.clock.now(), services.monotonic()
    if is_poisoned(delivery.starts):
        # An attempt like any other: the schedule goes on, and the next one may find a healthier worker.
        return Made(began_at=began_at, outcome=AttemptOutcome(summary="poison"))
    if not destination.secrets:
        return Made(began_at=began_at, outcome=AttemptOutcome(summary="no_webhook_secret"))
    answer = b""
    try:
        posted = _post(services, delivery, job, destination, timestamp=int(began_at))
        answer, outcome = posted.body, _outcome_of(posted)
    except FetchBlockedError as error:
        outcome = AttemptOutcome(summary=error.code, final=True)
    except SceneshiftError as error:
        log.warning("webhook.not_sent", extra={"delivery_id": delivery.id, "error": str(error)})
        outcome = AttemptOutcome(summary=error.code, unreachable=isinstance(error, FetchError))
    return Made(
        began_at=began_at, outcome=outcome, latency_seconds=max(0.0, services.monotonic() - began), answer=answer
    )


def _post(
    services: Services, delivery: Delivery, job: JobRecord | None, destination: Destination, *, timestamp: int
) -> Answer:
    settings = services.settings
    if job is None:
        body = event_payload(delivery.type, occurred_at=delivery.occurred_at, data=json.loads(delivery.data))
    else:
        body = webhook_body(delivery, job, services.objects, link_lifetime_seconds=settings.url_lifetime_seconds)
    headers = {
        "content-type": "application/json",
        "sceneshift-attempt": str(delivery.attempts + 1),
        **sign(
            body,
            webhook_id=delivery.event_id,
            timestamp=timestamp,
            secrets=destination.secrets,
            seeds=destination.seeds,
        ),
    }
    return services.fetcher.post(destination.url, body, headers, timeout_seconds=settings.webhook_timeout_seconds)


def _outcome_of(answer: Answer) -> AttemptOutcome:
    return AttemptOutcome(
        summary=str(answer.status),
        status=answer.status,
        retry_after_seconds=retry_after_seconds(answer.headers),
        directive=_directive(answer.headers.get("webhook-delivery", "")),
    )


def _directive(header: str) -> Directive:
    match header.strip().lower():
        case "abort":
            return "abort"
        case "disable":
            return "disable"
        case _:
            return ""


def _settle(
    services: Services, delivery: Delivery, made: Made, destination: Destination | None, entry: Entry
) -> Report:
    outcome = made.outcome
    # What was missed begins anew when its endpoint is back; as a probe it only asks whether it is.
    restarts = delivery.status == "missed" and not entry.is_probe
    verdict = judge(delivery.id, 0 if restarts else delivery.tries, outcome)
    settlement = Settlement(
        status=verdict.status,
        attempt=Attempt(
            at=made.began_at,
            number=delivery.attempts + 1,
            outcome=outcome.summary,
            latency_ms=int(made.latency_seconds * 1000),
            answer=excerpt(made.answer),
        ),
        counted_as=outcome.counted_as,
        tries_used_up=verdict.tries_used_up,
        restarts=restarts,
    )
    if verdict.pause_seconds is not None:
        settlement = replace(settlement, due_at=services.store.clock.now() + verdict.pause_seconds)
    lane = _lane_outcome(services, delivery, destination, made, verdict.pause_seconds)
    settled = services.store.deliveries.settle(delivery, settlement, lane)
    if settled is None:
        return {"skipped": "stale"}
    _log_attempt(delivery, outcome, settled.status)
    for warning in settled.warnings:
        announce(services, warning)
    return {"status": settled.status, "outcome": outcome.summary}


def _lane_outcome(
    services: Services, delivery: Delivery, destination: Destination | None, made: Made, pause_seconds: float | None
) -> LaneOutcome | None:
    outcome = made.outcome
    lane_id = destination.lane_id if destination else delivery.lane_id
    if not lane_id:
        return None
    return LaneOutcome(
        lane_id=lane_id,
        result=outcome.lane_result,
        last_status=outcome.summary,
        latency_seconds=made.latency_seconds,
        limits=services.shares.limits,
        url=bare_url(destination.url) if destination else "",
        name=destination.name if destination else "",
        disable=outcome.disables,
        # One that says that it has too much to do is not probed earlier than it asked for.
        pause_at_least_seconds=(pause_seconds or 0.0) if outcome.status in OVERLOADED else 0.0,
    )


def _log_attempt(delivery: Delivery, outcome: AttemptOutcome, status: str) -> None:
    extra = {
        "delivery_id": delivery.id,
        "job_id": delivery.job_id,
        "attempt": delivery.attempts + 1,
        "outcome": outcome.summary,
        "status": status,
    }
    if hint := HINTS.get(outcome.status or 0):
        extra["hint"] = hint
    log.log(logging.INFO if status == "delivered" else logging.WARNING, "webhook.attempted", extra=extra)
