"""Keeps a worker alive when its Redis broker goes away while it holds messages.

Celery 5.7.0 closes the broken connection a second time; kombu 5.7.0 then tries to restore unacknowledged messages
through a channel that has lost its transport, which raises `AttributeError` and ends the worker. A late acknowledgement
after the reconnection ends it the same way. Here both find that the channel is detached: nothing is restored through
it, and an acknowledgement fails as a lost connection, which Celery expects. The broker hands the messages out again
after its visibility timeout, and the job store knows them for duplicates.

`tests/integration/test_broker_loss.py` fails without this. Drop it when a release of Celery or kombu passes that test.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as redis_transport
from redis.exceptions import ConnectionError as RedisConnectionError


class GuardedQoS(redis_transport.QoS):
    """Kombu's acknowledgements, except on a channel that is no longer connected to anything."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        if self._is_detached():
            self._on_collect.cancel()  # type: ignore[attr-defined]  # its stubs leave it out
            return
        super().restore_unacked_once(stderr)

    def ack(self, delivery_tag: str) -> None:
        self._require_attached()
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self._require_attached()
        super().reject(delivery_tag, requeue)

    def _is_detached(self) -> bool:
        connection = self.channel.connection
        return connection is None or connection.client is None

    def _require_attached(self) -> None:
        if self._is_detached():
            raise RedisConnectionError("this message's connection is gone; the broker will hand it out again")


def install() -> None:
    """Channels that are opened from now on are guarded."""
    redis_transport.Channel.QoS = GuardedQoS
