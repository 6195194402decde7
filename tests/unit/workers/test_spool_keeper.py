"""The spool is looked after for as long as the worker runs, whatever a look meets."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tasks.spool import SpooledKey
from tests.unit.tasks.workshop import Workshop
from workers.spool_keeper import INTERVAL_SECONDS, SpoolKeeper


def test_a_look_that_fails_is_logged_and_followed_by_another(
    store: Store,
    settings: Settings,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error that nobody foresaw costs one look: the key stays where it is, and the next look hands it on."""
    monkeypatch.setattr("tasks.services._services", None)
    services = Workshop(store, settings, clock).services
    key = SpooledKey(job_id="job_X", nonce="n", result_key="k", request_id=None, sent_at=clock.now())
    services.spool.keep(key)
    services.spool.defer(key)
    keeper = SpoolKeeper(services)
    with monkeypatch.context() as broken:
        broken.setattr(store.jobs, "load", lambda _job_id: 1 / 0)
        assert keeper._turn() == INTERVAL_SECONDS
    assert [record.getMessage() for record in caplog.records] == ["spool.failed"]
    assert services.spool.deferred() == [key]
    assert keeper._turn() == INTERVAL_SECONDS
    assert services.spool.deferred() == []
