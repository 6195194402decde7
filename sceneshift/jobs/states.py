"""The states of a job and the moves between them: the one table that Python, Lua and the docs are tested against."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is. Each member's line says what that means for its owner."""

    QUEUED = "queued"
    """Accepted; nothing has been sent to the provider."""
    SUBMITTING = "submitting"
    """The intent is stored: a request may be on its way."""
    NEEDS_ATTENTION = "needs_attention"
    """A request may have been charged and its answer is lost, or a step keeps killing its worker: a person decides."""
    RENDERING = "rendering"
    """The provider has accepted and has not finished."""
    STORING = "storing"
    """The provider has finished; the images are being copied."""
    SUCCEEDED = "succeeded"
    """All images are stored. Final."""
    PARTIAL = "partial"
    """Some images are stored, the others cannot be had. Final."""
    FAILED = "failed"
    """There is no image, and the error says why. Final."""
    CANCELLED = "cancelled"
    """Ended by its owner. Final."""

    @property
    def is_final(self) -> bool:
        """No step will follow by itself; webhooks go on."""
        return self in _FINAL


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {
            JobState.QUEUED,
            JobState.SUBMITTING,
            JobState.NEEDS_ATTENTION,
            JobState.STORING,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.SUBMITTING: frozenset(
        {
            JobState.QUEUED,
            JobState.SUBMITTING,
            JobState.NEEDS_ATTENTION,
            JobState.RENDERING,
            JobState.STORING,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.NEEDS_ATTENTION: frozenset(
        {
            JobState.NEEDS_ATTENTION,
            JobState.QUEUED,
            JobState.RENDERING,
            JobState.STORING,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.RENDERING: frozenset(
        {JobState.RENDERING, JobState.STORING, JobState.NEEDS_ATTENTION, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.STORING: frozenset(
        {
            JobState.STORING,
            JobState.NEEDS_ATTENTION,
            JobState.SUCCEEDED,
            JobState.PARTIAL,
            JobState.FAILED,
            JobState.CANCELLED,
        }
    ),
    JobState.SUCCEEDED: frozenset({JobState.SUCCEEDED}),
    JobState.PARTIAL: frozenset({JobState.PARTIAL}),
    JobState.FAILED: frozenset({JobState.FAILED, JobState.QUEUED, JobState.RENDERING}),
    JobState.CANCELLED: frozenset({JobState.CANCELLED}),
}
"""From each state, where a transition may lead; itself, where a step only moves its time or leaves a mark.

What is final stays so, but for a failed job that a person retries.
"""

_FINAL = frozenset({JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED})


class Charge(StrEnum):
    """What a job has cost, as far as we know."""

    NOT_CHARGED = "not_charged"
    REFUNDED_BY_HAND = "refunded_by_hand"
    """It was charged, and a person has noted that the provider gave it back."""
    UNKNOWN = "unknown"
    CHARGED = "charged"

    def or_more(self, other: Charge) -> Charge:
        """The graver of two: what was charged stays charged."""
        order = list(Charge)
        return max(self, other, key=order.index)
