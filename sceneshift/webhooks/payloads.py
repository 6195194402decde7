"""The bytes of a webhook's body. The JSON Schemas beside this module, one per type, describe them for receivers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

API_VERSION = "2026-11-01"
EVENT_TYPES = (
    "job.completed",
    "job.failed",
    "job.cancelled",
    "job.needs_attention",
    "job.overdue",
    "batch.completed",
    "webhook.test",
    "endpoint.failing",
    "endpoint.disabled",
)


def event_payload(type: str, *, occurred_at: float, data: Mapping[str, Any]) -> bytes:  # noqa: A002 - the wire's name
    """The body of an event that happened at this Unix time: compact JSON in UTF-8, the same bytes for the same input.

    Raises:
        ValueError: the type is not one of `EVENT_TYPES`, or the data holds NaN or infinity.
    """
    if type not in EVENT_TYPES:
        raise ValueError(f"{type!r} is not an event type")
    body = {"type": type, "timestamp": timestamp_text(occurred_at), "api_version": API_VERSION, "data": data}
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair has no UTF-8; written as \udXXX it is the JSON escape that it needs to be.
    return text.encode("utf-8", "backslashreplace")


def timestamp_text(moment: float) -> str:
    """Unix seconds as ISO 8601 in UTC with milliseconds, such as `2026-11-23T00:00:03.120Z`."""
    text = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"
