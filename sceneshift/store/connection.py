"""Connections to the job store, with the patience that each kind of caller can afford."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sceneshift.errors import ConfigurationError, SceneshiftError


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may wait for a server that does not answer, and how often it is tried again."""

    timeout_seconds: float
    retries: int


CALLER = Patience(timeout_seconds=1.0, retries=1)
"""A web request hears within about four seconds that the store hangs, and at once that it is gone."""
SERVICE = Patience(timeout_seconds=5.0, retries=40)
"""A worker holds on for half a minute and more: what it knows may have been paid for."""
TIMEKEEPER = Patience(timeout_seconds=2.0, retries=0)
"""A timekeeper looks again in a second anyway."""
NOTES = Patience(timeout_seconds=1.0, retries=0)
"""What is only good to know holds up no work."""


def connect(url: str, patience: Patience) -> Redis:
    """A client of the job store; nothing is sent yet.

    Lost answers are retried, because every script may be sent twice: a change that is there already is not made again,
    and a step that was begun without its worker hearing of it is handed out again when its lease has ended.

    Raises:
        ConfigurationError: this is not a Redis URL.
    """
    try:
        return Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=patience.timeout_seconds,
            socket_connect_timeout=patience.timeout_seconds,
            socket_keepalive=True,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), patience.retries),
            retry_on_error=[RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError],
        )
    except ValueError as error:
        # The text of the error may repeat a part of the password.
        raise ConfigurationError(
            f"SCENESHIFT_REDIS_URL is not a Redis URL ({type(error).__name__}): use redis://, rediss:// or unix://, "
            "with percent signs for special characters in a password"
        ) from None


@contextmanager
def translating(error_type: type[SceneshiftError], remedy: str, *, job_id: str | None = None) -> Iterator[None]:
    """What goes wrong between here and the server is raised as `error_type`, without passwords."""
    try:
        yield
    except RedisError as error:
        text = without_password(str(error))
        why = f"{type(error).__name__}: {text}; its address is SCENESHIFT_REDIS_URL"
        raise error_type(f"the job store did not answer ({why}); {remedy}", job_id=job_id) from error


def without_password(text: str) -> str:
    """The text, cut short and without the password of a URL in it, whatever its characters are."""
    return re.sub(r"//\S*@", "//***@", text)[:200]
