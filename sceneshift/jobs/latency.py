"""How long jobs take at the provider, as far as it has been measured: what decides when it is worth asking.

The times of jobs with the same `steps` and `num_output` are taken to be lognormal. Only two numbers of them are kept,
and old jobs are forgotten, so that a provider that has become three times as slow or as quick is known again after a
hundred jobs. All times are seconds from the acceptance of a job to the provider being done with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SOONEST = -1.7
"""The first question comes so many deviations from the median: when one job in twenty or so is done."""
LATEST = 2.33
"""From so many deviations on, where one job in a hundred still is, questions may be rarer."""
AGE_SHARE = 0.099
"""The pause between two questions, as a share of the job's age: so a result is late by a tenth of its job's time."""
LATE_FACTOR = 2.0
DONE_FACTOR = 1.25
"""Of the time by which 99 in 100 are done: until then, a submission whose answer is lost may be under way."""

DEVIATION_MIN = 0.1
DEVIATION_MAX = 1.5
"""However alike or unlike the last jobs were, the next may differ by so much, and no first question waits for more."""

FIRST_POLL_SHARE = 0.6
"""A job that is found finished at its first poll is taken to have taken so much of its age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What such jobs take: the median, and the standard deviation of the logarithm."""

    median_seconds: float
    deviation: float

    @property
    def soonest_seconds(self) -> float:
        """The age at which a job is worth the first question."""
        return self.median_seconds * math.exp(SOONEST * self._bounded_deviation)

    @property
    def done_seconds(self) -> float:
        """The age at which such a job is done but for very few."""
        return DONE_FACTOR * self.median_seconds * math.exp(LATEST * self._bounded_deviation)

    def pause_seconds(self, age_seconds: float) -> float:
        """The pause after a question about a job of this age that was not finished."""
        is_late = math.log(max(age_seconds, 1e-3) / self.median_seconds) > LATEST * self._bounded_deviation
        return age_seconds * AGE_SHARE * (LATE_FACTOR if is_late else 1.0)

    @property
    def _bounded_deviation(self) -> float:
        return min(DEVIATION_MAX, max(DEVIATION_MIN, self.deviation))


def between_polls(previous_seconds: float, age_seconds: float) -> float:
    """What a job took that was unfinished at the first age and finished at the second: their geometric mean.

    Without an earlier question (0), or with one long ago, the age is only an upper bound: then a fixed share of it is
    taken, so that whoever begins to ask too late comes down from poll to poll.
    """
    return math.sqrt(age_seconds * max(previous_seconds, FIRST_POLL_SHARE**2 * age_seconds))
