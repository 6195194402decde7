"""Sceneshift: product photos through a slow, paid image API. Nothing lost, nothing paid twice, every wait explained."""

from sceneshift.client import cancel_job, enqueue_job, get_job
from sceneshift.errors import (
    ConfigurationError,
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

__version__ = "0.1.0"

__all__ = [
    "CancelOutcome",
    "Charge",
    "ConfigurationError",
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
    "MissingOutput",
    "OutputImage",
    "SceneshiftError",
    "StoreUnavailableError",
    "Timings",
    "UnknownRecordError",
    "WebhookVerificationError",
    "cancel_job",
    "enqueue_job",
    "get_job",
]
