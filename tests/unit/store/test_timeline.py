"""Waiting for a job's next entry: a notice wakes the waiter, and a lost notice only delays it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sceneshift.store import timeline
from sceneshift.store.opening import Store
from tests.factories import a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place

PATIENCE_SECONDS = 20.0


@contextmanager
def waiting(store: Store, job_id: str, timeout_seconds: float | None) -> Iterator[queue.Queue[str]]:
    """A thread that watches and waits once; it says when it is ready and when it was woken."""
    told: queue.Queue[str] = queue.Queue()

    def wait() -> None:
        with store.timeline.watching(job_id) as watch:
            told.put("ready")
            watch.wait(timeout_seconds)
            told.put("woken")

    thread = threading.Thread(target=wait)
    thread.start()
    yield told
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("timeout_seconds", [None, 1_000.0])
def test_an_entry_wakes_a_waiter(store: Store, monkeypatch: pytest.MonkeyPatch, timeout_seconds: float | None) -> None:
    """What is written after a watch was opened ends its waiting at once, not when it would look again."""
    monkeypatch.setattr(timeline, "READ_AGAIN_SECONDS", 1_000.0)
    job = place(store, SITUATIONS["rendering"])
    with waiting(store, job.id, timeout_seconds) as told:
        assert told.get(timeout=PATIENCE_SECONDS) == "ready"
        assert store.jobs.transition(job, EVENTS["results"])
        assert told.get(timeout=PATIENCE_SECONDS) == "woken"


def test_a_waiter_looks_itself_now_and_then(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a notice was lost, the waiting ends nevertheless."""
    monkeypatch.setattr(timeline, "READ_AGAIN_SECONDS", 0.01)
    with waiting(store, a_job().id, None) as told:
        assert told.get(timeout=PATIENCE_SECONDS) == "ready"
        assert told.get(timeout=PATIENCE_SECONDS) == "woken"


def test_a_waiter_with_little_time_waits_no_longer(store: Store) -> None:
    """The waiting ends with the waiter's own time."""
    with waiting(store, a_job().id, 0.01) as told:
        assert told.get(timeout=PATIENCE_SECONDS) == "ready"
        assert told.get(timeout=PATIENCE_SECONDS) == "woken"


def test_entries_are_read_from_a_position_on(store: Store) -> None:
    """A reader that has seen some gets only those that are new to it."""
    job = place(store, SITUATIONS["rendering"])
    assert store.jobs.transition(job, EVENTS["results"])
    everything = store.timeline.read(job.id)
    assert [entry["state"] for entry in everything] == ["queued", "storing"]
    assert store.timeline.read(job.id, start=1) == everything[1:]
    assert store.timeline.read(job.id, start=2) == []
    assert store.timeline.read("job_GONE") == []
