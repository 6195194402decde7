"""The job store as one object: records, due index, outbox and timelines on one connection and one clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.clock import Clock, RedisClock
from sceneshift.settings import Settings
from sceneshift.store.answers import AnswerStore
from sceneshift.store.bad_messages import BadMessages
from sceneshift.store.breaker import Breaker
from sceneshift.store.connection import NOTES, Patience, connect
from sceneshift.store.deliveries import DeliveryStore
from sceneshift.store.due import DueIndex
from sceneshift.store.durability import DiskWait
from sceneshift.store.endpoints import EndpointBook
from sceneshift.store.event_log import EventLog
from sceneshift.store.jobs import JobStore
from sceneshift.store.keys import Keys
from sceneshift.store.lane_policy import LanePolicy
from sceneshift.store.lanes import Lanes
from sceneshift.store.latencies import Latencies
from sceneshift.store.ledger import Ledger
from sceneshift.store.permits import Limits, Permits
from sceneshift.store.recovery import Recovery
from sceneshift.store.timeline import Timeline

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """All that is kept of jobs."""

    client: Redis
    keys: Keys
    clock: Clock
    jobs: JobStore
    due: DueIndex
    deliveries: DeliveryStore
    lanes: Lanes
    endpoints: EndpointBook
    event_log: EventLog
    timeline: Timeline
    answers: AnswerStore
    permits: Permits
    breaker: Breaker
    ledger: Ledger
    latencies: Latencies
    recovery: Recovery
    bad_messages: BadMessages


def open_job_store(
    settings: Settings, *, patience: Patience, client: Redis | None = None, clock: Clock | None = None
) -> Store:
    """The store that the settings name; nothing is sent before it is used."""
    url = settings.redis_url.get_secret_value()
    notes = client or connect(url, NOTES)
    client = client or connect(url, patience)
    keys = Keys(settings.key_prefix)
    bad_messages = BadMessages(notes, keys, clock)
    clock = clock or RedisClock(client)
    lanes = Lanes(client, keys, clock, LanePolicy.from_settings(settings))
    retention, lease = settings.job_retention_seconds, settings.lease_seconds
    endpoints = EndpointBook(client, keys)
    return Store(
        client=client,
        keys=keys,
        clock=clock,
        jobs=JobStore(
            client,
            keys,
            clock,
            lease_seconds=lease,
            retention_seconds=retention,
            slots=settings.max_in_flight,
            disk=DiskWait(client, settings.disk_wait_seconds),
            endpoints=endpoints,
        ),
        due=DueIndex(client, keys, clock, lease_seconds=lease),
        deliveries=DeliveryStore(client, keys, clock, lanes),
        lanes=lanes,
        endpoints=endpoints,
        event_log=EventLog(client, keys, clock, retention_seconds=retention),
        timeline=Timeline(client, keys),
        answers=AnswerStore(notes, keys, retention_seconds=retention),
        permits=Permits(client, keys, clock, Limits.from_settings(settings)),
        breaker=Breaker(client, keys, clock),
        ledger=Ledger(client, keys, clock),
        latencies=Latencies(notes, keys, clock),
        recovery=Recovery(client, keys, clock),
        bad_messages=bad_messages,
    )
