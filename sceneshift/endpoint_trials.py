"""A test of a named endpoint: one `webhook.test` by the ordinary way, through a worker, and what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.jobs.endpoints import Endpoint
from sceneshift.jobs.system_events import trial_event

if TYPE_CHECKING:
    from sceneshift.store.opening import Store

LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a test's first try. `outcome` is a status code or a word; empty when no worker has made it yet."""

    delivery_id: str
    event_id: str
    delivered: bool
    outcome: str


def try_endpoint(store: Store, endpoint: Endpoint, *, timeout_seconds: float) -> Trial:
    """The endpoint has been sent a test, or at least will be: it is in the outbox, and tried like every webhook."""
    event = trial_event(endpoint, store.clock.now())
    delivery_id = store.deliveries.tell(event, endpoint.id)
    for _ in range(max(1, int(timeout_seconds / LOOK_EVERY_SECONDS))):
        delivery = store.deliveries.get(delivery_id)
        if delivery is not None and delivery.attempts:
            return Trial(
                delivery_id=delivery_id,
                event_id=event.id,
                delivered=delivery.status == "delivered",
                outcome=delivery.last_status,
            )
        time.sleep(LOOK_EVERY_SECONDS)
    return Trial(delivery_id=delivery_id, event_id=event.id, delivered=False, outcome="")
