"""The body of an event of a job: the event as it was, with links minted now. For webhooks, and for those who pull."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

from sceneshift.jobs.record import JobFault, JobRecord, OutputImage
from sceneshift.jobs.states import Charge, JobState
from sceneshift.snapshots import ended_late, timings_of
from sceneshift.webhooks import event_payload


class EventFacts(Protocol):
    """What is kept of an event of a job: of one in the outbox, or in the log."""

    @property
    def type(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def occurred_at(self) -> float: ...
    @property
    def error(self) -> JobFault | None: ...


class Link(Protocol):
    """A URL that a plain HTTP client can fetch until `expires_at` (unix seconds; None: it does not expire)."""

    @property
    def url(self) -> str: ...
    @property
    def expires_at(self) -> float | None: ...


class Links(Protocol):
    """Makes links to results: every object store does."""

    def link(self, key: str, *, lifetime_seconds: float) -> Link:
        """A link to the object of this name."""
        ...


def webhook_body(event: EventFacts, job: JobRecord, links: Links | None, *, link_lifetime_seconds: float) -> bytes:
    """The exact bytes to sign and send; without `links`, the outputs have no `url`.

    State, sequence, error and lateness are those of the event; only a finished job has outputs, and those do not
    change.
    """
    finished = job.state.is_final and event.state == str(job.state)
    order = job.order
    data: dict[str, Any] = {
        "job_id": job.id,
        "sequence": event.sequence,
        "state": event.state,
        "sku": order.sku,
        "idempotency_key": order.idempotency_key,
        "metadata": dict(order.metadata),
        "requested": order.num_output,
        "outputs": [_output(output, links, link_lifetime_seconds) for output in job.outputs] if finished else [],
        "missing": [missing.to_json() for missing in job.missing] if finished else [],
        "source": {"image": without_query(order.image)},
        "provenance": {"digital_source_type": "compositeWithTrainedAlgorithmicMedia"},
        "charge": _charge(job),
        "timings": {name: value for name, value in asdict(timings_of(job)).items() if value is not None},
        "error": asdict(event.error) if event.error else None,
        "late": JobState(event.state).is_final and ended_late(job, event.occurred_at),
    }
    return event_payload(event.type, occurred_at=event.occurred_at, data=data)


def _charge(job: JobRecord) -> str:
    """What the job cost, in the three words that receivers know: what the provider gave back later is no event."""
    return str(Charge.CHARGED if job.charge is Charge.REFUNDED_BY_HAND else job.charge)


def _output(output: OutputImage, links: Links | None, link_lifetime_seconds: float) -> dict[str, Any]:
    link = links.link(output.key, lifetime_seconds=link_lifetime_seconds) if links else None
    expires_at = datetime.fromtimestamp(link.expires_at, UTC) if link and link.expires_at is not None else None
    return {
        "index": output.index,
        "key": output.key,
        "s3_uri": output.uri if output.uri.startswith("s3://") else None,
        "url": link.url if link else None,
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
