"""What the real code finds around it in a simulation: time that the kernel tells, and chance that the seed decides.

The code asks its modules (`time`, `secrets`, `uuid`) as ever; what these answer is put in their place for the length of
a run, as a test's clock library does. Nothing of that is known to the code.
"""

from __future__ import annotations

import base64
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.faults.kernel import Kernel, TurnLock

MACHINE_STARTED = 1_000_000.0
"""What is taken from unix time for the clock that no one sets."""


@contextmanager
def simulated(kernel: Kernel) -> Iterator[None]:
    """Time is the kernel's, waiting is virtual, and new ids come from its seed, for all that runs inside."""
    chance = kernel.random

    def token_bytes(count: int | None = None) -> bytes:
        return chance.randbytes(count or 32)

    clocks = _clocks(kernel)
    changes: list[tuple[str, Any]] = [
        # Where the code asks the time of day or how long something took.
        ("sceneshift.clock.time", clocks),
        ("sceneshift.messages.time", clocks),
        # Where the code holds a lock during a round trip.
        ("sceneshift.store.latencies.threading", SimpleNamespace(Lock=lambda: TurnLock(kernel))),
        # Where libraries ask or wait.
        ("fakeredis._socket._base.time", clocks),
        ("fakeredis.commands_mixins.server_mixin.time", clocks),
        ("fakeredis._helpers.time", clocks),
        ("redis.retry.sleep", kernel.sleep),
        ("botocore.endpoint.time", clocks),
        ("secrets.token_bytes", token_bytes),
        ("secrets.token_hex", lambda count=None: token_bytes(count).hex()),
        ("secrets.token_urlsafe", lambda count=None: _urlsafe(token_bytes(count))),
        ("secrets.randbits", chance.getrandbits),
        ("uuid.uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)),
    ]
    patches = [patch(name, value) for name, value in changes]
    for each in patches:
        each.start()
    # The pauses of boto3's retries are drawn from the module's own generator.
    drawn_before = random.getstate()
    random.seed(chance.getrandbits(64))
    try:
        yield
    finally:
        random.setstate(drawn_before)
        for each in reversed(patches):
            each.stop()


def _clocks(kernel: Kernel) -> SimpleNamespace:
    """Stands where a module has `time`."""
    return SimpleNamespace(
        time=lambda: kernel.now,
        monotonic=lambda: kernel.now - MACHINE_STARTED,
        clock_gettime=lambda _clock: kernel.now - MACHINE_STARTED,
        perf_counter=time.perf_counter,
        CLOCK_BOOTTIME=7,
        sleep=kernel.sleep,
    )


def _urlsafe(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
