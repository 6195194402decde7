"""What the simulated worlds of all these tests have in common."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from tests.faults.processor import on_one_processor


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Each process of the tests has one of its own, as far as there are enough."""
    with on_one_processor(int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))):
        yield


@pytest.fixture(autouse=True, scope="module")
def young_garbage_alone() -> Iterator[None]:
    """What all other tests have left in memory is not looked through again and again: a world makes much garbage."""
    gc.freeze()
    yield
    gc.unfreeze()
