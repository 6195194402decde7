"""Hands spooled keys on while the worker runs: at its start, and again as long as there are any."""

from __future__ import annotations

import logging

from tasks.replay import replay
from tasks.services import Services
from workers.recurring import Recurring

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0


class SpoolKeeper(Recurring):
    """Looks at the spool of this machine every few seconds, on a thread of its own."""

    def __init__(self, services: Services) -> None:
        super().__init__("spool")
        self._services = services

    def _turn(self) -> float:
        try:
            replay(self._services)
        except Exception:
            # What cannot be handed on now stays on disk, for the next look.
            log.exception("spool.failed")
        return INTERVAL_SECONDS
