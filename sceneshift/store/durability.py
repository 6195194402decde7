"""Waiting until the job store's disk has what it has confirmed, where the server can tell (WAITAOF).

A server answers before its append-only file is on disk, unless it writes with `appendfsync always`. WAITAOF answers
when it is; it speaks of the writes of its own connection, so it travels with the script in one pipeline.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, ResponseError

from sceneshift.store.scripts import Script

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

SOCKET_SHARE = 0.7
"""Of the connection's own time-out: the answer that the time ran out must arrive before that does."""
ASK_AGAIN_SECONDS = 60.0
"""A server that could not tell is asked again so much later: it may have been replaced or configured anew."""
TIMEOUTS_MAX = 3
"""So many time-outs in a row mean that the server leaves its disk to the system (`appendfsync no`)."""
_UNBLOCKED = "UNBLOCKED"
"""How a server's answer begins when it ceases to be the primary while somebody waits: the write may be lost with it."""


class DiskWait:
    """Runs scripts and waits for the disk of one server, for `timeout_seconds` at the most; None does not wait."""

    def __init__(
        self, client: Redis, timeout_seconds: float | None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._milliseconds = _milliseconds(client, timeout_seconds)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._timeouts = 0
        self._silent_until = float("-inf")

    def call(self, script: Script, keys: Sequence[str], args: Sequence[str | float]) -> tuple[Any, bool | None]:
        """The script's answer, and whether all that this connection wrote is on the server's disk.

        False: the time ran out. None: the server cannot tell, because it is older than WAITAOF, has no append-only file
        or leaves its disk to the system. That is remembered, and looked at again after a minute.
        """
        if self._milliseconds is None or self._monotonic() < self._silent_until:
            return script(keys=keys, args=args), None
        answer, waited = self._call(script, keys, args, is_loaded=True)
        if isinstance(answer, NoScriptError):
            answer, waited = self._call(script, keys, args, is_loaded=False)
        if isinstance(answer, Exception):
            raise answer
        return answer, self._judge(waited)

    def _call(
        self, script: Script, keys: Sequence[str], args: Sequence[str | float], *, is_loaded: bool
    ) -> tuple[Any, Any]:
        with self._client.pipeline(transaction=False) as pipeline:
            script(keys=keys, args=args, client=pipeline)
            if is_loaded:
                # Or the pipeline would ask for the script first, each time.
                pipeline.scripts.clear()
            pipeline.execute_command("WAITAOF", 1, 0, self._milliseconds)  # type: ignore[no-untyped-call]  # redis-py
            answer, waited = pipeline.execute(raise_on_error=False)
            return answer, waited

    def _judge(self, waited: Any) -> bool | None:
        with self._lock:
            if isinstance(waited, ResponseError):
                if str(waited).startswith(_UNBLOCKED):
                    return False
                self._be_silent(str(waited))
                return None
            if int(waited[0]) >= 1:
                self._timeouts = 0
                return True
            self._timeouts += 1
            if self._timeouts >= TIMEOUTS_MAX:
                self._be_silent("it does not write by itself (appendfsync no), or its disk is stuck")
            return False

    def _be_silent(self, why: str) -> None:
        self._timeouts = 0
        self._silent_until = self._monotonic() + ASK_AGAIN_SECONDS
        log.info("store.disk_unknown", extra={"error": why[:200]})


def _milliseconds(client: Redis, timeout_seconds: float | None) -> int | None:
    """How long WAITAOF may wait on this client's connections; to the server, 0 would mean for ever."""
    if timeout_seconds is None:
        return None
    socket_seconds = client.connection_pool.connection_kwargs.get("socket_timeout")
    limit = timeout_seconds if socket_seconds is None else min(timeout_seconds, socket_seconds * SOCKET_SHARE)
    return max(1, round(limit * 1000))
