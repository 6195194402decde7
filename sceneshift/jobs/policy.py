"""The settings that decisions depend on, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from sceneshift.jobs.unknown_outcome_policy import HOLD, UnknownOutcomePolicy
from sceneshift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that decisions depend on."""

    poll_first_seconds: float = 2.0
    poll_growth: float = 1.25
    poll_max_seconds: float = 600.0
    poll_overdue_seconds: float = 600.0
    provider_retention_seconds: float = 86_400.0
    unknown_outcomes: UnknownOutcomePolicy = HOLD

    @classmethod
    def from_settings(cls, settings: Settings) -> Policy:
        return cls(
            poll_first_seconds=settings.poll_first_seconds,
            poll_growth=settings.poll_growth,
            poll_max_seconds=settings.poll_max_seconds,
            poll_overdue_seconds=settings.poll_overdue_seconds,
            provider_retention_seconds=settings.provider_retention_seconds,
            unknown_outcomes=settings.unknown_outcome_policy,
        )
