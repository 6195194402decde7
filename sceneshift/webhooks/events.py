"""What a verified webhook says, as frozen values that a `match` statement can take apart.

Receivers outlive our releases, so reading is lenient towards the future: unknown fields are kept in `raw`, unknown
types become `UnknownEvent`. It is strict about what a handler must rely on: which job, which state, in which order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]


class MalformedEventError(ValueError):
    """Raised when an authentic body is not an event of ours; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputData:
    """One result image in the bucket.

    Attributes:
        index: its place in the order, from 0.
        key: the object's name.
        s3_uri: None when the results live in a directory.
        url: a link that works until `url_expires_at`; None when the store makes no links.
    """

    index: int
    key: str
    s3_uri: str | None
    url: str | None
    url_expires_at: datetime | None
    sha256: str
    content_type: str
    width: int
    height: int
    size_bytes: int
    raw: Json = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingData:
    """An image that was ordered and could not be delivered."""

    index: int
    code: str
    message: str
    raw: Json = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorData:
    """Why a job failed, or needs a person; `code` is from an open list (docs/reference/errors.md)."""

    code: str
    message: str
    raw: Json = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobData:
    """A job as it was when the event happened.

    Attributes:
        sequence: grows with every change of the job. Ignore an event with a lower one than you have seen.
        requested: how many images were ordered.
        source: what the images were made from.
        provenance: how the images declare their origin.
        timings: seconds per phase.
        charge: `not_charged`, `unknown` or `charged`, as far as it was known when this was sent; None when not told.
        late: it ended after its deadline, and `job.overdue` had said so; False in an event that is no end.
        raw: the whole `data` object, unknown fields included.
    """

    job_id: str
    sequence: int
    state: str
    sku: str | None = None
    idempotency_key: str | None = None
    metadata: Json = field(default_factory=dict)
    requested: int | None = None
    outputs: tuple[OutputData, ...] = ()
    missing: tuple[MissingData, ...] = ()
    source: Json = field(default_factory=dict)
    provenance: Json = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    error: ErrorData | None = None
    charge: str | None = None
    late: bool = False
    raw: Json = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchData:
    """A batch whose jobs are all final; `counts` has the number of jobs in each state."""

    batch_id: str
    total: int
    counts: Mapping[str, int]
    raw: Json = field(default_factory=dict, repr=False, compare=False)


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
class UnknownEvent(_Envelope):
    """A type that is newer than this library: acknowledge it and go on."""

    data: Json


JobEvent: TypeAlias = JobCompleted | JobFailed | JobCancelled | JobNeedsAttention | JobOverdue
Event: TypeAlias = JobEvent | BatchCompleted | WebhookTest | UnknownEvent

_JOB_EVENTS: Mapping[str, type[JobEvent]] = {
    "job.completed": JobCompleted,
    "job.failed": JobFailed,
    "job.cancelled": JobCancelled,
    "job.needs_attention": JobNeedsAttention,
    "job.overdue": JobOverdue,
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
