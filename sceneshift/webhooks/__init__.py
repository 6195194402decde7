"""Signed webhooks, for both ends: `verify` for a shop's endpoint, `sign` and `event_payload` for the sender.

A shop imports this package in its web process, so it needs nothing but the standard library.

    match verify(request.body, request.headers, secret):
        case JobCompleted(data=job):
            publish(job.sku, [output.key for output in job.outputs])
        case JobFailed(data=job):
            warn(job.sku, job.error)
        case _:
            pass
"""

from __future__ import annotations

from sceneshift.errors import WebhookVerificationError
from sceneshift.webhooks.event_data import BatchData, EndpointData, ErrorData, JobData, MissingData, OutputData
from sceneshift.webhooks.events import (
    BatchCompleted,
    EndpointDisabled,
    EndpointFailing,
    Event,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobNeedsAttention,
    JobOverdue,
    UnknownEvent,
    WebhookTest,
)
from sceneshift.webhooks.payloads import API_VERSION, EVENT_TYPES, event_payload, timestamp_text
from sceneshift.webhooks.signing import new_secret, sign
from sceneshift.webhooks.verifying import verify

__all__ = [
    "API_VERSION",
    "EVENT_TYPES",
    "BatchCompleted",
    "BatchData",
    "EndpointData",
    "EndpointDisabled",
    "EndpointFailing",
    "ErrorData",
    "Event",
    "JobCancelled",
    "JobCompleted",
    "JobData",
    "JobFailed",
    "JobNeedsAttention",
    "JobOverdue",
    "MissingData",
    "OutputData",
    "UnknownEvent",
    "WebhookTest",
    "WebhookVerificationError",
    "event_payload",
    "new_secret",
    "sign",
    "timestamp_text",
    "verify",
]
