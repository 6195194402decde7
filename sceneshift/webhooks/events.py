"""What a verified webhook says, as frozen values that a `match` statement can take apart.

Receivers outlive our releases, so reading is lenient towards the future: unknown fields are kept in `raw`, unknown
types become `UnknownEvent`. It is strict about what a handler must rely on: which job, which state, in which order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sceneshift.webhooks.event_data import BatchData, EndpointData, ErrorData, JobData, Json, MissingData, OutputData


class MalformedEventError(ValueError):
    """Raised when an authentic body is not an event of ours; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """What all events have.

    Attributes:
        id: the event's id, the same for every attempt: remember it to tell duplicates.
        timestamp: when it happened, in UTC.
        raw: the whole body.
    """

    id: str
    type: str
    timestamp: datetime
    api_version: str
    raw: Json = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(_Envelope):
    """The images are in the bucket: all of them (`succeeded`) or some (`partial`)."""

    data: JobData


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed(_Envelope):
    """The job ended without images."""

    data: JobData


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled(_Envelope):
    """The job was cancelled."""

    data: JobData


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNeedsAttention(_Envelope):
    """A person must decide: a request may have been charged and its answer is lost."""

    data: JobData


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOverdue(_Envelope):
    """The job passed its deadline. It goes on, and a final event still follows."""

    data: JobData


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCompleted(_Envelope):
    """Every job of the batch is final."""

    data: BatchData


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTest(_Envelope):
    """Somebody tried whether this endpoint can be reached; nothing happened to any job."""

    data: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFailing(_Envelope):
    """Another endpoint has been failing for long, and will be disabled when that goes on."""

    data: EndpointData


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDisabled(_Envelope):
    """Another endpoint gets nothing any more until an operator enables it; its events wait."""

    data: EndpointData


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(_Envelope):
    """A type that is newer than this library: acknowledge it and go on."""

    data: Json


JobEvent: TypeAlias = JobCompleted | JobFailed | JobCancelled | JobNeedsAttention | JobOverdue
EndpointEvent: TypeAlias = EndpointFailing | EndpointDisabled
Event: TypeAlias = JobEvent | BatchCompleted | WebhookTest | EndpointEvent | UnknownEvent

_JOB_EVENTS: Mapping[str, type[JobEvent]] = {
    "job.completed": JobCompleted,
    "job.failed": JobFailed,
    "job.cancelled": JobCancelled,
    "job.needs_attention": JobNeedsAttention,
    "job.overdue": JobOverdue,
}

_ENDPOINT_EVENTS: Mapping[str, type[EndpointEvent]] = {
    "endpoint.failing": EndpointFailing,
    "endpoint.disabled": EndpointDisabled,
}


def read_event(webhook_id: str, body: Any) -> Event:
    """The event that an authentic, parsed body describes.

    Raises:
        MalformedEventError: the body lacks what every event of its type has.
    """
    if not isinstance(body, dict):
        raise MalformedEventError("the body is not a JSON object")
    data = _required(body, "data", dict)
    envelope: dict[str, Any] = {
        "id": webhook_id,
        "type": _required(body, "type", str),
        "timestamp": _moment(_required(body, "timestamp", str), "timestamp"),
        "api_version": _optional(body, "api_version", str) or "",
        "raw": body,
    }
    if job_event := _JOB_EVENTS.get(envelope["type"]):
        return job_event(data=_job(data), **envelope)
    if endpoint_event := _ENDPOINT_EVENTS.get(envelope["type"]):
        return endpoint_event(data=_endpoint(data), **envelope)
    if envelope["type"] == "batch.completed":
        return BatchCompleted(data=_batch(data), **envelope)
    if envelope["type"] == "webhook.test":
        return WebhookTest(data=data, **envelope)
    return UnknownEvent(data=data, **envelope)


def _job(data: dict[str, Any]) -> JobData:
    error = _optional(data, "error", dict)
    return JobData(
        job_id=_required(data, "job_id", str),
        sequence=_required(data, "sequence", int),
        state=_required(data, "state", str),
        sku=_optional(data, "sku", str),
        idempotency_key=_optional(data, "idempotency_key", str),
        metadata=_optional(data, "metadata", dict) or {},
        requested=_optional(data, "requested", int),
        outputs=_each(data, "outputs", _output),
        missing=_each(data, "missing", _missing),
        source=_optional(data, "source", dict) or {},
        provenance=_optional(data, "provenance", dict) or {},
        timings=_optional(data, "timings", dict) or {},
        error=None if error is None else _error(error),
        charge=_optional(data, "charge", str),
        late=_optional(data, "late", bool) or False,
        raw=data,
    )


def _output(data: dict[str, Any]) -> OutputData:
    expires_at = _optional(data, "url_expires_at", str)
    return OutputData(
        index=_required(data, "index", int),
        key=_required(data, "key", str),
        s3_uri=_optional(data, "s3_uri", str),
        url=_optional(data, "url", str),
        url_expires_at=None if expires_at is None else _moment(expires_at, "url_expires_at"),
        sha256=_required(data, "sha256", str),
        content_type=_required(data, "content_type", str),
        width=_required(data, "width", int),
        height=_required(data, "height", int),
        size_bytes=_required(data, "size_bytes", int),
        raw=data,
    )


def _missing(data: dict[str, Any]) -> MissingData:
    return MissingData(
        index=_required(data, "index", int),
        code=_required(data, "code", str),
        message=_optional(data, "message", str) or "",
        raw=data,
    )


def _error(data: dict[str, Any]) -> ErrorData:
    return ErrorData(code=_required(data, "code", str), message=_optional(data, "message", str) or "", raw=data)


def _batch(data: dict[str, Any]) -> BatchData:
    return BatchData(
        batch_id=_required(data, "batch_id", str),
        total=_required(data, "total", int),
        counts=_required(data, "counts", dict),
        raw=data,
    )


def _endpoint(data: dict[str, Any]) -> EndpointData:
    endpoint = _required(data, "endpoint", dict)
    return EndpointData(
        endpoint_id=_required(endpoint, "id", str),
        name=_optional(endpoint, "name", str),
        url=_required(endpoint, "url", str),
        failing_since=_moment(_required(data, "failing_since", str), "failing_since"),
        percent=_required(data, "percent", int),
        disables_at=_moment(_required(data, "disables_at", str), "disables_at"),
        last_status=_required(data, "last_status", str),
        reason=_optional(data, "reason", str) or "failing",
        raw=data,
    )


def _each(data: dict[str, Any], name: str, read: Callable[[dict[str, Any]], Any]) -> tuple[Any, ...]:
    items = _optional(data, name, list) or []
    if not all(isinstance(item, dict) for item in items):
        raise MalformedEventError(f"an entry of {name!r} is not an object")
    return tuple(read(item) for item in items)


def _required(data: dict[str, Any], name: str, kind: type[Any]) -> Any:
    value = _optional(data, name, kind)
    if value is None:
        raise MalformedEventError(f"the field {name!r} is missing")
    return value


def _optional(data: dict[str, Any], name: str, kind: type[Any]) -> Any:
    value = data.get(name)
    # JSON knows true and 1 apart; Python's isinstance does not.
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise MalformedEventError(f"the field {name!r} is not a JSON value of the right kind")
    return value


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedEventError(f"the field {name!r} is not a time in ISO 8601") from None
    if moment.tzinfo is None:
        raise MalformedEventError(f"the field {name!r} has no time zone")
    return moment
