"""Renews the leases of the steps that this process is at, on a thread and a connection of its own.

Nothing else happens on that thread: a broker that hangs or a long queue must not make healthy workers look dead.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from sceneshift.clock import elapsed
from sceneshift.store.due import DueIndex, Hold
from tasks.holds import Holds
from workers.recurring import Recurring

log = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3
RETRY_SECONDS = 0.5


class LeaseKeeper(Recurring):
    """Keeps the leases of one process for as long as the process lives."""

    def __init__(self, due: DueIndex, holds: Holds) -> None:
        super().__init__("leases")
        self._due = due
        self._holds = holds
        self._told: set[Hold] = set()

    def _turn(self) -> float:
        try:
            self.renew()
        except RedisError as error:
            log.warning("leases.store_away", extra={"error": type(error).__name__})
            return RETRY_SECONDS
        except Exception:
            # Without this thread, every long step of this process would be taken for dead.
            log.exception("leases.failed")
            return RETRY_SECONDS
        return self._due.lease_seconds / RENEWALS_PER_LEASE

    def renew(self) -> None:
        """The leases of the steps that run at this moment are fresh; one that hangs was told of once, and loses its."""
        hanging = set(self._holds.hanging())
        for hold in hanging - self._told:
            log.error("step.hangs", extra={"subject_id": hold.subject_id, "step": hold.step})
        self._told = hanging
        holds = self._holds.current()
        if not holds:
            return
        before = elapsed()
        lost_ones = self._due.renew(holds)
        self._holds.note_renewed(set(holds) - set(lost_ones), before)
        for lost in lost_ones:
            if lost in self._holds.current():
                log.warning("lease.lost", extra={"subject_id": lost.subject_id, "step": lost.step})
