"""What a decision about many jobs would do to each of them, and the most that it can cost, before any of it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState

PlannedDecision = Literal["retry", "resubmit", "attach", "fail"]
Phase = Literal["submit", "query", "end"]
"""Where a job goes on: with a new submission, with the provider's answer to the last one, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """What would be done to one job. `images` is the most that it can cost; `reason` is why it failed or is held."""

    id: str
    sku: str | None
    reason: str
    phase: Phase
    images: int
    charge: Charge
    """What the job has cost so far."""

    @property
    def warning(self) -> str:
        """What must be known before a submission: that the last one was paid for, or may have been."""
        if self.images == 0:
            return ""
        words = {Charge.UNKNOWN: ", which may pay a second time", Charge.CHARGED: ", which pays a second time"}
        return words.get(self.charge, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A job to which nothing would be done, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a decision would do, in the order in which it would be done."""

    decision: PlannedDecision
    jobs: tuple[PlannedJob, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def images(self) -> int:
        """The most that all of it can cost."""
        return sum(job.images for job in self.jobs)

    @property
    def submissions(self) -> int:
        """How many jobs would be submitted again."""
        return sum(job.phase == "submit" for job in self.jobs)

    @property
    def may_pay_twice(self) -> int:
        """How many of those submissions follow one that was paid for, or may have been."""
        return sum(bool(job.warning) for job in self.jobs)

    def allows(self, spend: int | None) -> bool:
        """Whether so many images are enough for everything that may be paid for."""
        return self.images <= (spend or 0)


def plan_of(
    records: Iterable[JobRecord],
    decision: PlannedDecision,
    *,
    from_submit: bool = False,
    ordered_again: Mapping[str, str] | None = None,
) -> Plan:
    """What this decision would do to each of these jobs.

    Args:
        records: the jobs, as they are.
        decision: `retry` is for failed jobs, the others for held ones.
        from_submit: a retry submits again, also where the provider could be asked for the result that it has.
        ordered_again: by id, the job that has got the idempotency key of a failed one, which is thus ordered already.
    """
    planned: list[PlannedJob] = []
    left_out: list[LeftOut] = []
    for job in records:
        why = _obstacle(job, decision, ordered_again or {})
        if why:
            left_out.append(LeftOut(id=job.id, why=why))
            continue
        phase = _phase(job, decision, from_submit=from_submit)
        planned.append(
            PlannedJob(
                id=job.id,
                sku=job.sku,
                reason=job.error.code if job.error else "",
                phase=phase,
                images=job.order.num_output if phase == "submit" else 0,
                charge=job.charge,
            )
        )
    return Plan(decision=decision, jobs=tuple(planned), left_out=tuple(left_out))


def _obstacle(job: JobRecord, decision: PlannedDecision, ordered_again: Mapping[str, str]) -> str:
    if decision != "retry":
        return "" if job.state is JobState.NEEDS_ATTENTION else f"it is {job.state}: there is nothing to {decision}"
    if job.state is JobState.NEEDS_ATTENTION:
        return "it is held: decide about it with `sceneshift jobs resolve`"
    if job.state is not JobState.FAILED:
        return f"it is {job.state}: only a failed job can be retried"
    if successor := ordered_again.get(job.id):
        return f"it was ordered again with its idempotency key, as {successor}"
    return ""


def _phase(job: JobRecord, decision: PlannedDecision, *, from_submit: bool) -> Phase:
    if decision == "retry":
        return "query" if job.result_key and not from_submit else "submit"
    if decision == "fail" or (decision == "resubmit" and job.cancel):
        # What its owner has cancelled is not submitted again.
        return "end"
    return "query" if decision == "attach" else "submit"
