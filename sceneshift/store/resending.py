"""Sending webhooks once more: the same events under the same ids. It never touches the provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from sceneshift import identifiers
from sceneshift.jobs.change import DeliveryDraft, EventDraft
from sceneshift.jobs.states import JobState
from sceneshift.store.deliveries import Delivery, delivery_fields
from sceneshift.store.delivery_search import CHUNK
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from sceneshift.jobs.endpoints import Endpoint
    from sceneshift.store.event_log import LogEntry
    from sceneshift.store.opening import Store


def resend(store: Store, deliveries: Iterable[Delivery]) -> Iterator[tuple[Delivery, str]]:
    """Each delivery with what became of it; those of one endpoint are due one after the other, at its rate.

    `resent`: its tries begin anew. `hastened`: its next try is now. `under_way`: it is being sent at this moment.
    `waiting`: it waits for its endpoint and goes by itself. `job_expired`, `gone`: there is nothing left to send.
    """
    script = load_script(store.client, "resend")
    keys, now = store.keys, store.clock.now()
    pause_seconds = 1 / store.lanes.policy.catch_up_per_second
    before: Counter[str] = Counter()
    for delivery in deliveries:
        due_at = now + before[delivery.lane_id] * pause_seconds
        outcome: str = script(
            keys=[
                keys.delivery(delivery.id),
                keys.due,
                keys.exhausted_deliveries,
                keys.attempts(delivery.id),
                keys.job(delivery.job_id),
                keys.lane_running(delivery.lane_id),
                keys.lane_waiting(delivery.lane_id),
                keys.lane_missed(delivery.lane_id),
            ],
            args=[delivery.id, f"{store.clock.now():.3f}", f"{due_at:.3f}"],
        )
        before[delivery.lane_id] += outcome in {"resent", "hastened"}
        yield delivery, outcome


def events_missed(store: Store, endpoint: Endpoint, *, since: float) -> Iterator[LogEntry]:
    """The events since this moment that the named endpoint takes and has never got, the latest first.

    They happened before it was added, or before it asked for their type.
    """
    wanted = (entry for entry in store.event_log.newest(since) if endpoint.takes(entry.type))
    while chunk := list(islice(wanted, CHUNK)):
        with store.client.pipeline(transaction=False) as pipeline:
            for entry in chunk:
                pipeline.exists(store.keys.delivery(identifiers.endpoint_delivery_id(entry.event_id, endpoint.id)))
            known = pipeline.execute()
        yield from (entry for entry, is_there in zip(chunk, known, strict=True) if not is_there)


def send_missed(store: Store, endpoint: Endpoint, entries: Iterable[LogEntry]) -> Iterator[tuple[LogEntry, str]]:
    """Each of these events with what became of it: one after the other they are due for the endpoint, at its rate.

    `resent`: it goes out. `under_way`: it was sent meanwhile. `job_expired`: there is nothing left to say of it.
    """
    script = load_script(store.client, "tell")
    now, number = store.clock.now(), 0
    pause_seconds = 1 / store.lanes.policy.catch_up_per_second
    for entry in entries:
        job = store.jobs.load(entry.job_id)
        if job is None:
            yield entry, "job_expired"
            continue
        fields = dict(zip(*[iter(delivery_fields(_draft(entry, endpoint), job))] * 2, strict=True))
        # No message of it is on its way yet, which a fence would say.
        del fields["fence"]
        added = script(
            keys=[store.keys.delivery(fields["id"]), store.keys.due],
            args=[
                fields["id"],
                f"{now + number * pause_seconds:.3f}",
                *(part for pair in fields.items() for part in pair),
            ],
        )
        number += 1
        yield entry, "resent" if added else "under_way"


def _draft(entry: LogEntry, endpoint: Endpoint) -> DeliveryDraft:
    event = EventDraft(
        event_id=entry.event_id,
        type=entry.type,
        sequence=entry.sequence,
        state=JobState(entry.state),
        occurred_at=entry.occurred_at,
        error=entry.error,
    )
    return DeliveryDraft.of(event, identifiers.endpoint_delivery_id(entry.event_id, endpoint.id), endpoint.id)
