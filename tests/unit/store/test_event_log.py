"""The log of events: in one order, without gaps, and never silent about what a reader has missed."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from sceneshift.errors import CursorExpiredError, InvalidRequestError, UnknownRecordError
from sceneshift.jobs.change import Change
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.event_log import LogEntry
from sceneshift.store.opening import Store, open_job_store
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import EVENTS, FAULT, SITUATIONS
from tests.unit.store.inspection import everything, place
from workers.embedded.redis_server import RedisServer

EVENT_MAX_BYTES = 128
DAY = 86_400.0


def fail(store: Store, *, webhook_url: str | None = None) -> Change:
    """A job has failed; by default nobody gets a webhook of that."""
    order = an_order(webhook_url=webhook_url)
    job = SITUATIONS["rendering"].evolve(id=a_job().id, order=order)
    change = store.jobs.transition(place(store, job), EVENTS["rendering failed"])
    assert change is not None
    return change


def numbers(entries: list[LogEntry]) -> list[int]:
    return [int(entry.cursor.rpartition("-")[2]) for entry in entries]


def test_every_event_is_logged_with_or_without_a_webhook(store: Store) -> None:
    """What it tells is what a webhook would: the job, type, state, number, time and fault."""
    job = fail(store).after
    told = fail(store, webhook_url="https://shop.example/hook").after
    entries = store.event_log.read(None, limit=10)
    assert [entry.job_id for entry in entries] == [job.id, told.id]
    assert (entries[0].type, entries[0].sequence, entries[0].state) == ("job.failed", 1, "failed")
    assert (entries[0].occurred_at, entries[0].error) == (NOW, FAULT)
    assert entries[1].event_id == store.deliveries.of_job(told)[0].event_id


def test_a_move_without_an_event_is_not_logged(store: Store) -> None:
    """Polls are no news."""
    assert store.jobs.transition(place(store, SITUATIONS["rendering"]), EVENTS["poll later"]) is not None
    assert store.event_log.read(None, limit=10) == []


def test_a_change_that_comes_again_is_logged_once(store: Store) -> None:
    """A transition whose answer was lost is sent again, and is one event."""
    change = fail(store)
    assert store.jobs.apply(change).answer == "stale"
    assert len(store.event_log.read(None, limit=10)) == 1


def test_reading_goes_on_where_it_ended(store: Store, clock: ManualClock) -> None:
    """Page after page, by the last cursor, each event comes once and in order."""
    ids = []
    for _ in range(7):
        ids.append(fail(store).after.id)
        clock.advance(1.0)
    seen: list[LogEntry] = []
    while page := store.event_log.read(seen[-1].cursor if seen else None, limit=3):
        assert len(page) <= 3
        seen += page
    assert [entry.job_id for entry in seen] == ids
    assert numbers(seen) == [1, 2, 3, 4, 5, 6, 7]


def test_order_survives_a_clock_that_goes_back(store: Store, clock: ManualClock) -> None:
    """An event of an earlier moment is logged after those that are there, and keeps its own time."""
    fail(store)
    clock.advance(-60.0)
    fail(store)
    first, second = store.event_log.read(None, limit=10)
    assert numbers([first, second]) == [1, 2]
    assert (first.occurred_at, second.occurred_at) == (NOW, NOW - 60.0)
    assert store.event_log.read(first.cursor, limit=10) == [second]


def test_a_reader_who_was_away_for_too_long_is_told(store: Store, clock: ManualClock, settings: Settings) -> None:
    """Events that followed the cursor are gone: an error says so and from where to go on, instead of a gap."""
    fail(store)
    (first,) = store.event_log.read(None, limit=10)
    # Blocks of a hundred are dropped whole.
    for _ in range(130):
        fail(store)
    clock.advance(settings.job_retention_seconds + DAY)
    fail(store)
    with pytest.raises(CursorExpiredError, match="2026-12-24T00:00:00") as raised:
        store.event_log.read(first.cursor, limit=10)
    oldest = raised.value.oldest_cursor
    assert f"from {oldest}" in str(raised.value)
    assert oldest is not None
    assert numbers(store.event_log.read(oldest, limit=10)) == [132]
    assert numbers(store.event_log.read(None, limit=10)) == [132]
    kept = store.client.xlen(store.keys.events)
    assert kept < 132


def test_a_reader_who_has_missed_nothing_goes_on_after_any_time(
    store: Store, clock: ManualClock, settings: Settings
) -> None:
    """That the last event that it saw is gone does not matter, as long as the next one is there."""
    fail(store)
    (last,) = store.event_log.read(None, limit=10)
    clock.advance(2 * settings.job_retention_seconds)
    assert store.event_log.read(last.cursor, limit=10) == []
    fail(store)
    store.client.xtrim(store.keys.events, maxlen=1, approximate=False)
    assert numbers(store.event_log.read(last.cursor, limit=10)) == [2]


def test_a_store_that_has_lost_events_does_not_pass_for_one_without_news(store: Store, clock: ManualClock) -> None:
    """A cursor of an event that the store has forgotten is refused, also after others have taken its number."""
    for _ in range(3):
        fail(store)
        clock.advance(1.0)
    kept, _, lost = store.event_log.read(None, limit=10)
    for entry in store.event_log.read(kept.cursor, limit=10):
        store.client.xdel(store.keys.events, entry.cursor)
    with pytest.raises(CursorExpiredError):
        store.event_log.read(lost.cursor, limit=10)
    for _ in range(5):
        fail(store)
        clock.advance(1.0)
    with pytest.raises(CursorExpiredError):
        store.event_log.read(lost.cursor, limit=10)
    store.client.delete(store.keys.events)
    with pytest.raises(CursorExpiredError) as raised:
        store.event_log.read(lost.cursor, limit=10)
    assert raised.value.oldest_cursor is None


def test_a_number_that_was_given_again_is_another_event(store: Store, clock: ManualClock) -> None:
    """After a loss of the latest event alone, its number is that of another one, and its reader is told."""
    for _ in range(2):
        fail(store)
        clock.advance(1.0)
    _, lost = store.event_log.read(None, limit=10)
    store.client.xdel(store.keys.events, lost.cursor)
    fail(store)
    assert numbers(store.event_log.read(None, limit=10)) == [1, 2]
    with pytest.raises(CursorExpiredError):
        store.event_log.read(lost.cursor, limit=10)


def test_what_is_older_than_any_finished_job_is_gone(store: Store, clock: ManualClock, settings: Settings) -> None:
    """The server drops whole blocks; an event that is still in one may be of a job that has expired."""
    fail(store)
    (first,) = store.event_log.read(None, limit=10)
    fail(store)
    clock.advance(settings.job_retention_seconds + 1.0)
    fail(store)
    assert store.client.xlen(store.keys.events) == 3
    assert numbers(store.event_log.read(None, limit=10)) == [3]
    with pytest.raises(CursorExpiredError):
        store.event_log.read(first.cursor, limit=10)


@pytest.mark.parametrize("cursor", ["", "0", "now", "-1", "1-2-3", "(1-1", "1" * 30 + "-1", "1-1\n"])
def test_what_is_no_cursor_is_refused(store: Store, cursor: str) -> None:
    """It is said, and never sent to the server."""
    with pytest.raises(InvalidRequestError) as raised:
        store.event_log.read(cursor, limit=1)
    assert raised.value.param == "after"


def test_an_entry_of_another_form_is_not_guessed(store: Store) -> None:
    """What a later release may write is said to be unknown."""
    store.client.xadd(store.keys.events, {"batch": "bat_1"}, id=f"{int(NOW * 1000)}-1")
    with pytest.raises(UnknownRecordError, match="KeyError"):
        store.event_log.read(None, limit=1)


def test_a_refused_change_logs_nothing(store: Store) -> None:
    """A transition that comes too late leaves no event behind."""
    change = fail(store)
    before = everything(store.client)
    assert store.jobs.apply(change).answer == "stale"
    assert everything(store.client) == before


def test_an_event_takes_an_eighth_of_a_kilobyte(tmp_path: Path, settings: Settings, clock: ManualClock) -> None:
    """The server's own count, with ordinary ids, of an end with a fault."""
    with RedisServer(tmp_path) as server, closing(connect(server.url, TIMEKEEPER)) as client:
        store = open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)
        sizes: list[int] = []
        for _ in itertools.repeat(None, 2):
            for _ in range(1_000):
                fail(store)
                clock.advance(0.25)
            sizes.append(client.memory_usage(store.keys.events, samples=0) or 0)
        assert (sizes[1] - sizes[0]) / 1_000 <= EVENT_MAX_BYTES
