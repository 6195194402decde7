"""Has the job store lost what it had confirmed? Decided from what a process knew of the server, and what it finds now.

A server that was restarted with its append-only file, a replica that joins and a failover without loss show none of
these signs: a new replication id says nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

DAY_SECONDS = 86_400
WITNESS_DAYS = 2
"""A witness counts for one day; its count is compared for a day longer, and then removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """A primary's place in the stream of writes, which replicas of it share.

    `earlier_id` is the stream that it took over when it was promoted, having received it up to `earlier_offset`.
    """

    id: str
    offset: int
    earlier_id: str
    earlier_offset: int

    @classmethod
    def from_info(cls, information: Mapping[str, Any]) -> Self | None:
        """What INFO says of a primary; None for a replica, and where it does not say."""
        try:
            if information["role"] != "master":
                return None
            return cls(
                id=str(information["master_replid"]),
                offset=int(information["master_repl_offset"]),
                earlier_id=str(information["master_replid2"]),
                # The server names the first byte that it does not have in common.
                earlier_offset=int(information["second_repl_offset"]) - 1,
            )
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of a server at one moment: its identity, the intents of each witness, and its stream of writes."""

    generation: str
    counts: Mapping[str, int] = field(default_factory=dict)
    replication: Replication | None = None


def loss(seen: Sight, found: Sight, *, today: int) -> str:
    """What the server must have lost between two sights, for people; empty when nothing says that it lost anything."""
    if not found.generation:
        return "the job store has forgotten everything: it does not know its own identity any more"
    if found.generation != seen.generation:
        return "the job store is another one, or began anew: its identity has changed"
    forgotten = sum(
        max(0, count - found.counts.get(witness, 0))
        for witness, count in seen.counts.items()
        if witness_day(witness) > today - WITNESS_DAYS
    )
    if forgotten:
        return f"the job store has forgotten at least {forgotten} submissions that it had confirmed"
    return _replication_loss(seen.replication, found.replication)


def _replication_loss(seen: Replication | None, found: Replication | None) -> str:
    if seen is None or found is None:
        return ""
    if found.id == seen.id and found.offset < seen.offset:
        return f"the job store has gone back: its replication offset was {seen.offset}, and is {found.offset}"
    if found.id != seen.id and found.earlier_id == seen.id and found.earlier_offset < seen.offset:
        lost_bytes = seen.offset - found.earlier_offset
        return f"a replica that lacked the last {lost_bytes} bytes or more became the job store"
    return ""


def witness_day(witness: str) -> int:
    """The day (since 1970) on which this witness began; 0 for what is no witness of ours."""
    day = witness.partition("-")[0]
    return int(day) if day.isdecimal() else 0
