"""The end of a lane whose endpoint was removed: nothing waits in it any more, and nobody is warned about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sceneshift.store.opening import Store

CHUNK = 500
"""So many deliveries are made due with one round trip."""


def end_lane(store: Store, lane_id: str) -> int:
    """What waited there is due, so that a worker ends it as `endpoint_removed`; returns how many that were.

    Each delivery leaves the lane in the transaction that makes it due: who dies on the way leaves the rest in place.
    """
    client, keys, count = store.client, store.keys, 0
    for line in (keys.lane_waiting(lane_id), keys.lane_missed(lane_id), keys.lane_retrying(lane_id)):
        while ids := _first_of(store, line):
            with client.pipeline(transaction=True) as pipeline:
                pipeline.zadd(keys.due, dict.fromkeys(ids, store.clock.now()), xx=True)
                pipeline.zrem(line, *ids)
                pipeline.execute()
            count += len(ids)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.delete(keys.lane(lane_id))
        pipeline.zrem(keys.failing_lanes, lane_id)
        pipeline.execute()
    return count


def _first_of(store: Store, line: str) -> list[str]:
    ids: list[str] = store.client.zrange(line, 0, CHUNK - 1)  # type: ignore[assignment]  # redis-py: maybe awaitable
    return ids
