"""The office that the tests of timekeepers work in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceneshift.store.opening import Store
from tests.unit.workers.office import Office


@pytest.fixture
def office(store: Store, tmp_path: Path) -> Office:
    """A timekeeper that a test moves tick by tick."""
    return Office(store, tmp_path / "heartbeat")
