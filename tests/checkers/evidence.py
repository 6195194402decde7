"""What a run has left behind, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.deliveries import Delivery
from storage.manifest import Manifest

_RESUBMIT = re.compile(r"resubmit\((\d+), ?(\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a policy promises: so many charges more than one for a job, and so many submissions more for all together.

    `more_in_all` is None where a submission may be repeated because it cannot be charged twice.
    """

    more_per_job: int = 0
    more_in_all: int | None = 0

    @classmethod
    def of_policy(cls, unknown_outcome: str, *, days: int = 1) -> Self:
        """The bound of this value of SCENESHIFT_UNKNOWN_OUTCOME; a budget is for a day."""
        if found := _RESUBMIT.fullmatch(unknown_outcome):
            return cls(more_per_job=int(found[1]), more_in_all=int(found[2]) * days)
        return cls(more_in_all=None) if unknown_outcome == "probe" else cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of the bucket, as its bytes are; `is_image` says that they are a whole picture."""

    size_bytes: int
    sha256: str
    is_image: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedWebhook:
    """One webhook as its receiver had it; `is_authentic` says that its signature was verified there."""

    id: str
    body: Mapping[str, Any]
    is_authentic: bool
    accepted: bool = True
    """The receiver answered that it has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLedger:
    """What our own ledger says: submissions that were charged, and submissions that may have been."""

    charged: int
    unknown: int

    def contradicts(self, provider_charged: int) -> str:
        """How the provider's sum lies outside what our ledger allows, as a sentence; empty when it does not."""
        most = self.charged + self.unknown
        if self.charged <= provider_charged <= most:
            return ""
        return f"the provider charged {provider_charged} images; our ledger says {self.charged} to {most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run that is over: its faults have ended, and nothing moves any more.

    Attributes:
        bound: what the policy for lost answers allows.
        accepted: the orders that their callers were told are stored: the job's id, and its prompt, which is its own.
        submits: the provider's submit calls in their order, with `nonce`, `result_key`, `charged`, `positive_prompt`.
        pictures: by result key, the digests of the pictures that the provider made, by index; empty when unknown.
        more_allowed: by job id, charges beyond the policy's that a person has asked for.
        unremembered: by job id, submissions sent again after the job store had forgotten them, while nobody could know.
        forgettable: jobs that the job store may have lost, because it was turned back to before it had them.
        was_turned_back: the job store has lost what it had confirmed: what was told then may never have been, and may
            be told once more with another end.
        due: the due index.
        indexes: the jobs of each state, by the state indexes.
        cancelled: what callers were told that cancelling a job cost (`free`, `charged_kept`, …), by its id.
        leases: steps that a worker still claims to be at.
        spooled: result keys that still wait on a worker's disk for the job store.
        captured: bytes that others could read, by where they were: logs, queues, pages, dumps, webhooks.
        canaries: secrets that must not be in them, by name.
        known_there: by place, the canaries that belong there: the job store has the prompts.
    """

    bound: Bound
    accepted: Mapping[str, str]
    jobs: Mapping[str, JobRecord]
    timelines: Mapping[str, Sequence[Mapping[str, Any]]]
    deliveries: Mapping[str, Sequence[Delivery]]
    submits: Sequence[Mapping[str, Any]]
    objects: Mapping[str, StoredObject]
    manifests: Mapping[str, Manifest]
    due: Mapping[str, float]
    indexes: Mapping[JobState, frozenset[str]]
    ledger: OwnLedger
    slots_in_use: int = 0
    webhooks: Sequence[ReceivedWebhook] = ()
    pictures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    more_allowed: Mapping[str, int] = field(default_factory=dict)
    unremembered: Mapping[str, int] = field(default_factory=dict)
    forgettable: frozenset[str] = frozenset()
    was_turned_back: bool = False
    cancelled: Mapping[str, str] = field(default_factory=dict)
    leases: Sequence[str] = ()
    spooled: Sequence[str] = ()
    captured: Mapping[str, bytes] = field(default_factory=dict)
    canaries: Mapping[str, str] = field(default_factory=dict)
    known_there: Mapping[str, frozenset[str]] = field(default_factory=dict)
