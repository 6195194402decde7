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

UNKNOWN_OUTCOME = "unknown_outcome"
"""As `blocked_by`: the request will be sent again, by the policy for unknown outcomes."""
RECOVERY = "recovery"
"""As `blocked_by`: the job store has lost recent writes, and nothing is submitted until they are merged back."""
INTENT_LOG = "intent_log"
"""As `blocked_by`: the intent could not be written to the bucket, so nothing was sent."""
STORE_DISK = "job_store_disk"
"""As `blocked_by`: the job store's disk did not confirm the intent in time, so nothing was sent."""

DUPLICATE_RESULT_KEY = "duplicate_result_key"
"""The fault of a job for which the provider gave a result key that another job has."""


def fault_of(error: ProviderError) -> JobFault:
    """The provider's error as a job's fault, under our stable code."""
    return JobFault(code=str(error.kind), message=error.message, request_id=error.request_id)
