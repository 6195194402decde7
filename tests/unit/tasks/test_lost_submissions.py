"""What becomes of lost answers in a deployment, by its policy: charges within the bound, and no key out of sight."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from sceneshift.jobs.events import CancelRequested, Retried
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import Accepted, OutcomeUnknown, SubmitOutcome
from sceneshift.store.ledger import LedgerDay
from tasks.replay import replay
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import RESULT_KEY
from tests.unit.tasks.workshop import Workshop

TODAY = "2026-11-23"
STEPS_MAX = 40


def under(work: Workshop, policy: str) -> Workshop:
    """The same deployment under this policy."""
    changed = work.services.settings.model_copy(update={"unknown_outcome": policy, "nonce_contract": "verified"})
    work.use(settings=changed, policy=Policy.from_settings(changed))
    return work


def answers_lost(work: Workshop) -> Callable[[], SubmitOutcome]:
    """The provider accepts and charges, and every answer is lost."""
    accept = work.provider.on_submit

    def lose() -> SubmitOutcome:
        accepted = accept()
        assert isinstance(accepted, Accepted)
        work.provider.charged.append(work.provider.nonces[-1])
        return OutcomeUnknown(reason="read timeout")

    work.provider.on_submit = lose
    return accept


def run(work: Workshop, job: JobRecord) -> JobRecord:
    """The job after all its steps, each at its time, until it ends or waits for a person."""
    for _ in range(STEPS_MAX):
        job = work.job(job.id)
        if job.state.is_final or job.state is JobState.NEEDS_ATTENTION:
            return job
        work.clock.advance(max(0.0, work.due_in(job.id)))
        work.wake(job.id)
    raise AssertionError(f"{job.id} is still {job.state}")


def forget_the_outage(work: Workshop) -> None:
    """The breaker, which would stop the jobs too, is closed."""
    work.store.client.delete(work.store.keys.breaker)


def today(work: Workshop) -> LedgerDay:
    return work.store.ledger.day(TODAY)


def test_a_failed_job_says_that_nobody_knows_what_it_cost(work: Workshop) -> None:
    """`fail`: one submission, `failed(outcome_unknown)`, its webhook, and the decision in the policy's name."""
    answers_lost(under(work, "fail"))
    job = run(work, work.accept())
    assert job.error is not None
    assert (job.state, job.error.code, job.charge) == (JobState.FAILED, "outcome_unknown", Charge.UNKNOWN)
    assert (len(work.provider.submissions), work.delivery(job.id).type) == (1, "job.failed")
    (decision,) = today(work).decisions
    assert (decision.action, decision.by, decision.why) == ("fail", "policy fail", "read timeout")


def test_a_late_key_of_a_failed_job_is_kept_and_can_be_used(work: Workshop) -> None:
    """`fail`: the slow worker's answer stays on the record; a person's retry asks for its result and pays nothing."""
    under(work, "fail")
    job = work.accept()

    def answer_late() -> SubmitOutcome:
        work.bring_back()
        assert work.job(job.id).state is JobState.FAILED
        return Accepted(result_key=RESULT_KEY)

    work.provider.on_submit = answer_late
    work.wake(job.id)
    known = work.job(job.id)
    assert (known.state, known.result_key, known.charge) == (JobState.FAILED, RESULT_KEY, Charge.CHARGED)
    assert work.store.timeline.read(job.id)[-1]["event"] == "accepted_too_late"
    assert work.store.jobs.transition(known, Retried(by="ann", why="wanted", from_submit=False))
    done = run(work, known)
    assert (done.state, len(work.provider.submissions), len(done.outputs)) == (JobState.SUCCEEDED, 1, 2)
    assert today(work).total(Charge.CHARGED).submissions == 1
    assert today(work).total(Charge.UNKNOWN).submissions == 0


def test_a_resubmission_that_succeeds_ends_the_job(work: Workshop) -> None:
    """`resubmit`: what one lost answer cost stays in the ledger beside the second one's charge."""
    accept = answers_lost(under(work, "resubmit(1, 20)"))
    job = work.accept()
    work.wake(job.id)
    waiting = work.job(job.id)
    assert (waiting.state, waiting.blocked_by) == (JobState.QUEUED, "unknown_outcome")
    assert 8.0 <= work.due_in(job.id) <= 12.0
    work.provider.on_submit = accept
    done = run(work, waiting)
    assert (done.state, done.charge, done.resubmits) == (JobState.SUCCEEDED, Charge.CHARGED, 1)
    assert len(set(work.provider.nonces)) == 2
    lines = {line: amount.submissions for line, amount in today(work).entries.items()}
    assert lines == {(Charge.UNKNOWN, "superseded"): 1, (Charge.CHARGED, "succeeded"): 1}


def test_a_job_is_resubmitted_no_more_often_than_allowed(work: Workshop) -> None:
    """`resubmit(1, 20)`: the second lost answer is held: two charges at the most."""
    answers_lost(under(work, "resubmit(1, 20)"))
    job = run(work, work.accept())
    assert (job.state, job.resubmits, len(work.provider.charged)) == (JobState.NEEDS_ATTENTION, 1, 2)
    assert [each.action for each in today(work).decisions] == ["resubmit", "hold"]


def test_the_budget_of_a_day_bounds_all_jobs(work: Workshop) -> None:
    """`resubmit(1, 20)` and 30 jobs of two images, far apart: ten are sent again, and the others are held at once."""
    answers_lost(under(work, "resubmit(1, 20)"))
    jobs = []
    for _ in range(30):
        jobs.append(run(work, work.accept()))
        work.clock.advance(400.0)
        forget_the_outage(work)
    assert {job.state for job in jobs} == {JobState.NEEDS_ATTENTION}
    assert sum(job.resubmits for job in jobs) == 10
    assert len(work.provider.charged) == 40
    whys = [each.by for each in today(work).decisions if each.action == "hold"]
    assert whys.count("policy resubmit(1, 20): its budget of the day is spent") == 20


def test_an_incident_stops_resubmissions(work: Workshop) -> None:
    """`resubmit(1, 2000)`: when every answer is lost at the same time, five are sent again and no more."""
    answers_lost(under(work, "resubmit(1, 2000)"))
    jobs = [work.accept() for _ in range(20)]
    for job in jobs:
        work.wake(job.id)
        forget_the_outage(work)
    assert sum(work.job(job.id).resubmits for job in jobs) == 5
    assert {work.job(job.id).state for job in jobs[5:]} == {JobState.NEEDS_ATTENTION}


@pytest.mark.parametrize("policy", ["resubmit(3, 2000)", "probe"])
def test_a_lost_job_that_its_owner_gave_up_is_not_sent_again(work: Workshop, policy: str) -> None:
    """The wish comes while the request is on its way: the job is held, and costs nothing more."""
    under(work, policy)
    job = work.accept()

    def cancel() -> SubmitOutcome:
        work.store.jobs.transition(work.job(job.id), CancelRequested(keep_result=True))
        return OutcomeUnknown(reason="cut")

    work.provider.on_submit = cancel
    held = run(work, job)
    assert (held.state, held.cancel, len(work.provider.submissions)) == (JobState.NEEDS_ATTENTION, "keep", 1)
    assert [(each.action, each.images) for each in today(work).decisions] == [("hold", 0)]


def test_the_late_key_of_a_submission_that_was_left_behind_is_shouted_and_booked(
    work: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """`resubmit`: the first worker lives and has a key: its submission is charged in the ledger, and the log has it."""
    under(work, "resubmit(1, 20)")
    job = work.accept()

    def answer_late() -> SubmitOutcome:
        work.provider.on_submit = lambda: Accepted(result_key="second")
        work.bring_back()
        assert work.job(job.id).resubmits == 1
        work.clock.advance(30.0)
        work.wake(job.id)
        return Accepted(result_key="first")

    work.provider.on_submit = answer_late
    work.wake(job.id)
    after = work.job(job.id)
    assert (after.state, after.result_key) == (JobState.RENDERING, "second")
    lines = {line: amount.submissions for line, amount in today(work).entries.items()}
    assert lines == {(Charge.CHARGED, "superseded"): 1, (Charge.CHARGED, "rendering"): 1}
    assert [record.__dict__["result_key"] for record in caplog.records if record.msg == "submission.unclaimed"] == [
        "first"
    ]


def test_a_spooled_key_of_a_submission_that_was_left_behind_is_booked(work: Workshop) -> None:
    """The killed worker's key is found after the job went on: its line is charged, on the day of its intent, once."""
    under(work, "resubmit(1, 20)")
    work.clock.advance(86_390.0)
    job = work.accept()
    conclude = work.store.jobs.transition

    def killed(*arguments: object, **options: object) -> object:
        if work.provider.submissions:
            raise KilledError
        return conclude(*arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work.store.jobs, "transition", killed)
        with pytest.raises(KilledError):
            work.wake(job.id)
    work.services.spool.close()
    work.bring_back()
    assert work.job(job.id).resubmits == 1
    assert replay(work.services) == 1
    assert replay(work.services) == 0
    lines = {line: amount.submissions for line, amount in today(work).entries.items()}
    assert lines == {(Charge.CHARGED, "superseded"): 1}


def test_a_duplicate_key_is_an_alarm(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """The second job is held with its webhook, and the log has an error that names both."""
    first = work.rendering()
    work.provider.on_submit = lambda: Accepted(result_key=RESULT_KEY)
    second = work.accept()
    with caplog.at_level(logging.ERROR):
        assert work.wake(second.id)["code"] == "duplicate_result_key"
    (record,) = [record for record in caplog.records if record.msg == "submission.duplicate_key"]
    assert (record.__dict__["job_id"], first.id in record.__dict__["error"]) == (second.id, True)
    assert work.delivery(second.id).type == "job.needs_attention"
    assert work.services.spool.deferred() == []
