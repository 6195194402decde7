"""The outbox: one record per webhook, written by the script that made the event and settled attempt by attempt."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sceneshift import identifiers
from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.change import DeliveryDraft
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook: an event of a job, frozen at its moment, and how far its delivery has come."""

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
    attempts: int = 0
    starts: int = 0
    last_status: str = ""
    delivered_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What one attempt led to: `delivered`, `pending` with the next try at `due_at`, or `exhausted`."""

    status: str
    last_status: str
    due_at: float | None = None


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
    if draft.error:
        fields["error"] = draft.error.to_text()
    return [part for pair in fields.items() for part in pair]


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
            state=fields["state"],
            occurred_at=float(fields["occurred_at"]),
            step=fields["step"],
            status=fields["status"],
            sku=fields.get("sku", ""),
            error=JobFault.from_text(fields.get("error")),
            attempts=int(fields.get("attempts", "0")),
            starts=int(fields.get("starts", "0")),
            last_status=fields.get("last_status", ""),
            delivered_at=float(fields["delivered_at"]) if "delivered_at" in fields else None,
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

    def __init__(self, client: Redis, keys: Keys, clock: Clock, *, retention_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._retention_seconds = retention_seconds
        self._settle = load_script(client, "settle")

    def of_job(self, job: JobRecord) -> list[Delivery]:
        """The job's webhooks, in the order of its events; those that this release cannot read are left out."""
        with self._client.pipeline(transaction=False) as pipeline:
            for sequence in range(1, job.sequence + 1):
                pipeline.hgetall(self._keys.delivery(identifiers.delivery_id(job.id, sequence)))
            rows = [fields for fields in pipeline.execute() if fields]
        deliveries: list[Delivery] = []
        for fields in rows:
            with suppress(UnknownRecordError):
                deliveries.append(delivery_of(fields))
        return deliveries

    def settle(self, delivery: Delivery, settlement: Settlement) -> bool:
        """The attempt is recorded and the next one due, or the delivery has ended; False when another did so first."""
        now = self._clock.now()
        fields: dict[str, Any] = {
            "status": settlement.status,
            "last_status": settlement.last_status,
            "attempts": delivery.attempts + 1,
            "step": identifiers.step_name("notify", identifiers.step_number(delivery.step) + 1),
            "parent_step": delivery.step,
        }
        if settlement.status == "delivered":
            fields["delivered_at"] = f"{now:.3f}"
        applied = self._settle(
            keys=[self._keys.delivery(delivery.id), self._keys.due, self._keys.exhausted_deliveries],
            args=[
                delivery.id,
                delivery.step,
                "" if settlement.due_at is None else f"{settlement.due_at:.3f}",
                int(self._retention_seconds * 1000),
                "1" if settlement.status == "exhausted" else "",
                f"{now:.3f}",
                *(part for pair in fields.items() for part in pair),
            ],
        )
        return bool(applied)

    def forget_expired(self) -> int:
        """Exhausted deliveries whose records have expired leave their index; returns how many did."""
        before = self._clock.now() - self._retention_seconds
        return int(self._client.zremrangebyscore(self._keys.exhausted_deliveries, "-inf", before))
