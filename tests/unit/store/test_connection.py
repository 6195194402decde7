"""Connections that give up in time, and never tell a password."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.errors import ConfigurationError, EnqueueError, SceneshiftError, StoreUnavailableError
from sceneshift.store.connection import TIMEKEEPER, connect, translating


@pytest.mark.parametrize("url", ["http://user:hunter2@h/0", "nonsense", "redis://h:notaport/0"])
def test_a_wrong_url_is_a_wrong_setting(url: str) -> None:
    """The error names the variable, and not the password in it."""
    with pytest.raises(ConfigurationError, match="SCENESHIFT_REDIS_URL") as raised:
        connect(url, TIMEKEEPER)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("kind", [EnqueueError, StoreUnavailableError])
def test_a_server_that_is_away_is_told_in_our_words(kind: type[SceneshiftError]) -> None:
    """The error carries the remedy and the job, is retryable, and hides what is between // and @."""
    with pytest.raises(kind, match="call again") as raised, translating(kind, "call again", job_id="job_1"):
        raise RedisConnectionError("Error 111 connecting to redis://user:hunter2@10.0.0.1:6379")
    assert (raised.value.job_id, raised.value.retryable) == ("job_1", True)
    assert "hunter2" not in str(raised.value)
    assert isinstance(raised.value, ConnectionError)


def test_other_errors_are_left_as_they_are() -> None:
    """A mistake of ours is not a server that is away."""
    with pytest.raises(KeyError), translating(EnqueueError, "call again"):
        raise KeyError("a bug")
