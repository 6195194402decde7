"""How many jobs the simulated provider was at, from the beginnings and ends that it says itself.

The provider is at a job from its acceptance until its pictures are done, whether anybody has asked about it or not. Our
slot is taken from the intent until a poll has seen the end, so it is never shorter than the provider's time, except for
a submission whose answer was lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """The times of all accepted jobs, as (accepted at, ends at) in unix seconds."""

    spans: tuple[tuple[float, float], ...]

    @property
    def most(self) -> int:
        """The largest number of jobs that the provider was at."""
        most = running = 0
        for _, step in self._steps():
            running += step
            most = max(most, running)
        return most

    @property
    def mean_seconds(self) -> float:
        """The provider's mean time for a job."""
        return sum(end - start for start, end in self.spans) / len(self.spans)

    def throughput(self, slots: int) -> float:
        """The share of the ideal, which is that whoever is next in the order of acceptance has each slot at once.

        The last jobs leave slots empty in the ideal too, so that is no loss.
        """
        free_at = [0.0] * slots
        ideal_seconds = 0.0
        for start, end in sorted(self.spans):
            done_at = heapq.heappop(free_at) + end - start
            heapq.heappush(free_at, done_at)
            ideal_seconds = max(ideal_seconds, done_at)
        return ideal_seconds / (max(end for _, end in self.spans) - min(start for start, _ in self.spans))

    def utilisation(self, slots: int) -> float:
        """The mean share of slots in use while there was more to do: from when all were taken to the last acceptance.

        0 when they never were.
        """
        since = self._full_since(slots)
        until = max(start for start, _ in self.spans)
        if since is None or until <= since:
            return 0.0
        used = sum(max(0.0, min(end, until) - max(start, since)) for start, end in self.spans)
        return used / (until - since) / slots

    def _full_since(self, slots: int) -> float | None:
        running = 0
        for at, step in self._steps():
            running += step
            if running >= slots:
                return at
        return None

    def _steps(self) -> list[tuple[float, int]]:
        """Each beginning and end in order of time; an end makes room for a beginning of the same moment."""
        ends = [(end, -1) for _, end in self.spans]
        return sorted([*ends, *((start, 1) for start, _ in self.spans)])


@dataclass(slots=True)
class Watch:
    """Collects the times from what the simulator's page shows, which are the latest fifty submissions."""

    seen: dict[str, tuple[float, float]] = field(default_factory=dict)

    def note(self, state: Mapping[str, Any]) -> None:
        """What the page showed at one moment."""
        for submission in state["submissions"]:
            ends_at = max(task["ends_at"] for task in submission["tasks"])
            self.seen[submission["result_key"]] = (submission["accepted_at"], ends_at)

    def occupancy(self, submits: Iterable[Mapping[str, Any]]) -> Occupancy:
        """The times of every submission that the ledger says was accepted.

        Raises:
            LookupError: some of them were never on the page when it was looked at.
        """
        accepted = [call["result_key"] for call in submits if call["accepted"]]
        if missed := [key for key in accepted if key not in self.seen]:
            raise LookupError(f"{len(missed)} submissions were not seen on the simulator's page: look more often")
        return Occupancy(spans=tuple(self.seen[key] for key in accepted))
