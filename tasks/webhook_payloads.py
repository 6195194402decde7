"""The body of a webhook: the event as it was, with links minted for this attempt."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sceneshift.jobs.record import JobRecord, OutputImage
from sceneshift.jobs.states import Charge, JobState
from sceneshift.snapshots import ended_late, timings_of
from sceneshift.store.deliveries import Delivery
from sceneshift.webhooks import event_payload
from storage.objects import ObjectStore


def webhook_body(delivery: Delivery, job: JobRecord, objects: ObjectStore, *, link_lifetime_seconds: float) -> bytes:
    """The exact bytes to sign and send.

    State, sequence, error and lateness are those of the event; only a finished job has outputs, and those do not
    change.
    """
    finished = job.state.is_final and delivery.state == str(job.state)
    order = job.order
    data: dict[str, Any] = {
        "job_id": job.id,
        "sequence": delivery.sequence,
        "state": delivery.state,
        "sku": order.sku,
        "idempotency_key": order.idempotency_key,
        "metadata": dict(order.metadata),
        "requested": order.num_output,
        "outputs": [_output(output, objects, link_lifetime_seconds) for output in job.outputs] if finished else [],
        "missing": [missing.to_json() for missing in job.missing] if finished else [],
        "source": {"image": without_query(order.image)},
        "provenance": {"digital_source_type": "compositeWithTrainedAlgorithmicMedia"},
        "charge": _charge(job),
        "timings": {name: value for name, value in asdict(timings_of(job)).items() if value is not None},
        "error": asdict(delivery.error) if delivery.error else None,
        "late": JobState(delivery.state).is_final and ended_late(job, delivery.occurred_at),
    }
    return event_payload(delivery.type, occurred_at=delivery.occurred_at, data=data)


def _charge(job: JobRecord) -> str:
    """What the job cost, in the three words that receivers know: what the provider gave back later is no event."""
    return str(Charge.CHARGED if job.charge is Charge.REFUNDED_BY_HAND else job.charge)


def _output(output: OutputImage, objects: ObjectStore, link_lifetime_seconds: float) -> dict[str, Any]:
    link = objects.link(output.key, lifetime_seconds=link_lifetime_seconds)
    expires_at = None if link.expires_at is None else datetime.fromtimestamp(link.expires_at, UTC)
    return {
        "index": output.index,
        "key": output.key,
        "s3_uri": output.uri if output.uri.startswith("s3://") else None,
        "url": link.url,
        "url_expires_at": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ") if expires_at else None,
        "sha256": output.sha256,
        "content_type": output.content_type,
        "width": output.width,
        "height": output.height,
        "size_bytes": output.size_bytes,
    }


def without_query(url: str) -> str:
    """The URL without what may be a signature."""
    return url.partition("?")[0]
