"""When a webhook is tried again, and when it is given up: decided from one attempt's answer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

PAUSES_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The pauses between the ten tries: about 75 hours in all, as the Standard Webhooks specification suggests."""

JITTER = 0.2

SUCCESS = range(200, 300)
GONE = 410
"""The receiver's own word that it wants no more (Standard Webhooks)."""

OVERLOADED = frozenset({429, 503})
OVERLOADED_PAUSE_SECONDS = 60.0
"""A receiver that has too much to do is left alone for so long at least."""

Directive = Literal["", "abort", "disable"]
"""What a receiver may say in its answer's header `webhook-delivery`: about this delivery, or about its endpoint."""

LaneResult = Literal["success", "failure", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """What one attempt at a webhook ended in; `summary` is its status code, or a word for what went wrong."""

    summary: str
    status: int | None = None
    retry_after_seconds: float | None = None
    directive: Directive = ""
    final: bool = False
    """No later try can end differently (the URL is not allowed)."""
    unreachable: bool = False
    """The endpoint gave no answer. What fails on our side says nothing about the endpoint."""

    @property
    def is_success(self) -> bool:
        return self.status in SUCCESS

    @property
    def lane_result(self) -> LaneResult:
        """What the attempt says about its endpoint; one that answers `abort` is alive."""
        if self.is_success or (self.status is not None and self.directive == "abort"):
            return "success"
        return "failure" if self.status is not None or self.unreachable else "none"

    @property
    def disables(self) -> Literal["", "gone", "asked"]:
        """Why the endpoint gets nothing more from now on; empty when it does."""
        if self.directive == "disable":
            return "asked"
        return "gone" if self.status == GONE else ""

    @property
    def counted_as(self) -> str:
        """A word of a short list, for metrics."""
        if self.is_success:
            return "delivered"
        if self.directive == "abort":
            return "aborted"
        if self.status is not None:
            return f"failed:{self.status // 100}xx"
        return "failed:unreachable" if self.unreachable else "failed:here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a delivery after an attempt.

    `delivered`; `pending` with the pause before the next try; `aborted` by its receiver; `exhausted`; or `missed`,
    which waits until its endpoint is enabled again. With `tries_used_up`, an endpoint that has taken nothing since the
    first of them makes it `missed` instead of `exhausted`.
    """

    status: str
    pause_seconds: float | None = None
    tries_used_up: bool = False


def judge(delivery_id: str, tries: int, outcome: AttemptOutcome) -> Verdict:
    """What follows from the attempt that came after so many earlier tries.

    Only 2xx is success: a redirect is a failure. `Retry-After` may stretch a pause to twice its length and never
    shortens it; 429 and 503 stretch it to a minute at least.
    """
    if outcome.is_success:
        return Verdict(status="delivered")
    if outcome.directive == "abort":
        return Verdict(status="aborted")
    if outcome.final:
        return Verdict(status="exhausted")
    if outcome.disables:
        return Verdict(status="missed")
    if tries >= len(PAUSES_SECONDS):
        return Verdict(status="exhausted", tries_used_up=True)
    pause = PAUSES_SECONDS[tries]
    floor = OVERLOADED_PAUSE_SECONDS if outcome.status in OVERLOADED else 0.0
    asked = min(max(outcome.retry_after_seconds or 0.0, floor), max(2 * pause, floor))
    return Verdict(status="pending", pause_seconds=max(pause * spread(f"{delivery_id}:{tries}"), asked))


def spread(seed: str) -> float:
    """A factor within ±20 % of 1 that depends on the seed alone."""
    share = zlib.crc32(seed.encode()) / 0xFFFFFFFF
    return 1 + JITTER * (2 * share - 1)
