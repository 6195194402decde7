"""When a webhook is tried again, and when it is given up: decided from one attempt's answer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

PAUSES_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The pauses between the ten tries: about 75 hours in all, as the Standard Webhooks specification suggests."""

JITTER = 0.2

SUCCESS = range(200, 300)
GONE = 410
"""The receiver's own word that it wants no more (Standard Webhooks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """What one attempt at a webhook ended in; `summary` is its status code, or a word for what went wrong."""

    summary: str
    status: int | None = None
    retry_after_seconds: float | None = None
    final: bool = False
    """No later try can end differently (the URL is not allowed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`delivered`, `exhausted`, or `pending` with the pause before the next try."""

    status: str
    pause_seconds: float | None = None


def judge(delivery_id: str, attempts: int, outcome: AttemptOutcome) -> Verdict:
    """What follows from the attempt that came after `attempts` earlier ones.

    Only 2xx is success: a redirect is a failure, and 410 ends the delivery. `Retry-After` may stretch a pause to twice
    its length and never shortens it.
    """
    if outcome.status in SUCCESS:
        return Verdict(status="delivered")
    if outcome.final or outcome.status == GONE or attempts >= len(PAUSES_SECONDS):
        return Verdict(status="exhausted")
    pause = PAUSES_SECONDS[attempts]
    asked = min(max(outcome.retry_after_seconds or 0.0, 0.0), 2 * pause)
    share = zlib.crc32(f"{delivery_id}:{attempts}".encode()) / 0xFFFFFFFF
    return Verdict(status="pending", pause_seconds=max(pause * (1 + JITTER * (2 * share - 1)), asked))
