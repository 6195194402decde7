"""Where a simulated world runs: on one processor, because its threads take turns, and a turn elsewhere costs more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def stay_on_one_processor(number: int) -> None:
    """This thread, and those that it starts, stay on one of the processors that it may use, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[number % len(allowed)]})


@contextmanager
def on_one_processor(number: int) -> Iterator[None]:
    """The same, for as long as this lasts."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    stay_on_one_processor(number)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
