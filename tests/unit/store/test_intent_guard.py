"""What is checked in the very script that stores an intent: recovery mode, forgotten intents, and slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.jobs import (
    AcceptanceNotOnDiskError,
    IntentGuard,
    JobStore,
    NotOnDiskError,
    RecoveringError,
    RolledBackError,
    SlotsFullError,
)
from sceneshift.store.opening import Store
from sceneshift.store.scripts import Script
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import everything, place


def records(store: Store, **options: Any) -> JobStore:
    """The records of this store, by these options."""
    return JobStore(store.client, store.keys, store.clock, lease_seconds=20.0, retention_seconds=3600.0, **options)


def queued(store: Store) -> JobRecord:
    return place(store, SITUATIONS["queued"].evolve(id=a_job().id))


def store_intent(store: Store, job: JobRecord, **guard: Any) -> bool:
    return store.jobs.transition(job, EVENTS["intent"], guard=IntentGuard(**guard)) is not None


def test_no_intent_is_stored_in_recovery_mode(store: Store) -> None:
    """Not one byte of the job changes; every other event goes on."""
    job, rendering = queued(store), place(store, SITUATIONS["rendering"].evolve(id=a_job().id))
    store.recovery.begin("a test")
    before = everything(store.client)
    with pytest.raises(RecoveringError):
        store_intent(store, job)
    assert everything(store.client) == before
    assert store.jobs.transition(rendering, EVENTS["poll later"])


def test_a_server_that_knows_fewer_intents_than_its_witness_gets_no_more(store: Store) -> None:
    """The count goes up with each intent; a server on which it is lower has forgotten one."""
    assert store_intent(store, queued(store), witness="1-a", witnessed=0)
    assert store_intent(store, queued(store), witness="1-a", witnessed=1)
    store.client.hset(store.keys.witnesses, "1-a", "1")
    job = queued(store)
    before = everything(store.client)
    with pytest.raises(RolledBackError):
        store_intent(store, job, witness="1-a", witnessed=2)
    assert everything(store.client) == before
    assert store_intent(store, job, witness="1-b", witnessed=0)


@pytest.mark.parametrize(
    ("setting", "limit", "taken"), [(2, None, 2), (2, "3", 3), (None, "1", 1), (1, "none", 4), (None, None, 4)]
)
def test_the_limit_set_at_run_time_counts_before_the_setting(
    store: Store, setting: int | None, limit: str | None, taken: int
) -> None:
    """Of four intents as many are stored as there are slots by the hash of limits, or else by the setting."""
    jobs = records(store, slots=setting)
    if limit is not None:
        store.client.hset(store.keys.limits, "max_in_flight", limit)
    stored = 0
    for _ in range(4):
        try:
            stored += jobs.transition(queued(store), EVENTS["intent"], guard=IntentGuard()) is not None
        except SlotsFullError:
            assert store.jobs.counts()[JobState.SUBMITTING] == taken
    assert stored == taken


def test_a_probe_has_its_slot_already(store: Store) -> None:
    """The job counts among those in flight: asking again takes none."""
    job = place(store, SITUATIONS["submitting"])
    assert records(store, slots=1).transition(job, EVENTS["probe"], guard=IntentGuard(takes_slot=False))


class StuckDisk:
    """A server whose disk confirms nothing."""

    def call(self, script: Script, keys: Sequence[str], args: Sequence[str | float]) -> tuple[Any, bool | None]:
        return script(keys=keys, args=args), False


@pytest.fixture
def unconfirmed(store: Store) -> JobStore:
    """The records of this store, on a server whose disk does not confirm."""
    return records(store, disk=StuckDisk())


def test_an_order_that_is_not_on_disk_is_not_said_to_be_accepted(unconfirmed: JobStore) -> None:
    """The caller hears of it; the order is there, and its key finds it."""
    job = a_job()
    with pytest.raises(AcceptanceNotOnDiskError):
        unconfirmed.accept(job, publish=True)
    assert unconfirmed.load(job.id) is not None


@pytest.mark.parametrize("event", ["accepted", "attach"])
def test_a_result_key_that_is_not_on_disk_is_told(store: Store, unconfirmed: JobStore, event: str) -> None:
    """The change is made, and whoever made it knows that it may be lost."""
    job = place(store, SITUATIONS["held, answer lost"])
    with pytest.raises(NotOnDiskError) as told:
        unconfirmed.transition(job, EVENTS[event])
    stored = unconfirmed.load(job.id)
    assert stored is not None
    assert (stored.state, stored.result_key) == (JobState.RENDERING, told.value.change.after.result_key)
    assert not unconfirmed.is_on_disk()


def test_an_intent_that_is_not_on_disk_is_told(store: Store, unconfirmed: JobStore) -> None:
    """Nothing may be sent on its strength."""
    with pytest.raises(NotOnDiskError):
        unconfirmed.transition(queued(store), EVENTS["intent"], guard=IntentGuard())


@pytest.mark.parametrize("event", ["poll later", "results", "cancel"])
def test_what_costs_nothing_does_not_wait_for_the_disk(store: Store, unconfirmed: JobStore, event: str) -> None:
    """Only orders, intents and result keys are worth the wait."""
    assert unconfirmed.transition(place(store, SITUATIONS["rendering"]), EVENTS[event])
