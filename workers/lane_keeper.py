"""Looks after endpoints that are not well, also when nothing is attempted there: warnings come all the same."""

from __future__ import annotations

import logging

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.endpoints import is_endpoint_id
from sceneshift.store.removed_lanes import end_lane
from tasks.endpoint_warnings import announce
from tasks.services import Services
from workers.recurring import Recurring

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
APART_SECONDS = 0.9 * INTERVAL_SECONDS
"""A little less, so that the one that looks need not miss its own next turn."""


class LaneKeeper(Recurring):
    """Looks at the failing lanes every minute, on a thread of its own.

    Any number may run on one deployment: at each turn one of them looks, so that many workers ask no more of the store
    than one does.
    """

    def __init__(self, services: Services) -> None:
        super().__init__("lanes")
        self._services = services

    def _turn(self) -> float:
        try:
            if self._services.store.lanes.take_look(APART_SECONDS):
                self.look()
        except (RedisConnectionError, RedisTimeoutError) as error:
            log.warning("lanes.store_away", extra={"error": type(error).__name__})
        except Exception:
            log.exception("lanes.failed")
        return INTERVAL_SECONDS

    def look(self) -> None:
        """Each lane that is not well was looked at, and what is to be told of it was announced.

        Those of endpoints that were removed are ended instead: nobody wants to hear of them.
        """
        store = self._services.store
        for lane_id in store.lanes.failing():
            if self._is_removed(lane_id):
                log.info("lanes.ended", extra={"lane": lane_id, "deliveries": end_lane(store, lane_id)})
                continue
            for warning in store.lanes.look(lane_id):
                announce(self._services, warning)

    def _is_removed(self, lane_id: str) -> bool:
        try:
            return is_endpoint_id(lane_id) and self._services.store.endpoints.get(lane_id) is None
        except UnknownRecordError:
            return False
