"""What the ledger must say, kept by hand: one entry per submission, and what each event means for the latest."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from sceneshift.jobs import events
from sceneshift.jobs.change import Change, StaleEventError
from sceneshift.jobs.events import Event
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge
from sceneshift.jobs.transitions import advance
from tests.unit.jobs.situations import EVENTS

MOVING = (
    "intent", "accepted", "delayed", "refused", "probe", "lost", "lost, fail", "lost, resubmit", "lost, probe",
    "forgotten",
    "key taken", "poll later", "results", "rendering failed", "all stored", "none stored", "poisoned",
    "cancel", "cancel, keep", "attach", "resubmit", "give up", "retry the query", "retry the submission", "refund",
)  # fmt: skip
"""The events of a walk."""
WALK_EVENTS: dict[str, Event] = {
    **{name: EVENTS[name] for name in MOVING},
    "not sent": events.SubmissionDelayed(blocked_by="provider_unreachable", retry_in_seconds=2.0, new_epoch=False),
}


def possible(job: JobRecord, now: float) -> dict[str, Change]:
    """What each event of a walk would make of the job, where it fits."""
    changes = {}
    for name, event in WALK_EVENTS.items():
        with suppress(StaleEventError):
            changes[name] = advance(job, event, now)
    return changes


@dataclass(slots=True)
class Book:
    """The submissions of one job: what each cost, and the state or the word under which it stands."""

    left: list[tuple[Charge, str]] = field(default_factory=list)
    """Those that the job has left behind."""
    latest: Charge | None = None
    """What the one that still counts has cost; None when there is none."""

    def note(self, name: str, job: JobRecord) -> None:
        """The event of this name has made this of the job."""
        match name:
            case "intent":
                self.latest = Charge.UNKNOWN
            case "forgotten":
                self.latest = self.latest or Charge.UNKNOWN
            case "accepted" | "attach":
                self._is_charged()
            case "refund":
                self.latest = self.latest and Charge.REFUNDED_BY_HAND
            case "refused":
                self._leave("refused", Charge.NOT_CHARGED)
            case "delayed":
                self._leave("refused", Charge.NOT_CHARGED)
            case "not sent":
                self._leave("not_sent", Charge.NOT_CHARGED)
            case "lost, resubmit" | "resubmit" | "retry the submission" if job.intent_at is None:
                self._leave("superseded", self.latest)

    def _is_charged(self) -> None:
        if self.latest is Charge.UNKNOWN:
            self.latest = Charge.CHARGED

    def _leave(self, word: str, charge: Charge | None) -> None:
        if self.latest is not None and charge is not None:
            self.left.append((charge, word))
        self.latest = None

    def lines(self, job: JobRecord) -> Counter[tuple[Charge, str]]:
        """How many submissions must stand under which charge and state."""
        latest = [(self.latest, str(job.state))] if self.latest is not None else []
        return Counter([*self.left, *latest])
