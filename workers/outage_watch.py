"""Asks the provider whether it is back, while the breaker is open for an outage: one worker of all, every few seconds.

The question is about a key that nobody has. It starts no rendering, and any answer to it says that the provider is
there, so that no submission has to find out.
"""

from __future__ import annotations

import logging
import secrets

from redis.exceptions import RedisError

from sceneshift.jobs.gates import is_answered
from tasks.gates import note_question
from tasks.services import Services
from workers.recurring import Recurring

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0


class OutageWatch(Recurring):
    """Looks every second whether it is for this worker to ask."""

    def __init__(self, services: Services) -> None:
        super().__init__("outage_watch")
        self._services = services

    def _turn(self) -> float:
        try:
            self._ask_if_due()
        except RedisError as error:
            log.warning("outage_watch.store_away", extra={"error": type(error).__name__})
        except Exception:
            log.exception("outage_watch.failed")
        return INTERVAL_SECONDS

    def _ask_if_due(self) -> None:
        store = self._services.store
        if not store.breaker.begin_question():
            return
        # Polls are questions too: where they take the whole rate, their answers are enough.
        taken, _wait_seconds = store.permits.take_queries(1)
        if taken:
            outcome = self._services.provider.query(secrets.token_hex(16))
            note_question(self._services, is_answered=is_answered(outcome))
