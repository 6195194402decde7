"""Connections to the job store, with the patience that each kind of caller can afford."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sceneshift.errors import ConfigurationError, SceneshiftError

CALLER_RETRIES = 2
"""A web request waits for under a second when the store is away, and then hears so."""
SERVICE_RETRIES = 40
"""A worker holds on for about 35 seconds: long enough for a restart, and what it knows may have been paid for."""


def connect(url: str, *, retries: int, timeout_seconds: float = 5.0) -> Redis:
    """A client of the job store; nothing is sent yet.

    Every script may be sent twice (a second run of the same change changes nothing), so lost answers are retried.

    Raises:
        ConfigurationError: this is not a Redis URL.
    """
    try:
        return Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
            retry_on_error=[RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError],
        )
    except ValueError as error:
        raise ConfigurationError(f"SCENESHIFT_REDIS_URL: {_without_password(str(error))}") from None


@contextmanager
def translating(error_type: type[SceneshiftError], remedy: str, *, job_id: str | None = None) -> Iterator[None]:
    """What goes wrong between here and the server is raised as `error_type`, without addresses or passwords."""
    try:
        yield
    except RedisError as error:
        text = _without_password(str(error))
        raise error_type(
            f"the job store did not answer ({type(error).__name__}: {text}); {remedy}", job_id=job_id
        ) from error


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//***@", text)[:200]
