"""A job as it is stored: a Redis hash of short fields, with the order and the results beside it.

The split keeps a job in flight small: Redis packs a hash whose values are all short, and one long value undoes that.

What a later release has added to a record survives every transition here; what this release must not pass over makes
the record one that it leaves alone (`known_words` says what `version` means for that).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from sceneshift.errors import UnknownRecordError
from sceneshift.identifiers import created_at, submission_nonce
from sceneshift.jobs.known_words import JOB_WORDS, RECORD_VERSION
from sceneshift.jobs.order import JobOrder
from sceneshift.jobs.states import Charge, JobState

CancelWish = Literal["", "discard", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """Why a job failed, waits for a person, or was held up; `code` is one of docs/reference/errors.md."""

    code: str
    message: str
    request_id: str | None = None

    def to_text(self) -> str:
        """The fault as one short field of a record."""
        return json.dumps([self.code, self.message, self.request_id], ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None) -> Self | None:
        """What `to_text` wrote, or None for an empty field; what a later release has appended is ignored.

        Raises:
            TypeError, ValueError: it is something else.
        """
        if not text:
            return None
        parts = json.loads(text)
        if not isinstance(parts, list):
            raise TypeError("a fault is a list")
        code, message, request_id, *_later = parts
        return cls(code=code, message=message, request_id=request_id)


class _Document:
    """A value whose fields stand in records, manifests, webhooks and reports as they are."""

    __slots__: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields, by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` described; fields of a later version are ignored."""
        return cls(**{name: document[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputImage(_Document):
    """One stored image. `uri` is `s3://bucket/key` or `file:///path`; links that expire come with the webhook."""

    index: int
    key: str
    uri: str
    sha256: str
    content_type: str
    width: int
    height: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingOutput(_Document):
    """One image that was ordered and cannot be had, and why."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job at one moment. Times are unix seconds by the job store's clock.

    `fence` counts how often the current step was handed out and `begun` is the hand-out that a worker took, so that a
    message can be used once; `starts` counts the workers that took the current step and did not finish it.
    """

    id: str
    state: JobState
    step: str
    order: JobOrder
    created_at: float
    revision: int = 0
    fence: int = 0
    begun: int = 0
    starts: int = 0
    parent_step: str = ""
    epoch: int = 1
    earlier_charge: Charge = Charge.NOT_CHARGED
    """What the submissions before this one cost, when the job was submitted again although that may cost twice."""
    resubmits: int = 0
    """So often the policy for unknown outcomes has had it submitted again."""
    intent_at: float | None = None
    """When the submission that still counts was about to be sent, stored in whole seconds; None when there is none."""
    nonce: str = ""
    request_hash: str = ""
    result_key: str = ""
    request_id: str = ""
    charge: Charge = Charge.NOT_CHARGED
    submits: int = 0
    polls: int = 0
    strikes: int = 0
    """Bad answers in a row, of a source's server before submission or about the result after it; a good one starts the
    count anew."""
    refusals: int = 0
    """Refusals of the provider in a row that did not say why."""
    store_attempts: int = 0
    submitted_at: float | None = None
    rendered_at: float | None = None
    finished_at: float | None = None
    deadline_at: float | None = None
    overdue: bool = False
    cancel: CancelWish = ""
    blocked_by: str = ""
    blocked_until: float | None = None
    sequence: int = 0
    error: JobFault | None = None
    urls: tuple[str, ...] = ()
    outputs: tuple[OutputImage, ...] = ()
    missing: tuple[MissingOutput, ...] = ()
    version: int = RECORD_VERSION
    unknown_fields: Mapping[str, str] = field(default_factory=dict)
    """Fields that a later release wrote; they are kept as they are."""
    unknown_results: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """So are those of the document of results."""
    unknown_of_outputs: Mapping[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict, compare=False)
    """And those of a stored image, by its index and SHA-256: another image would have others."""

    @property
    def sku(self) -> str | None:
        return self.order.sku

    def to_fields(self) -> dict[str, str]:
        """The record's own hash; what is empty is left out."""
        fields = {name: _dump(name, getattr(self, name)) for name in _HASH_FIELDS}
        fields = {name: text for name, text in fields.items() if text != ""}
        if self.nonce and self.nonce == submission_nonce(self.id, self.epoch):
            fields["nonce"] = _DERIVED
        if abs(created_at(self.id) - self.created_at) < _TIME_GRAIN_SECONDS:
            fields["created_at"] = _DERIVED
        if self.error:
            fields["error"] = self.error.to_text()
        return {**self.unknown_fields, "id": self.id, "sku": self.sku or "", **fields}

    def results_json(self) -> str:
        """The URLs, outputs and losses as one document, or nothing."""
        document: dict[str, Any] = {**self.unknown_results}
        if self.urls:
            document["urls"] = self.urls
        if self.outputs:
            document["outputs"] = [
                {**output.to_json(), **self.unknown_of_outputs.get((output.index, output.sha256), {})}
                for output in self.outputs
            ]
        if self.missing:
            document["missing"] = [missing.to_json() for missing in self.missing]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")) if document else ""

    @classmethod
    def from_fields(cls, fields: Mapping[str, str], order: str, results: str | None = None) -> JobRecord:
        """The record that `to_fields`, `JobOrder.to_json` and `results_json` wrote.

        Raises:
            UnknownRecordError: a later release wrote it, in a way that this one must not pass over.
        """
        if unknown := JOB_WORDS.unknown_in(fields):
            raise unknown_job(fields, unknown)
        try:
            job = cls._of(fields, JobOrder.from_json(order), json.loads(results) if results else {})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise unknown_job(fields, f"a part of another form ({type(error).__name__})") from error
        if job.order.unknown_fields and job.state in _UNPAID:
            # What it would change in the picture is not known, and the picture is to be paid for.
            raise unknown_job(fields, f"{', '.join(job.order.unknown_fields)} in its order")
        return job

    @classmethod
    def _of(cls, fields: Mapping[str, str], order: JobOrder, document: Mapping[str, Any]) -> JobRecord:
        derived = {name for name in ("nonce", "created_at") if fields.get(name) == _DERIVED}
        known = {name: _load(name, fields[name]) for name in _HASH_FIELDS if name in fields and name not in derived}
        if "nonce" in derived:
            known["nonce"] = submission_nonce(fields["id"], known["epoch"])
        if "created_at" in derived:
            known["created_at"] = created_at(fields["id"])
        return cls(
            id=fields["id"],
            order=order,
            error=JobFault.from_text(fields.get("error")),
            urls=tuple(document.get("urls", ())),
            outputs=tuple(OutputImage.from_json(output) for output in document.get("outputs", ())),
            missing=tuple(MissingOutput.from_json(missing) for missing in document.get("missing", ())),
            unknown_fields=_without(fields, _ALL_FIELDS),
            unknown_results=_without(document, _RESULTS),
            unknown_of_outputs={
                (output["index"], output["sha256"]): unknown
                for output in document.get("outputs", ())
                if (unknown := _without(output, OutputImage.__slots__))
            },
            **known,
        )

    def evolve(self, **changes: Any) -> JobRecord:
        """The same job with these fields changed."""
        return replace(self, **changes)


def unknown_job(fields: Mapping[str, str], what: str) -> UnknownRecordError:
    """The error that says `what` this release does not know of a job."""
    return UnknownRecordError(
        f"this release does not understand the job's record: it has {what}. A later release wrote it (the record's "
        f"version is {fields.get('version', 'not given')}, and this release knows versions up to {RECORD_VERSION}) and "
        "can go on with it; nothing was changed. Use that release or a newer one",
        job_id=fields.get("id"),
        what=what,
    )


_UNPAID = frozenset({JobState.QUEUED, JobState.SUBMITTING})
"""The states in which what is ordered may still be sent."""
_RESULTS = frozenset({"urls", "outputs", "missing"})
_DERIVED = "="
"""In place of a nonce that follows from job and epoch, and of a time of creation that is in the id."""
_TIME_GRAIN_SECONDS = 0.0011
_TIMES = frozenset(
    {"created_at", "submitted_at", "rendered_at", "finished_at", "deadline_at", "blocked_until", "intent_at"}
)
_CHARGES = frozenset({"charge", "earlier_charge"})
_COUNTERS = frozenset(
    {
        "revision",
        "fence",
        "begun",
        "starts",
        "epoch",
        "submits",
        "polls",
        "strikes",
        "refusals",
        "resubmits",
        "store_attempts",
        "sequence",
    }
)
_HASH_FIELDS = (
    "version", "state", "step", "created_at", "revision", "fence", "begun", "starts", "parent_step", "epoch",
    "earlier_charge", "nonce", "request_hash", "result_key", "request_id", "charge", "submits", "polls", "strikes",
    "refusals", "resubmits", "intent_at", "store_attempts", "submitted_at", "rendered_at", "finished_at", "deadline_at",
    "overdue", "cancel", "blocked_by", "blocked_until", "sequence",
)  # fmt: skip
_ALL_FIELDS = frozenset({*_HASH_FIELDS, "id", "sku", "error", "token", "starts_since", "parked"})


def _without(document: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What there is beside the names that are known."""
    return {name: value for name, value in document.items() if name not in known}


def _dump(name: str, value: Any) -> str:
    if value is None or value is False or (name == "earlier_charge" and value is Charge.NOT_CHARGED):
        return ""
    if name == "intent_at":
        # Never later than it was; and Redis packs a whole number into a third of its digits.
        return str(int(value))
    if name in _TIMES:
        return f"{value:.3f}"
    if name in _COUNTERS:
        return str(value) if value else ""
    return "1" if value is True else str(value)


def _load(name: str, text: str) -> Any:
    if name in _TIMES:
        return float(text)
    if name in _COUNTERS or name == "version":
        return int(text)
    if name == "state":
        return JobState(text)
    if name in _CHARGES:
        return Charge(text)
    return text == "1" if name == "overdue" else text
