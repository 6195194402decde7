"""What events are about, as frozen values: a job with its images, a batch, an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]


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
class EndpointData:
    """Another endpoint of the same deployment, and how long it has been failing.

    Attributes:
        endpoint_id: what operators call it by; `name` is None for an endpoint that is known by its URL alone.
        url: without its query.
        failing_since: in UTC.
        percent: how much of the time is over after which it is disabled.
        disables_at: when it will be disabled, or was, in UTC.
        last_status: the status code of its last answer, or a word for what went wrong.
        reason: `failing`; or `gone` or `asked` when the endpoint itself wanted no more.
    """

    endpoint_id: str
    name: str | None
    url: str
    failing_since: datetime
    percent: int
    disables_at: datetime
    last_status: str
    reason: str
    raw: Json = field(default_factory=dict, repr=False, compare=False)
