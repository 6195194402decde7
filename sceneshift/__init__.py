"""Sceneshift: product photos through a slow, paid image API. Nothing lost, nothing paid twice, every wait explained."""

from sceneshift.client import cancel_job, enqueue_job, events, get_job
from sceneshift.errors import (
    ConfigurationError,
    CursorExpiredError,
    EnqueueError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobNotFoundError,
    JobTimeoutError,
    SceneshiftError,
    StoreUnavailableError,
    UnknownRecordError,
    WebhookVerificationError,
)
from sceneshift.handle import CancelOutcome, Job, JobEvent, JobResult, JobSnapshot, Timings
from sceneshift.jobs.record import JobFault, MissingOutput, OutputImage
from sceneshift.jobs.states import Charge, JobState
from sceneshift.pulling import LoggedEvent

__version__ = "0.1.0"

__all__ = [
    "CancelOutcome",
    "Charge",
    "ConfigurationError",
    "CursorExpiredError",
    "EnqueueError",
    "IdempotencyConflictError",
    "InvalidRequestError",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobEvent",
    "JobFailedError",
    "JobFault",
    "JobNotFoundError",
    "JobResult",
    "JobSnapshot",
    "JobState",
    "JobTimeoutError",
    "LoggedEvent",
    "MissingOutput",
    "OutputImage",
    "SceneshiftError",
    "StoreUnavailableError",
    "Timings",
    "UnknownRecordError",
    "WebhookVerificationError",
    "cancel_job",
    "enqueue_job",
    "events",
    "get_job",
]
