"""The provider's errors in our own stable words: what a job failed of, and what it waits for."""

from __future__ import annotations

from sceneshift.jobs.record import JobFault
from sceneshift.provider.protocol import ErrorKind, ProviderError

WAITS_FOR = {
    ErrorKind.THROTTLED: "provider_throttled",
    ErrorKind.CREDITS_EXHAUSTED: "provider_credits",
    ErrorKind.UNAUTHORIZED: "provider_authorization",
    ErrorKind.MISCONFIGURED: "provider_configuration",
    ErrorKind.TRANSIENT: "provider_unavailable",
}
"""As `blocked_by`: what is in the way of a job after such an error, where waiting may help."""


def fault_of(error: ProviderError) -> JobFault:
    """The provider's error as a job's fault, under our stable code."""
    return JobFault(code=str(error.kind), message=error.message, request_id=error.request_id)
