"""What can happen to a job. Each event is a value that a step, a caller or an operator hands to `advance`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sceneshift.jobs.faults import UNKNOWN_OUTCOME
from sceneshift.jobs.record import JobFault, MissingOutput, OutputImage
from sceneshift.jobs.states import Charge
from sceneshift.jobs.unknown_outcome_policy import AfterLoss

SubmissionStrike = Literal["source", "refusal", "none"]
ResolveAction = Literal["resubmit", "attach", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentStored:
    """A submission is about to be sent with this nonce; `request_hash` is the SHA-256 of its body."""

    nonce: str
    request_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStarted:
    """The request of unknown outcome is about to be sent once more, with its own nonce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionAccepted:
    """The provider took the request and charges for it."""

    result_key: str
    request_id: str | None
    first_poll_in_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionDelayed:
    """Nothing was accepted, and the same job may be submitted later.

    `new_epoch` is true when the request reached the gateway, which then remembers its nonce. `strike` marks a source
    that could not be had, or a refusal without a reason; `none` an answer that was neither; and None says nothing about
    the provider. `message` says for the timeline what was in the way.
    """

    blocked_by: str
    retry_in_seconds: float
    new_epoch: bool
    strike: SubmissionStrike | None = "none"
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionLost:
    """The request may have been accepted and charged, and nobody here can tell.

    `then` is what the policy makes of that, and `by` its name; `retry_in_seconds` is the pause before the request is
    sent again, where it is, and `blocked_by` what it waits for. If it was accepted, the provider is at it for up to
    `occupies_seconds`, whatever becomes of its job here.
    """

    fault: JobFault
    then: AfterLoss = "hold"
    by: str = ""
    retry_in_seconds: float = 0.0
    blocked_by: str = UNKNOWN_OUTCOME
    occupies_seconds: float = 60.0

    @property
    def is_decided(self) -> bool:
        """Whether somebody has said what follows."""
        return bool(self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionForgotten:
    """The job store has lost its memory of a submission that was about to be sent; somebody else remembers it.

    `earlier_charge` is what the submissions before it may have cost, and `resubmits` how many the policy had made.
    """

    fault: JobFault
    epoch: int
    nonce: str
    submits: int
    intent_at: float
    earlier_charge: Charge = Charge.NOT_CHARGED
    resubmits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultKeyTaken:
    """The provider accepted the request under a result key that another job has."""

    fault: JobFault


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRefused:
    """It will never be accepted as it is; nothing was charged."""

    fault: JobFault


@dataclass(frozen=True, slots=True, kw_only=True)
class PollScheduled:
    """Not finished: ask again later. `strike` marks an answer that looks like a lost or empty result.

    `blocked_by` is why the question was not answered as it should be; empty when it was.
    """

    poll_in_seconds: float
    blocked_by: str = ""
    strike: bool = False
    overdue: bool = False
    answered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsReady:
    """The provider has finished; the URLs expire."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderingFailed:
    """The provider gave up on it, or its result cannot be had any more. It was charged."""

    fault: JobFault


@dataclass(frozen=True, slots=True, kw_only=True)
class StoringDelayed:
    """Not all images are stored yet; try again later. `outputs` are those that are; `urls` may be fresher ones."""

    outputs: tuple[OutputImage, ...]
    urls: tuple[str, ...]
    fault: JobFault
    retry_in_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesStored:
    """Every image that can be had is stored, and the manifest is written."""

    outputs: tuple[OutputImage, ...]
    missing: tuple[MissingOutput, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPoisoned:
    """The current step has killed its worker too often to be tried again by itself."""

    fault: JobFault


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """The owner wants it no more. `keep_result`: what is already paid for is still collected.

    `notes_only`: nobody can say now whether it was submitted, so it does not end; its next step sees to it.
    """

    keep_result: bool
    notes_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A person decided about a job that needed attention; `by` says who and `why`, for timeline and ledger."""

    action: ResolveAction
    by: str
    why: str = ""
    result_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A person has a failed job go on: from the provider's answer, or from a new submission, which is paid for."""

    by: str
    why: str = ""
    from_submit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded:
    """A person says that the provider gave back what this job cost."""

    by: str
    why: str = ""


Event = (
    IntentStored
    | ProbeStarted
    | SubmissionAccepted
    | SubmissionDelayed
    | SubmissionLost
    | SubmissionForgotten
    | ResultKeyTaken
    | JobRefused
    | PollScheduled
    | ResultsReady
    | RenderingFailed
    | StoringDelayed
    | ImagesStored
    | StepPoisoned
    | CancelRequested
    | Resolved
    | Retried
    | Refunded
)
