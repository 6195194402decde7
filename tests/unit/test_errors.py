"""The error tree: stable codes, ordinary base classes, and attributes that survive a process boundary."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import sceneshift.fetch_errors
import storage.manifest
import storage.objects
from sceneshift import errors
from sceneshift.errors import JobFailedError, SceneshiftError


def every_class(kind: type[SceneshiftError]) -> list[type[SceneshiftError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in every_class(child))]


ABOUT: dict[type[SceneshiftError], dict[str, Any]] = {
    errors.InvalidRequestError: {"param": "steps"},
    errors.IdempotencyConflictError: {"existing_job_id": "job_2", "changed": ("image", "seed")},
    errors.JobTimeoutError: {"timeout_seconds": 2.5},
    errors.JobFailedError: {"reason": "content_rejected", "charged": "not_charged"},
    errors.JobCancelledError: {"reason": "cancelled", "charged": "charged"},
    errors.WebhookVerificationError: {"check": "signature"},
    sceneshift.fetch_errors.FetchBlockedError: {"reason": "link-local"},
    sceneshift.fetch_errors.FetchStatusError: {"status": 503, "retry_after_seconds": 7.0},
}
ERRORS = [kind for kind in every_class(SceneshiftError) if kind.__module__.startswith(("sceneshift", "storage"))]


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize(
    "again",
    [
        lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301  # our own bytes
        copy.copy,
        copy.deepcopy,
    ],
    ids=["pickle", "copy", "deep copy"],
)
def test_every_error_survives_with_its_attributes(
    kind: type[SceneshiftError], again: Callable[[SceneshiftError], SceneshiftError]
) -> None:
    """Class, text and every attribute are the same on the other side of a process boundary."""
    error = kind("the words", job_id="job_1", request_id="REQ-1", **ABOUT.get(kind, {}))
    rebuilt = again(error)
    assert type(rebuilt) is kind
    assert vars(rebuilt) == vars(error)
    assert str(rebuilt) == str(error)
    assert (rebuilt.code, rebuilt.retryable) == (error.code, error.retryable)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_can_be_made_from_its_message_alone(kind: type[SceneshiftError]) -> None:
    """The keywords all have defaults, and the message is in the text."""
    assert "the words" in str(kind("the words"))


def test_codes_are_not_shared() -> None:
    """A code stands for one class and what it passes it on to, so that a reader of records knows which."""
    codes = [kind.code for kind in ERRORS if "code" in vars(kind)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.InvalidRequestError, ValueError),
        (errors.EnqueueError, ConnectionError),
        (errors.StoreUnavailableError, ConnectionError),
        (errors.JobNotFoundError, LookupError),
        (errors.JobTimeoutError, TimeoutError),
        (errors.WebhookVerificationError, ValueError),
        (errors.JobFailedError, errors.JobError),
        (errors.JobCancelledError, errors.JobError),
        (storage.objects.StorageError, SceneshiftError),
        (storage.manifest.ManifestConflictError, SceneshiftError),
    ],
)
def test_ordinary_except_clauses_catch_our_errors(kind: type[Exception], base: type[Exception]) -> None:
    """Who catches the built-in class that fits does not need to know ours."""
    assert issubclass(kind, base)


@pytest.mark.parametrize("kind", [errors.EnqueueError, errors.StoreUnavailableError, errors.JobTimeoutError])
def test_what_may_pass_is_retryable(kind: type[SceneshiftError]) -> None:
    """The same call may succeed later, unchanged."""
    assert kind.retryable


def test_a_failure_tells_what_support_needs() -> None:
    """The text of a failed job has the job, the words, our code and the provider's request id."""
    error = JobFailedError("not allowed", job_id="job_1", request_id="REQ-1", reason="content_rejected")
    assert str(error) == "job_1: not allowed (code=content_rejected, provider_request_id=REQ-1)"
    assert str(JobFailedError("not allowed")) == "not allowed"
