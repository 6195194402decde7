"""A submission as it is remembered outside of the job store, so that a store that forgot it can be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sceneshift.errors import UnknownRecordError
from sceneshift.identifiers import created_at
from sceneshift.jobs.order import JobOrder
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.messages import FIRST_STEP

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One request that was about to be sent: the `number`-th of its job, at `at` (unix seconds).

    With the order in it, a job that the store has lost altogether can be stored again; with what the job had cost
    before, and how often it had been resubmitted, nothing of that is forgotten either.
    """

    job_id: str
    number: int
    epoch: int
    nonce: str
    request_hash: str
    at: float
    order: JobOrder
    deadline_at: float | None
    earlier_charge: Charge = Charge.NOT_CHARGED
    resubmits: int = 0

    @classmethod
    def of(cls, job: JobRecord) -> Intent:
        """The intent that this record has just been given."""
        return cls(
            job_id=job.id,
            number=job.submits,
            epoch=job.epoch,
            nonce=job.nonce,
            request_hash=job.request_hash,
            at=job.created_at if job.intent_at is None else job.intent_at,
            order=job.order,
            deadline_at=job.deadline_at,
            earlier_charge=job.earlier_charge,
            resubmits=job.resubmits,
        )

    def lost_job(self) -> JobRecord:
        """The job as it was when it was accepted."""
        return JobRecord(
            id=self.job_id,
            state=JobState.QUEUED,
            step=FIRST_STEP,
            order=self.order,
            created_at=created_at(self.job_id),
            deadline_at=self.deadline_at,
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, by name."""
        return {
            "version": FORMAT_VERSION,
            "job_id": self.job_id,
            "number": self.number,
            "epoch": self.epoch,
            "nonce": self.nonce,
            "request_hash": self.request_hash,
            "at": self.at,
            "order": json.loads(self.order.to_json()),
            "deadline_at": self.deadline_at,
            "earlier_charge": str(self.earlier_charge),
            "resubmits": self.resubmits,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Intent:
        """What `to_json` described; fields of a later release are ignored, for no intent is ever written anew.

        Raises:
            UnknownRecordError: a later release wrote it, in another form, or it is something else.
        """
        try:
            version = int(document["version"])
            if version > FORMAT_VERSION:
                raise unknown_intent(f"version {version}")
            return cls._of(document)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise unknown_intent(f"a part of another form ({type(error).__name__})") from error

    @classmethod
    def _of(cls, document: dict[str, Any]) -> Intent:
        return cls(
            job_id=str(document["job_id"]),
            number=int(document["number"]),
            epoch=int(document["epoch"]),
            nonce=str(document["nonce"]),
            request_hash=str(document["request_hash"]),
            at=float(document["at"]),
            order=JobOrder.from_json(json.dumps(document["order"])),
            deadline_at=None if document["deadline_at"] is None else float(document["deadline_at"]),
            earlier_charge=Charge(document["earlier_charge"]),
            resubmits=int(document["resubmits"]),
        )


def unknown_intent(what: str) -> UnknownRecordError:
    """The error that says `what` this release does not know of an intent."""
    return UnknownRecordError(
        f"this release does not understand what the bucket's intent log has: {what} (known are versions up to "
        f"{FORMAT_VERSION}). A worker of the release that wrote it can merge it",
        what=what,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of some intents: `held` jobs, those of them that had to be stored again, and submissions left over.

    `unknown` counts those that could not be merged, because a later release wrote the intent or the job.
    """

    intents: int = 0
    held: int = 0
    restored: int = 0
    unclaimed: int = 0
    unknown: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(
            intents=self.intents + other.intents,
            held=self.held + other.held,
            restored=self.restored + other.restored,
            unclaimed=self.unclaimed + other.unclaimed,
            unknown=self.unknown + other.unknown,
        )

    def __str__(self) -> str:
        text = f"{self.intents} intents looked at, {self.held} jobs held"
        if self.restored:
            text += f", {self.restored} of them lost and stored again"
        if self.unclaimed:
            text += f", {self.unclaimed} submissions left over, of jobs that are elsewhere by now"
        if self.unknown:
            text += f", {self.unknown} of a later release, which this one cannot merge"
        return text

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What stands in the mode's description, whichever release wrote it."""
        return cls(**{name: int(document.get(name, 0)) for name in cls.__slots__})
