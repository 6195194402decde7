"""The desk that most tests of the simulator work at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.simulator.support import Desk, open_desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_desk() as opened:
        yield opened
