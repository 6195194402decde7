"""Looks whether the job store has lost anything, and merges back what this process and the bucket know of it."""

from __future__ import annotations

import logging

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sceneshift.errors import UnknownRecordError
from sceneshift.store.recovery import RecoveryState
from storage.objects import StorageError
from tasks.recovering import merge_bucket, merge_memory
from tasks.services import Services
from workers.recurring import Recurring

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
"""So long a worker may go on submitting after the store lost something that only others know of."""
UNKNOWN_PAUSE_SECONDS = 60.0
"""A worker that cannot merge what a later release wrote leaves the bucket to others for so long."""


class RecoveryKeeper(Recurring):
    """Looks at the job store every two seconds, on a thread of its own."""

    def __init__(self, services: Services) -> None:
        super().__init__("recovery")
        self._services = services
        self._merged: tuple[float, int, int] | None = None
        self._bucket_from = float("-inf")

    def _turn(self) -> float:
        try:
            self.look()
        except (RedisConnectionError, RedisTimeoutError, StorageError) as error:
            log.warning("recovery.waits", extra={"error": type(error).__name__})
        except Exception:
            # The mode stays on, so that nothing is paid twice, until a look succeeds or a person ends it.
            log.exception("recovery.failed")
        return INTERVAL_SECONDS

    def look(self) -> RecoveryState | None:
        """The store was looked at; in recovery mode, what can be merged back was. Returns the mode as it was found."""
        state = self._services.store.recovery.look()
        if state is None:
            return None
        # An intent that was confirmed just before the loss may be remembered only after the first merge.
        known = (state.since, state.begins, self._services.store.recovery.latest)
        if self._merged != known:
            merge_memory(self._services)
            self._merged = known
        if self._services.settings.intent_log == "storage":
            self._merge_bucket(state)
        return state

    def _merge_bucket(self, state: RecoveryState) -> None:
        now = self._services.monotonic()
        if now < self._bucket_from:
            return
        try:
            merge_bucket(self._services, state)
        except UnknownRecordError as error:
            self._bucket_from = now + UNKNOWN_PAUSE_SECONDS
            log.error("recovery.needs_later_release", extra={"what": error.what})  # noqa: TRY400  # it says all
