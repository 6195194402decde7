"""Events that are about no job: a test of an endpoint, and warnings about another one that fails.

They are made of values alone, so that the same occasion is the same event, whoever tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sceneshift import identifiers
from sceneshift.jobs.endpoints import TEST_EVENT, Endpoint, Endpoints
from sceneshift.jobs.lanes import WARN_AT_PERCENT, EndpointWarning, bare_url
from sceneshift.webhooks import timestamp_text


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemEvent:
    """An event that is about no job; `data` is what its receivers are told."""

    id: str
    type: str
    occurred_at: float
    data: Mapping[str, Any]


def trial_event(endpoint: Endpoint, now: float) -> SystemEvent:
    """Somebody tries whether this endpoint can be reached."""
    return SystemEvent(
        id=identifiers.system_event_id(now, f"{TEST_EVENT}:{endpoint.id}"),
        type=TEST_EVENT,
        occurred_at=now,
        data={"endpoint": _endpoint_data(endpoint.id, endpoint.name, endpoint.url)},
    )


def warning_event(warning: EndpointWarning, now: float) -> SystemEvent:
    """An endpoint fails, or is disabled; the same threshold of the same failure is the same event."""
    disabled = warning.percent >= WARN_AT_PERCENT[-1]
    return SystemEvent(
        id=identifiers.system_event_id(warning.failing_since, f"{warning.lane_id}:{warning.percent}"),
        type="endpoint.disabled" if disabled else "endpoint.failing",
        occurred_at=now,
        data={
            "endpoint": _endpoint_data(warning.lane_id, warning.name, warning.url),
            "failing_since": timestamp_text(warning.failing_since),
            "percent": warning.percent,
            "disables_at": timestamp_text(warning.disables_at),
            "last_status": warning.last_status,
            "reason": warning.reason,
        },
    )


def listeners(endpoints: Endpoints, event: SystemEvent, *, about: str) -> list[Endpoint]:
    """The named endpoints that get the event: those that take it, and never the one that it is `about`."""
    return [each for each in endpoints.by_id.values() if each.id != about and each.takes(event.type)]


def _endpoint_data(endpoint_id: str, name: str, url: str) -> dict[str, Any]:
    """An endpoint as receivers hear of it; the query of its URL may hold a token, and stays out."""
    return {"id": endpoint_id, "name": name or None, "url": bare_url(url)}
