"""Stores what was spilled to this machine's disk: at the worker's start, and again as long as there is any."""

from __future__ import annotations

import logging

from tasks.services import Services
from tasks.spilled import store_spilled
from workers.recurring import Recurring

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0


class SpillKeeper(Recurring):
    """Looks at this machine's spilled images every few seconds, on a thread of its own."""

    def __init__(self, services: Services) -> None:
        super().__init__("spill")
        self._services = services

    def _turn(self) -> float:
        try:
            store_spilled(self._services)
        except Exception:
            # What cannot be stored now stays on disk, for the next look.
            log.exception("spill.failed")
        return INTERVAL_SECONDS
