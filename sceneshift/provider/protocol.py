"""What the rest of the system knows of a provider: two calls, and every answer as a value.

A submission is classified by one question: could the provider have accepted it? The three answers that are not
`Accepted` are different types, so that no branch can treat an unknown outcome as a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderItem:
    """One image to render: the fields of `data.task_list[0]`, with URLs that the provider can fetch."""

    image: str
    mask: str
    positive_prompt: str
    negative_prompt: str
    guidance_scale: float
    strength: float
    steps: int
    num_output: int
    seed: int | None = None


class Endpoint(StrEnum):
    """The two calls, by the last part of their path."""

    SUBMIT = "submit"
    QUERY = "query"


class ErrorKind(StrEnum):
    """What a provider's error means for a job, whatever its spelling."""

    THROTTLED = "throttled"
    CREDITS_EXHAUSTED = "credits_exhausted"
    UNAUTHORIZED = "unauthorized"
    MISCONFIGURED = "misconfigured"
    INVALID_INPUT = "invalid_input"
    SOURCE_UNREACHABLE = "source_unreachable"
    SOURCE_UNFIT = "source_unfit"
    CONTENT_REJECTED = "content_rejected"
    NONCE_USED = "nonce_used"
    NO_RECORD = "no_record"
    EXECUTION_FAILED = "execution_failed"
    TRANSIENT = "transient"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderError:
    """An error answer of the provider or of its gateway; `message` is capped and on one line.

    `is_guess`: the answer's status and code allow another kind too, and it has no message that decides.
    """

    kind: ErrorKind
    message: str
    http_status: int | None = None
    code: str | None = None
    request_id: str | None = None
    retry_after_seconds: float | None = None
    is_guess: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedAnswer:
    """What an answer said that is worth counting: an error, or something that the documentation does not foresee.

    `code` and `message` are empty where the answer has none; both are redacted and short.
    """

    endpoint: Endpoint
    http_status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """An outcome that came with an answer, which is `noted` when it is worth counting."""

    noted: NotedAnswer | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(_Answered):
    """The provider will render, and charges for it."""

    result_key: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """No byte of the request can have reached the provider (DNS, connect, TLS)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(_Answered):
    """The provider or its gateway said no before rendering anything: nothing was charged."""

    error: ProviderError


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown(_Answered):
    """The provider may have accepted: the answer is lost, unreadable, or an error that can follow an acceptance.

    `unreadable_answer` is the text of an answer that may hold a key and could not be taken for an acceptance: a 2xx, or
    an error that speaks of a success. A person may find the key in it.
    """

    reason: str
    error: ProviderError | None = None
    unreadable_answer: str = field(default="", repr=False)


SubmitOutcome = Accepted | NotSent | Refused | OutcomeUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending(_Answered):
    """Not finished. `provider_status` is its own word, which may be one that nobody documented."""

    provider_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded(_Answered):
    """Finished; `urls` are the result images in order. They expire."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderFailed(_Answered):
    """The provider says that this item failed for good."""

    error: ProviderError


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFailed(_Answered):
    """The question was not answered: it says nothing about the job, except where `error.kind` is `NO_RECORD`.

    `unreadable_answer` is the beginning of a 2xx that is neither a state of the job nor an error.
    """

    error: ProviderError
    unreadable_answer: str = field(default="", repr=False)


QueryOutcome = Pending | Succeeded | RenderFailed | QueryFailed


class Provider(Protocol):
    """A slow, paid image API. Both calls return a value for every answer and every network fault; they do not raise."""

    def request_body(self, item: RenderItem) -> bytes:
        """The exact bytes that `submit` sends for this item, for the intent's hash."""
        ...

    def submit(self, body: bytes, *, nonce: str, send_by: float | None = None) -> SubmitOutcome:
        """Send one submission, once, with exactly this nonce. Never retried below this call.

        Nothing is sent after `send_by` (`clock.elapsed`): a worker that was asleep for long learns `NotSent` instead.
        """
        ...

    def query(self, result_key: str) -> QueryOutcome:
        """Ask once what became of a submission; a fresh nonce per HTTP attempt."""
        ...
