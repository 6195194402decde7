"""What the settings of a deployment say of lanes, in the terms in which the scripts of lanes are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sceneshift.settings import Settings

ATTEMPT_MARGIN_SECONDS = 10.0
"""An attempt takes no longer than its timeout and this; then its place in the lane is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePolicy:
    """What the settings say of lanes."""

    attempt_seconds: float
    catch_up_per_second: float
    disable_after_seconds: float
    lease_seconds: float
    retention_seconds: float

    @classmethod
    def from_settings(cls, settings: Settings) -> LanePolicy:
        """The policy of a deployment."""
        return cls(
            attempt_seconds=settings.webhook_timeout_seconds + ATTEMPT_MARGIN_SECONDS,
            catch_up_per_second=settings.webhook_catch_up_rate,
            disable_after_seconds=settings.webhook_disable_after_seconds,
            lease_seconds=settings.lease_seconds,
            retention_seconds=settings.job_retention_seconds,
        )
