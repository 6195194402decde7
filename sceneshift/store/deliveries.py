"""The outbox: one record per webhook, written by the script that made the event and settled attempt by attempt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift import identifiers
from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.attempts import Attempt
from sceneshift.jobs.change import DeliveryDraft
from sceneshift.jobs.lanes import EndpointWarning, lane_of_url
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.system_events import SystemEvent
from sceneshift.store.keys import Keys
from sceneshift.store.lanes import LaneOutcome, Lanes
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook: an event of a job, frozen at its moment, and how far its delivery has come.

    `attempts` counts all of them. `attempts_before` of them were made before its tries began anew. One that is about
    no job has an empty `job_id` and `state`, and `data` (JSON) of its own.
    """

    id: str
    event_id: str
    job_id: str
    type: str
    sequence: int
    state: str
    occurred_at: float
    step: str
    status: str
    sku: str
    error: JobFault | None
    lane_id: str = ""
    attempts: int = 0
    attempts_before: int = 0
    starts: int = 0
    last_status: str = ""
    delivered_at: float | None = None
    data: str = ""

    @property
    def tries(self) -> int:
        """How much of the schedule is used up."""
        return self.attempts - self.attempts_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What one attempt led to: `delivered`, `aborted`, `exhausted`, `missed`, or `pending` with a try at `due_at`.

    With `tries_used_up`, it is missed instead of exhausted when its endpoint is away, and has taken nothing since its
    first try.
    With `restarts`, its tries began anew with this attempt. `counted_as` is a word for metrics.
    """

    status: str
    attempt: Attempt
    counted_as: str
    due_at: float | None = None
    tries_used_up: bool = False
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """The status that a delivery came to, and what is to be told of its endpoint."""

    status: str
    warnings: tuple[EndpointWarning, ...] = ()


def delivery_fields(draft: DeliveryDraft, job: JobRecord) -> list[str]:
    """The record of a new delivery, as the alternating fields and values that the script stores."""
    fields = {
        "id": draft.id,
        "event_id": draft.event_id,
        "job_id": job.id,
        "type": draft.type,
        "sequence": str(draft.sequence),
        "state": str(draft.state),
        "occurred_at": f"{draft.occurred_at:.3f}",
        "step": identifiers.step_name("notify", 1),
        "status": "pending",
        "fence": "1",
        "sku": job.sku or "",
        "parent_step": job.parent_step,
    }
    if draft.endpoint_id:
        fields["lane"] = draft.endpoint_id
    elif job.order.webhook_url:
        fields["lane"] = lane_of_url(job.order.webhook_url)
    if draft.error:
        fields["error"] = draft.error.to_text()
    return [part for pair in fields.items() for part in pair]


def system_delivery_fields(event: SystemEvent, delivery_id: str, endpoint_id: str) -> dict[str, str]:
    """The record of a new delivery that is about no job."""
    return {
        "id": delivery_id,
        "event_id": event.id,
        "job_id": "",
        "type": event.type,
        "sequence": "0",
        "occurred_at": f"{event.occurred_at:.3f}",
        "step": identifiers.step_name("notify", 1),
        "status": "pending",
        "lane": endpoint_id,
        "data": json.dumps(event.data, ensure_ascii=False, separators=(",", ":")),
    }


def delivery_of(fields: Mapping[str, str]) -> Delivery:
    """The delivery that these stored fields describe.

    Raises:
        UnknownRecordError: a later release wrote it in another form.
    """
    try:
        return Delivery(
            id=fields["id"],
            event_id=fields["event_id"],
            job_id=fields["job_id"],
            type=fields["type"],
            sequence=int(fields["sequence"]),
            state=fields["state"] if fields["job_id"] else "",
            occurred_at=float(fields["occurred_at"]),
            step=fields["step"],
            status=fields["status"],
            sku=fields.get("sku", ""),
            error=JobFault.from_text(fields.get("error")),
            lane_id=fields.get("lane", ""),
            attempts=int(fields.get("attempts", "0")),
            attempts_before=int(fields.get("attempts_before", "0")),
            starts=int(fields.get("starts", "0")),
            last_status=fields.get("last_status", ""),
            delivered_at=float(fields["delivered_at"]) if "delivered_at" in fields else None,
            data=fields.get("data", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"a part of another form ({type(error).__name__})"
        raise UnknownRecordError(
            f"this release does not understand the record of a webhook: it has {what}",
            job_id=fields.get("job_id"),
            what=what,
        ) from error


class DeliveryStore:
    """The webhooks of all jobs."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock, lanes: Lanes) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._lanes = lanes
        self._retention_seconds = lanes.policy.retention_seconds
        self._settle = load_script(client, "settle", parts=["wake", "line_up", "lane_warnings"])
        self._tell = load_script(client, "tell")

    def of_job(self, job: JobRecord, endpoint_ids: Iterable[str] = ()) -> list[Delivery]:
        """The job's webhooks to its own URL and to these named endpoints, in the order of its events.

        Those that this release cannot read are left out.
        """
        endpoint_ids = tuple(endpoint_ids)
        with self._client.pipeline(transaction=False) as pipeline:
            for sequence in range(1, job.sequence + 1):
                event_id = identifiers.event_id(job.id, sequence)
                pipeline.hgetall(self._keys.delivery(identifiers.delivery_id(job.id, sequence)))
                for endpoint_id in endpoint_ids:
                    pipeline.hgetall(self._keys.delivery(identifiers.endpoint_delivery_id(event_id, endpoint_id)))
            rows = [fields for fields in pipeline.execute() if fields]
        deliveries: list[Delivery] = []
        for fields in rows:
            with suppress(UnknownRecordError):
                deliveries.append(delivery_of(fields))
        return deliveries

    def get(self, delivery_id: str) -> Delivery | None:
        """The webhook as it is now, or None when there is none.

        Raises:
            UnknownRecordError: a later release wrote it in another form.
        """
        fields: Mapping[str, str] = self._client.hgetall(self._keys.delivery(delivery_id))  # type: ignore[assignment]  # redis-py: maybe awaitable
        return delivery_of(fields) if fields else None

    def tell(self, event: SystemEvent, endpoint_id: str) -> str:
        """The event is in the outbox for this endpoint, and due; told again, it is there once. Returns its id."""
        delivery_id = identifiers.endpoint_delivery_id(event.id, endpoint_id)
        fields = system_delivery_fields(event, delivery_id, endpoint_id)
        self._tell(
            keys=[self._keys.delivery(delivery_id), self._keys.due],
            args=[delivery_id, f"{event.occurred_at:.3f}", *(part for pair in fields.items() for part in pair)],
        )
        return delivery_id

    def attempts_of(self, delivery_id: str) -> list[Attempt]:
        """The last attempts at this webhook, in their order; lines that this release cannot read are left out."""
        lines: list[str] = self._client.lrange(self._keys.attempts(delivery_id), 0, -1)  # type: ignore[assignment]  # redis-py: maybe awaitable
        attempts: list[Attempt] = []
        for line in lines:
            with suppress(ValueError):
                attempts.append(Attempt.from_json(line))
        return attempts

    def settle(self, delivery: Delivery, settlement: Settlement, lane: LaneOutcome | None = None) -> Settled | None:
        """The attempt is recorded and the next one due, or the delivery has ended; None when another did so first.

        What the attempt says of its endpoint is recorded in its lane, and whoever waits behind it is woken. Without a
        lane, the endpoint is not known any more.
        """
        now, keys, lane_id = self._clock.now(), self._keys, lane.lane_id if lane else ""
        about = {
            "id": delivery.id,
            "step": delivery.step,
            "now": now,
            "began_at": settlement.attempt.at,
            "occurred_at": delivery.occurred_at,
            "ttl_milliseconds": int(self._retention_seconds * 1000),
            "status": settlement.status,
            "due_at": "" if settlement.due_at is None else f"{settlement.due_at:.3f}",
            "tries_used_up": settlement.tries_used_up,
            "restarts": settlement.restarts,
            "set": _settled_fields(delivery, settlement, now),
            "attempt": settlement.attempt.to_json(),
            "result": settlement.counted_as,
        }
        if lane:
            about["lane"] = self._lanes.settling(lane, now=now, seed=f"{delivery.id}:{delivery.attempts}")
        answer = self._settle(
            keys=[
                keys.delivery(delivery.id),
                keys.due,
                keys.exhausted_deliveries,
                keys.attempts(delivery.id),
                keys.webhook_counts,
                keys.lane(lane_id),
                keys.lane_running(lane_id),
                keys.lane_waiting(lane_id),
                keys.lane_missed(lane_id),
                keys.failing_lanes,
                keys.lane_retrying(lane_id),
            ],
            args=[json.dumps(about, ensure_ascii=False)],
        )
        if not answer:
            return None
        status, since, *crossed = answer
        return Settled(status, tuple(self._lanes.warnings(lane_id, since, crossed)))

    def forget_expired(self) -> int:
        """Exhausted deliveries whose records have expired leave their index; returns how many did."""
        before = self._clock.now() - self._retention_seconds
        return int(self._client.zremrangebyscore(self._keys.exhausted_deliveries, "-inf", before))


def _settled_fields(delivery: Delivery, settlement: Settlement, now: float) -> dict[str, str]:
    fields = {
        "last_status": settlement.attempt.outcome,
        "attempts": str(delivery.attempts + 1),
        "step": identifiers.step_name("notify", identifiers.step_number(delivery.step) + 1),
        "parent_step": delivery.step,
    }
    if settlement.restarts:
        fields["attempts_before"] = str(delivery.attempts)
    if settlement.status == "delivered":
        fields["delivered_at"] = f"{now:.3f}"
    return fields
