"""A workshop on either job store, with the services of the process put back afterwards."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tests.unit.tasks.workshop import Workshop


@pytest.fixture
def work(store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Real tasks and a real job store between fake ports."""
    monkeypatch.setattr("tasks.services._services", None)
    return Workshop(store, settings, clock)
