"""Every exception that callers may catch, as one tree with stable codes.

    SceneshiftError
    ├── ConfigurationError        (ValueError)       a setting is missing, unknown or wrong
    ├── InvalidRequestError       (ValueError)       a parameter of a job is out of range; nothing was stored
    ├── IdempotencyConflictError                     the key belongs to a job that asks for another image
    ├── EnqueueError              (ConnectionError)  the job store could not be reached; safe to call again
    ├── StoreUnavailableError     (ConnectionError)  the job store could not be reached while reading or changing a job
    ├── JobNotFoundError          (LookupError)      no such job, or its retention has ended
    ├── CursorExpiredError        (LookupError)      the events that followed a cursor are gone
    ├── UnknownRecordError                           a later release wrote the job's record; nothing was changed
    ├── JobTimeoutError           (TimeoutError)     the job is still going on; only the waiting ended
    ├── JobError                                     how a job ended that has no complete result
    │   ├── JobFailedError
    │   └── JobCancelledError
    └── WebhookVerificationError  (ValueError)       a webhook is not authentic, or not well-formed

The message is the only positional argument and the rest are keywords with defaults, so that every one of them survives
pickling. Behind a process boundary the job record is the truth, not the exception.
"""

from __future__ import annotations

from typing import Any, ClassVar


class SceneshiftError(Exception):
    """Raised when something here goes wrong; the base of all others.

    Attributes:
        code: stable, machine-readable; the same word appears in job records, webhooks and metrics.
        retryable: the same call may succeed later, unchanged.
        job_id: the job that it is about, when there is one.
        request_id: the provider's id of the call, for its support, when there is one.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, job_id: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.job_id = job_id
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.job_id}: {self.message}" if self.job_id else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would rebuild from args alone and lose the keywords.
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(kind: type[SceneshiftError], message: str, state: dict[str, Any]) -> SceneshiftError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class ConfigurationError(SceneshiftError, ValueError):
    """Raised when a setting is missing, unknown or wrong; the message names the variable and the remedy."""

    code = "configuration"


class InvalidRequestError(SceneshiftError, ValueError):
    """Raised when a parameter is out of range, before anything is stored; `param` names it."""

    code = "invalid_request"

    def __init__(self, message: str, *, param: str = "", **about: str | None) -> None:
        super().__init__(message, **about)
        self.param = param


class IdempotencyConflictError(SceneshiftError):
    """Raised when an idempotency key is used again for an order that would generate something else."""

    code = "idempotency_conflict"

    def __init__(
        self, message: str, *, existing_job_id: str = "", changed: tuple[str, ...] = (), **about: str | None
    ) -> None:
        super().__init__(message, **about)
        self.existing_job_id = existing_job_id
        self.changed = changed


class EnqueueError(SceneshiftError, ConnectionError):
    """Raised when the job store could not be reached: call again with the same idempotency key, that is safe."""

    code = "enqueue_failed"
    retryable = True


class StoreUnavailableError(SceneshiftError, ConnectionError):
    """Raised when the job store could not be reached while a job was read or changed."""

    code = "store_unavailable"
    retryable = True


class JobNotFoundError(SceneshiftError, LookupError):
    """Raised when no job has this id, or its retention has ended."""

    code = "job_not_found"


class CursorExpiredError(SceneshiftError, LookupError):
    """Raised when the events that followed a cursor are gone, so that going on would skip some in silence.

    `oldest_cursor` is where to go on: the first event after it is the oldest that is still there. It is None when there
    is none.
    """

    code = "cursor_expired"

    def __init__(self, message: str, *, oldest_cursor: str | None = None, **about: str | None) -> None:
        super().__init__(message, **about)
        self.oldest_cursor = oldest_cursor


class UnknownRecordError(SceneshiftError):
    """Raised when a stored record holds what this release does not know: a later one wrote it, and goes on with it.

    Nothing was changed. `what` names what is not known, such as `state 'verifying'`.
    """

    code = "unknown_record"

    def __init__(self, message: str, *, what: str = "", **about: str | None) -> None:
        super().__init__(message, **about)
        self.what = what


class JobTimeoutError(SceneshiftError, TimeoutError):
    """Raised when waiting took too long. The job goes on, and costs what it costs: call `result()` again."""

    code = "wait_timeout"
    retryable = True

    def __init__(self, message: str, *, timeout_seconds: float | None = None, **about: str | None) -> None:
        super().__init__(message, **about)
        self.timeout_seconds = timeout_seconds


class JobError(SceneshiftError):
    """Raised by `result()` when a job ended without a complete result.

    Attributes:
        reason: the record's error code (docs/reference/errors.md), such as `content_rejected`.
        charged: `charged`, `not_charged` or `unknown`.
    """

    code = "job_error"

    def __init__(self, message: str, *, reason: str = "", charged: str = "unknown", **about: str | None) -> None:
        super().__init__(message, **about)
        self.reason = reason
        self.charged = charged

    def __str__(self) -> str:
        details = ", ".join(
            f"{name}={value}"
            for name, value in (("code", self.reason), ("provider_request_id", self.request_id))
            if value
        )
        return f"{super().__str__()} ({details})" if details else super().__str__()


class JobFailedError(JobError):
    """Raised when the job ended as `failed`."""

    code = "job_failed"


class JobCancelledError(JobError):
    """Raised when the job was cancelled."""

    code = "job_cancelled"


class WebhookVerificationError(SceneshiftError, ValueError):
    """Raised when a webhook must not be believed; `check` names what failed, for the receiver's own log only."""

    code = "webhook_verification"

    def __init__(self, message: str, *, check: str = "", **about: str | None) -> None:
        super().__init__(message, **about)
        self.check = check
