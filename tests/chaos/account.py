"""What a run did to the bill: the simulated provider's own account beside the job records, and what is wrong with it.

A job is known to the provider by its prompt, so that the account does not depend on any nonce, epoch or key of ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from tests.checkers import Bound

NAMED_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAccount:
    """One job. `submissions` and `charges` are the provider's, `intents` is ours; `code` says why it is not done."""

    id: str
    state: JobState
    code: str
    intents: int
    submissions: int
    charges: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All jobs of a run. `charged` is all that the provider charged, for whatever it was."""

    jobs: tuple[JobAccount, ...]
    charged: int

    @classmethod
    def of(cls, jobs: Mapping[str, JobRecord], submits: Iterable[Mapping[str, Any]]) -> Self:
        """The account of these records, by their prompts, and of the submit calls in the provider's ledger."""
        submissions, charges = Counter[str](), Counter[str]()
        for call in submits:
            prompt = str(call["positive_prompt"])
            submissions[prompt] += 1
            charges[prompt] += call["charged"]
        return cls(
            jobs=tuple(
                JobAccount(
                    id=job.id,
                    state=job.state,
                    code=job.error.code if job.error else "",
                    intents=job.submits,
                    submissions=submissions[prompt],
                    charges=charges[prompt],
                )
                for prompt, job in jobs.items()
            ),
            charged=charges.total(),
        )

    @property
    def intents(self) -> int:
        return sum(job.intents for job in self.jobs)

    @property
    def submissions(self) -> int:
        return sum(job.submissions for job in self.jobs)

    @property
    def submitted_again(self) -> int:
        """Intents after the first one of their job; no call of a run is refused, so each may have been charged."""
        return sum(max(0, job.intents - 1) for job in self.jobs)

    def states(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return dict(Counter(str(job.state) for job in self.jobs))

    def codes(self) -> dict[str, int]:
        """How many jobs are held or failed for which reason."""
        return dict(Counter(job.code for job in self.jobs if job.code))

    def as_json(self) -> dict[str, Any]:
        """The sums that a person wants to see."""
        return {
            "jobs": len(self.jobs),
            "states": self.states(),
            "held": sum(job.state is JobState.NEEDS_ATTENTION for job in self.jobs),
            "codes": self.codes(),
            "submissions": self.submissions,
            "intents": self.intents,
            "submitted_again": self.submitted_again,
            "charged": self.charged,
            "charged_more_than_once": sum(job.charges > 1 for job in self.jobs),
            "most_charges_of_one_job": max((job.charges for job in self.jobs), default=0),
        }

    def problems(self, bound: Bound) -> list[str]:
        """What breaks the promises, each as a sentence that names the jobs; empty when they all hold."""
        jobs = self.jobs
        most = 1 + bound.more_per_job
        found = [
            _named(f"charged more than {most} times", [job for job in jobs if job.charges > most]),
            _named("charged more often than there was an intent", [job for job in jobs if job.charges > job.intents]),
            _named(
                "neither final nor held",
                [job for job in jobs if not (job.state.is_final or job.state is JobState.NEEDS_ATTENTION)],
            ),
            _named(
                "succeeded without a charge",
                [job for job in jobs if job.state is JobState.SUCCEEDED and not job.charges],
            ),
        ]
        ours = sum(job.charges for job in jobs)
        if self.charged != ours:
            found.append(f"the provider charged {self.charged - ours} submissions that are of no job")
        if bound.more_per_job and not self.submitted_again:
            found.append("nothing was submitted again, so that nothing is proved about it")
        if bound.more_in_all is not None and self.submitted_again > bound.more_in_all:
            found.append(f"{self.submitted_again} images were submitted again, and {bound.more_in_all} may be")
        return [each for each in found if each]


def _named(what: str, jobs: Sequence[JobAccount]) -> str:
    """Which jobs this is true of; nothing when it is true of none."""
    names = ", ".join(job.id for job in jobs[:NAMED_MAX])
    more = f" and {len(jobs) - NAMED_MAX} more" if len(jobs) > NAMED_MAX else ""
    return f"{what}: {names}{more}" if jobs else ""
