"""Lanes: each endpoint's own queue and health, so that a slow or dead one never delays another.

What is decided here are plain values; the scripts of `sceneshift/store/lanes.py` apply them, because several workers
deliver to one endpoint at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

WARN_AT_PERCENT = (50, 70, 90, 100)
"""So far on its way to being disabled, a failing endpoint is warned of, once each; at the last it is disabled."""

OPEN_AFTER_FAILURES = 3
PROBE_FIRST_SECONDS = 5.0
PROBE_MAX_SECONDS = 1_800.0
PROBE_WITH_MISSED_SECONDS = 21_600.0
"""An endpoint for which nothing waits that still has tries is asked with a missed event, and more rarely."""

QUICK_SECONDS = 1.0
"""An endpoint that answers within this time holds no thread for long."""

LANE_KEPT_SECONDS = 7 * 86_400.0
"""A healthy lane is remembered so long after its last attempt."""


class LaneKind(StrEnum):
    """What a lane's last attempt said about it, and so how many threads it may hold."""

    QUICK = "quick"
    SLOW = "slow"
    FAILING = "failing"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointWarning:
    """An endpoint has been failing for so many percent of the time after which it is disabled; at 100 it is.

    `url` has no query. `name` is empty for an endpoint that is known by its URL alone. `disables_at` is when it will
    be, or was, disabled. `reason` is `failing`, or `gone` or `asked` when the endpoint itself wanted no more.
    """

    lane_id: str
    name: str
    url: str
    percent: int
    failing_since: float
    disables_at: float
    last_status: str
    reason: str = "failing"


def lane_of_url(url: str) -> str:
    """The lane of an endpoint that is known by its URL alone; query and fragment may hold a token and do not count."""
    return f"url_{hashlib.sha256(bare_url(url).encode()).hexdigest()[:16]}"


def bare_url(url: str) -> str:
    """The URL without query and fragment."""
    return url.partition("#")[0].partition("?")[0]


def in_flight_limits(threads: int) -> dict[LaneKind, int]:
    """So many attempts at one endpoint may be in flight over the whole fleet, whose processes have so many threads."""
    return {
        LaneKind.QUICK: max(2, threads // 2),
        LaneKind.SLOW: max(2, threads // 4),
        LaneKind.FAILING: 2,
        LaneKind.UNTRIED: 1,
    }
