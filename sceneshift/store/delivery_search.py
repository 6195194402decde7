"""Finding webhooks, for a person: by job, by endpoint, by what became of them, and what each of them waits for.

The log of events is the index: what happened since a moment names the deliveries, so none of their own is kept. It does
not name those of events that are about no job, nor those of endpoints that were removed since: they are found while
something is due for them, and among those that were given up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from sceneshift import identifiers
from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.endpoints import Endpoint
from sceneshift.jobs.lanes import bare_url
from sceneshift.jobs.record import JobRecord
from sceneshift.store.deliveries import Delivery, delivery_of
from sceneshift.store.lanes import Lane

if TYPE_CHECKING:
    from sceneshift.store.opening import Store

CHUNK = 200
"""So many records are read with one round trip."""
SCAN_COUNT = 1_000
"""So many entries of an index are looked through with one round trip."""

OnUnknown = Callable[[UnknownRecordError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySelection:
    """Which deliveries. `since` is the unix time of the event; empty and None leave open."""

    since: float = 0.0
    job_id: str = ""
    lane_id: str = ""
    statuses: frozenset[str] = frozenset()

    def takes(self, delivery: Delivery) -> bool:
        """Whether it is one of them."""
        return (
            delivery.occurred_at >= self.since
            and self.lane_id in {"", delivery.lane_id}
            and (not self.statuses or delivery.status in self.statuses)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery, and where it stands: when it is due, whether it waits in its endpoint's line, and that endpoint."""

    delivery: Delivery
    due_at: float | None
    is_in_line: bool
    lane: Lane


def find_deliveries(store: Store, selection: DeliverySelection, *, on_unknown: OnUnknown) -> Iterator[Delivery]:
    """The selected deliveries as they are now, those of the latest events first.

    Those of tests and warnings that were delivered are not among them; `load_deliveries` finds them by their ids.
    """
    endpoint_ids = tuple(store.endpoints.read().by_id)
    if selection.job_id:
        job = store.jobs.load(selection.job_id)
        event_ids: Iterable[str] = [] if job is None else reversed(_events_of(job))
    else:
        event_ids = (entry.event_id for entry in store.event_log.newest(selection.since))
    ids = (each for event_id in event_ids for each in ids_of_event(event_id, endpoint_ids))
    named = load_deliveries(store, ids, on_unknown=on_unknown)
    unnamed = load_deliveries(store, _unnamed_ids(store, selection.job_id, endpoint_ids), on_unknown=on_unknown)
    latest_first = sorted(unnamed, key=_moment, reverse=True)
    yield from filter(selection.takes, heapq.merge(named, latest_first, key=_moment, reverse=True))


def _moment(delivery: Delivery) -> float:
    return delivery.occurred_at


def _unnamed_ids(store: Store, job_id: str, endpoint_ids: Iterable[str]) -> set[str]:
    """The deliveries that no event of the log leads to: for any job, or for this one alone."""
    known = frozenset(endpoint_ids)
    found: set[str] = set()
    for key in (store.keys.due, store.keys.exhausted_deliveries):
        for member, _ in store.client.zscan_iter(key, match=f"dlv_{job_id[4:]}*", count=SCAN_COUNT):
            if identifiers.is_delivery_id(member) and _is_unnamed(member, known):
                found.add(member)
    return found


def _is_unnamed(delivery_id: str, known_endpoints: Collection[str]) -> bool:
    endpoint_id = identifiers.endpoint_of_delivery(delivery_id)
    return bool(endpoint_id) and (identifiers.is_system_delivery_id(delivery_id) or endpoint_id not in known_endpoints)


def _events_of(job: JobRecord) -> list[str]:
    return [identifiers.event_id(job.id, sequence) for sequence in range(1, job.sequence + 1)]


def ids_of_event(event_id: str, endpoint_ids: Iterable[str]) -> list[str]:
    """The deliveries that there may be of an event: to the URL of its job, and to these named endpoints."""
    own = f"dlv_{event_id.removeprefix('evt_')}"
    return [own, *(identifiers.endpoint_delivery_id(event_id, each) for each in endpoint_ids)]


def load_deliveries(store: Store, ids: Iterable[str], *, on_unknown: OnUnknown) -> Iterator[Delivery]:
    """Those of these deliveries that are there, in their order; of those not understood `on_unknown` is told."""
    waiting = iter(ids)
    while chunk := list(islice(waiting, CHUNK)):
        with store.client.pipeline(transaction=False) as pipeline:
            for delivery_id in chunk:
                pipeline.hgetall(store.keys.delivery(delivery_id))
            rows = [fields for fields in pipeline.execute() if fields]
        for fields in rows:
            try:
                yield delivery_of(fields)
            except UnknownRecordError as error:
                on_unknown(error)


def views_of(store: Store, deliveries: Iterable[Delivery]) -> list[DeliveryView]:
    """Where each of these deliveries stands."""
    found = list(deliveries)
    with store.client.pipeline(transaction=False) as pipeline:
        for each in found:
            pipeline.zscore(store.keys.due, each.id)
            pipeline.zscore(store.keys.lane_waiting(each.lane_id), each.id)
        scores = pipeline.execute()
    named = store.endpoints.read().by_id
    lanes = {lane_id: known_lane(store, lane_id, named) for lane_id in {each.lane_id for each in found}}
    return [
        DeliveryView(delivery=each, due_at=due_at, is_in_line=place is not None, lane=lanes[each.lane_id])
        for each, due_at, place in zip(found, scores[::2], scores[1::2], strict=True)
    ]


def known_lane(store: Store, lane_id: str, named: Mapping[str, Endpoint]) -> Lane:
    """The lane, with the name and URL that its endpoint has now, also when nothing was sent there yet."""
    lane = store.lanes.get(lane_id)
    endpoint = named.get(lane_id)
    return lane if endpoint is None else replace(lane, name=endpoint.name, url=bare_url(endpoint.url))
