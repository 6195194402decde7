"""A job's timeline, and waiting for its next entry without asking again and again.

The entries lie in a list, and each is published as it is written. A stream would do both, but the shortest one takes
over 4 kB in Redis and Valkey (they allocate its first node whole), three times what the rest of a job in flight takes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sceneshift.store.keys import Keys

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

READ_AGAIN_SECONDS = 30.0
"""A waiter looks itself this often, in case a notice was lost with a connection or a restarted server."""


class Timeline:
    """The timelines of all jobs."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def read(self, job_id: str, *, start: int = 0) -> list[dict[str, Any]]:
        """The entries from this position on, the oldest first."""
        entries: list[str] = self._client.lrange(self._keys.timeline(job_id), start, -1)  # type: ignore[assignment]
        return [json.loads(entry) for entry in entries]

    @contextmanager
    def watching(self, job_id: str) -> Iterator[Watch]:
        """A watch on the job's timeline. What is written after it was opened wakes its `wait`."""
        with self._client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # redis-py left it untyped
            subscription.subscribe(self._keys.changes(job_id))
            subscription.get_message(timeout=5.0)
            yield Watch(subscription)


class Watch:
    """An open watch on one timeline."""

    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription

    def wait(self, timeout_seconds: float | None) -> None:
        """Returns when there may be a new entry, or the time is over, or it is time to look again in any case."""
        limit = READ_AGAIN_SECONDS if timeout_seconds is None else min(timeout_seconds, READ_AGAIN_SECONDS)
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            # A blocking read of the socket. A re-subscription after a lost connection wakes too: entries may be missed.
            if self._subscription.get_message(timeout=left) is not None:
                return
