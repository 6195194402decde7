"""What a scenario is: one way in which a provider misbehaves, and what Sceneshift does about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from sceneshift.simulator.answers import Answer, Voice


class Exchange(StrEnum):
    """What a scenario happens to; the first word of its name."""

    SUBMIT = "submit"
    QUERY = "query"
    TASK = "task"
    DOWNLOAD = "download"


class Reaction(Enum):
    """What Sceneshift does about it. A test holds every scenario against the real steps."""

    WAITS_FOR_RATE = "The job waits (`provider_throttled`) and is submitted again, with a new nonce."
    WAITS_FOR_CREDITS = "The job waits (`provider_credits`); it is submitted again once a minute."
    WAITS_FOR_AUTHORIZATION = "The job waits (`provider_authorization`); it is submitted again once a minute."
    WAITS_FOR_CONFIGURATION = "The job waits (`provider_configuration`); it is submitted again once a minute."
    WAITS_FOR_PROVIDER = "The job waits (`provider_unavailable`) and is submitted again: the back end was not called."
    FAILS_INVALID_INPUT = "The job fails (`invalid_input`) and costs nothing."
    FAILS_SOURCE_UNREACHABLE = "The job fails (`source_unreachable`) and costs nothing."
    FAILS_SOURCE_UNFIT = "The job fails (`source_unfit`) and costs nothing."
    FAILS_CONTENT_REJECTED = "The job fails (`content_rejected`) and costs nothing."
    FAILS_UNEXPLAINED = (
        "The job waits (`provider_throttled`); after six such refusals in a row, over 40 minutes, it fails "
        "(`refused_unexplained`) and costs nothing."
    )
    HELD = "The job is held (`outcome_unknown`) for a person: it may be paid for, and is never sent again by itself."
    GOES_ON = "Nothing: the answer is understood, and the job goes on."
    ASKED_AGAIN = "The job is asked about again, later. A failed question never fails a job."
    RESULT_LOST = "After six such answers in a row, over 40 minutes, the job fails (`result_lost`)."
    VERDICT_EXECUTION = "After six such answers in a row, over 40 minutes, the job fails (`execution_failed`)."
    VERDICT_CONTENT = "After six such answers in a row, over 40 minutes, the job fails (`content_rejected`)."
    VERDICT_UNREACHABLE = "After six such answers in a row, over 40 minutes, the job fails (`source_unreachable`)."
    VERDICT_UNFIT = "After six such answers in a row, over 40 minutes, the job fails (`source_unfit`)."
    RENDERING_FAILED = "The job fails (`execution_failed`); it was charged."
    RENDERING_REJECTED = "The job fails (`content_rejected`); it was charged."
    RENDERING_UNREACHABLE = "The job fails (`source_unreachable`); it was charged."
    EMPTY_RESULT = "After six such answers in a row, over 40 minutes, the job fails (`empty_result`); it was charged."
    PARTIAL = "The images there are get stored; the job is `partial`, or fails (`not_delivered`) when there is none."
    SURPLUS_IGNORED = "As many images as were ordered are stored."
    OVERDUE = "At its deadline the job is reported as overdue; it is asked about slowly, and a late result is stored."
    ABANDONED = "Reported as overdue, asked about until the provider's retention ends, then `abandoned_by_provider`."
    FETCHED_AGAIN = "Nothing is stored; it is fetched again, with fresh URLs, until the provider's retention ends."
    IMAGE_REFUSED = "Nothing of it is stored; the image counts as missing, with a code that says why."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of an accepted task, where it differs from the ordinary.

    Attributes:
        message: it ends as FAILED, with this message.
        final_word: the status at its end, in place of SUCCESS.
        running_word: the status until its end, in place of WAITING and RUNNING.
        late_seconds: it takes so much longer; infinite for one that never ends.
        surplus: so many images more than ordered are named, or fewer if negative.
        wavers: after every SUCCESS, the next answer says RUNNING again.
        forgotten: its `result_key` is unknown as soon as it has ended.
    """

    message: str = ""
    final_word: str = ""
    running_word: str = ""
    late_seconds: float = 0.0
    surplus: int = 0
    no_images: bool = False
    wavers: bool = False
    forgotten: bool = False


ORDINARY: Final = Fate()

Misanswer = Callable[[Answer, Voice], Answer]
"""From the answer that was due, to the one that is given. Nothing was due when the call was not worked on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of misbehaviour.

    Attributes:
        name: begins with its exchange.
        behaviour: what the provider does, as a sentence.
        reaction: what Sceneshift does about it.
        misanswer: what the call is answered with; None for a task's scenario.
        works: the call is worked on before it is answered so: a submission is accepted and charged.
        fate: what becomes of an accepted task.
    """

    name: str
    behaviour: str
    reaction: Reaction
    misanswer: Misanswer | None = None
    works: bool = True
    fate: Fate | None = None

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.name.partition("-")[0])

    def as_json(self) -> dict[str, str]:
        """What a person should know of it."""
        return {
            "name": self.name,
            "exchange": self.exchange,
            "behaviour": self.behaviour,
            "reaction": self.reaction.value,
        }
