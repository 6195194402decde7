"""What all workers have learned of how long jobs take at the provider, by their `steps` and `num_output`.

Like other notes it has a connection without patience: a worker that cannot read or write it asks by the settings, and
nothing waits for it.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from sceneshift.jobs.latency import Latency
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

log = logging.getLogger(__name__)

READ_AGAIN_SECONDS = 5.0
"""What was read serves for so long; and so long nothing is asked of a job store that did not answer."""
WEIGHT = 0.03
"""What one more job counts for: after a hundred, what was before them has a twentieth of the weight."""
VARIANCE_FIRST = 0.5
"""Of the logarithm, before two jobs are known: two jobs in three lie between half of the first's time and twice it."""
OUTLIER_MIN = 1.5
OUTLIER_DEVIATIONS = 3.0
"""A time counts as no further from the median than a factor of 4.5 (e to the 1.5), or three deviations if more."""


@dataclass(frozen=True, slots=True)
class _Reading:
    latency: Latency | None
    read_at: float


class Latencies:
    """The measured latencies of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._learn = load_script(client, "learn_latency")
        self._lock = threading.Lock()
        self._readings: dict[tuple[int, int], _Reading] = {}

    def expected(self, steps: int, outputs: int) -> Latency | None:
        """What such jobs take; None when nothing is known. A few seconds old, or older while the store is away."""
        bucket = (steps, outputs)
        with self._lock:
            reading = self._readings.get(bucket)
            try:
                now = self._clock.now()
                if reading is None or not 0 <= now - reading.read_at < READ_AGAIN_SECONDS:
                    # Noted before it is read: what fails is not tried again at once.
                    self._readings[bucket] = _Reading(reading.latency if reading else None, now)
                    reading = self._readings[bucket] = _Reading(self._read(steps, outputs), now)
            except RedisError as error:
                log.warning("latency.not_read", extra={"error": type(error).__name__})
        return reading.latency if reading else None

    def learn(self, job_id: str, steps: int, outputs: int, seconds: float) -> None:
        """This job's time is taken in; once, when the call is repeated.

        Raises:
            RedisError: the job store is away.
        """
        self._learn(
            keys=[self._keys.latency(steps, outputs)],
            args=[f"{math.log(seconds):.6f}", job_id, WEIGHT, VARIANCE_FIRST, OUTLIER_MIN, OUTLIER_DEVIATIONS],
        )

    def _read(self, steps: int, outputs: int) -> Latency | None:
        mean, variance = self._client.hmget(self._keys.latency(steps, outputs), "mean", "variance")
        if mean is None or variance is None:
            return None
        return Latency(median_seconds=math.exp(float(mean)), deviation=math.sqrt(float(variance)))
