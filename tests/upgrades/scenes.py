"""The scenes of a corpus: between them, every kind of key, field and word that this release can leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sceneshift.fetch_errors import FetchStatusError
from sceneshift.jobs.events import CancelRequested, Refunded, Resolved, Retried, StepPoisoned, SubmissionAccepted
from sceneshift.jobs.intents import Merged
from sceneshift.jobs.order import JobOrder
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.messages import messages_for_change
from sceneshift.provider.protocol import (
    Accepted,
    Endpoint,
    ErrorKind,
    NotedAnswer,
    NotSent,
    OutcomeUnknown,
    Pending,
    ProviderError,
    QueryFailed,
    RenderFailed,
    Refused,
    Succeeded,
)
from sceneshift.store.due import DueStep
from tests.factories import a_job, an_order
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import RESULT_KEY, answer, result_urls
from tests.upgrades.stage import Stage
from workers.timekeeper import messages_for

LOST = OutcomeUnknown(reason="read timeout")
NO_CREDITS = Refused(error=ProviderError(kind=ErrorKind.CREDITS_EXHAUSTED, message="Quota Exhausted"))


def _refused(kind: ErrorKind, **values: Any) -> Refused:
    return Refused(error=ProviderError(kind=kind, message="no", request_id="REQ-2", **values))


def stage_order(**values: Any) -> JobOrder:
    """An order of two images."""
    return an_order(**{"num_output": 2, **values})


def _killed() -> Any:
    raise KilledError("while it was sending")


def _happens(stage: Stage, job: JobRecord, event: Any) -> JobRecord:
    change = stage.store.jobs.transition(stage.job(job.id), event)
    assert change is not None
    stage.publisher.publish(messages_for_change(change))
    return change.after


def _queued(stage: Stage) -> None:
    """Nothing is on its way: fresh, bulk, with everything that can be ordered, refused before, and for want of a source."""
    stage.order(JobState.SUCCEEDED)
    full = {
        "negative_prompt": "people", "guidance_scale": 6.5, "strength": 0.4, "seed": 7, "steps": 30,
        "idempotency_key": "shop:full", "metadata": {"product": "花瓶"}, "lane": "bulk", "deadline_seconds": 90.0,
    }  # fmt: skip
    stage.order(JobState.SUCCEEDED, order=full)
    stage.order(JobState.SUCCEEDED, order={"webhook_url": None, "sku": None})
    for kind in (ErrorKind.THROTTLED, ErrorKind.UNAUTHORIZED, ErrorKind.MISCONFIGURED, ErrorKind.TRANSIENT):
        refused = stage.order(JobState.SUCCEEDED)
        stage.answering(lambda kind=kind: _refused(kind), refused)  # type: ignore[misc]
        stage.store.client.delete(stage.store.keys.breaker)
    unexplained = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: _refused(ErrorKind.THROTTLED, is_guess=True, retry_after_seconds=7.0), unexplained)
    unreached = stage.order(JobState.SUCCEEDED)
    stage.not_sent(stage.answering(lambda: NotSent(reason="connect"), unreached))
    gone = stage.order(JobState.SUCCEEDED, order={"image": "https://shop.example/slow.jpg"})
    stage.web.sources["https://shop.example/slow.jpg"] = FetchStatusError("answered with status 503", status=503)
    stage.wake(gone.id)
    assert stage.job(gone.id).strikes == 1


def _submitting(stage: Stage) -> None:
    """Workers were killed while they were sending; two jobs are not wanted any more."""
    for cancel in (None, CancelRequested(keep_result=False), CancelRequested(keep_result=True)):
        job = stage.order(JobState.NEEDS_ATTENTION)
        stage.answering(_killed, job)
        if cancel:
            _happens(stage, job, cancel)


def _held(stage: Stage) -> None:
    """For each reason there is, and one that was submitted again by a person."""
    lost = stage.order(JobState.NEEDS_ATTENTION)
    stage.answering(lambda: OutcomeUnknown(reason="read timeout", unreadable_answer="{oops"), lost)
    poisoned = stage.order(JobState.NEEDS_ATTENTION)
    _happens(stage, poisoned, StepPoisoned(fault=JobFault(code="poison", message="submit-1 was started 3 times")))
    paid = stage.storing(order=stage_order())
    stage.expect(paid, JobState.NEEDS_ATTENTION)
    _happens(stage, paid, StepPoisoned(fault=JobFault(code="poison", message="finalize-1 was started 3 times")))
    duplicate = stage.order(JobState.NEEDS_ATTENTION)
    stage.answering(lambda: Accepted(result_key=stage.job(paid.id).result_key, request_id="REQ-9"), duplicate)
    again = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: LOST, again)
    lost_key = stage.job(again.id)
    _happens(stage, again, Resolved(action="resubmit", by="ann", why="not in the console"))
    assert stage.store.ledger.note_unclaimed(lost_key, "unclaimed-" + RESULT_KEY[10:], left_behind=True)
    attached = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: LOST, attached)
    _happens(stage, attached, Resolved(action="attach", by="ann", why="console", result_key=RESULT_KEY))
    stage.store.client.delete(stage.store.keys.breaker)


def _rendering(stage: Stage) -> None:
    """Just accepted, asked about before, not answered, doubted, to be kept, to be dropped, and overdue."""
    fresh = stage.rendering(order=stage_order())
    stage.expect(fresh, JobState.SUCCEEDED)
    stage.provider.on_query = lambda _key: Pending(provider_status="RUNNING")
    for _ in range(2):
        asked = stage.rendering(order=stage_order())
        stage.expect(asked, JobState.SUCCEEDED)
        stage.wake(asked.id)
        stage.wake(asked.id)
    failed = QueryFailed(
        error=ProviderError(kind=ErrorKind.TRANSIENT, message="away"), unreadable_answer="<html>",
        noted=NotedAnswer(endpoint=Endpoint.QUERY, http_status=502, code="", message="Bad Gateway"),
    )  # fmt: skip
    doubted = RenderFailed(error=ProviderError(kind=ErrorKind.NO_RECORD, message="no record"))
    for outcome in (failed, QueryFailed(error=doubted.error)):
        stage.provider.on_query = lambda _key, outcome=outcome: outcome  # type: ignore[misc]
        unanswered = stage.rendering(order=stage_order())
        stage.expect(unanswered, JobState.SUCCEEDED)
        stage.wake(unanswered.id)
    for keep, end in ((True, JobState.CANCELLED), (False, JobState.CANCELLED)):
        unwanted = stage.rendering(order=stage_order())
        stage.expect(unwanted, end)
        _happens(stage, unwanted, CancelRequested(keep_result=keep))
    _learn(stage)
    stage.provider.on_query = lambda _key: Pending(provider_status="RUNNING")
    late = stage.rendering(order=stage_order(deadline_seconds=30.0), deadline_at=stage.clock.now() + 30.0)
    stage.expect(late, JobState.SUCCEEDED)
    stage.clock.advance(31.0)
    stage.wake(late.id)
    assert stage.job(late.id).overdue
    stage.clock.advance(600.0)
    due = [_due(stage, job_id) for job_id in (fresh.id, asked.id)]
    stage.publisher.publish(messages_for("sceneshift.poll", stage.store.due.hand_out(due) * 13, batch_max=50))


def _learn(stage: Stage) -> None:
    """What a job took is known: it was asked about at its times, and found to be ready."""
    job = stage.rendering(order=stage_order())
    stage.expect(job, JobState.SUCCEEDED)
    for outcome in (*[Pending(provider_status="RUNNING")] * 3, Succeeded(urls=result_urls(2))):
        stage.provider.on_query = lambda _key, outcome=outcome: outcome  # type: ignore[misc]
        stage.clock.advance(stage.due_in(job.id))
        stage.wake(job.id)
    assert stage.store.client.exists(stage.store.keys.latency(job.order.steps, job.order.num_output))


def _due(stage: Stage, job_id: str) -> DueStep:
    job = stage.job(job_id)
    return DueStep(
        subject_id=job_id, step=job.step, sku=job.sku or "", parent_step=job.parent_step, job_id=job_id, waiting=False
    )


def _storing(stage: Stage) -> None:
    """Images to be copied, some of them copied already, and some to be removed."""
    stage.expect(stage.storing(order=stage_order()), JobState.SUCCEEDED)
    half = stage.storing(order=stage_order())
    stage.expect(half, JobState.SUCCEEDED)
    missing = stage.web.files[result_urls(2)[1]]
    stage.web.files[result_urls(2)[1]] = FetchStatusError("answered with status 503", status=503)
    stage.wake(half.id)
    stage.web.files[result_urls(2)[1]] = missing
    for keep in (True, False):
        unwanted = stage.storing(order=stage_order())
        stage.expect(unwanted, JobState.CANCELLED)
        _happens(stage, unwanted, CancelRequested(keep_result=keep))


def _ended(stage: Stage) -> None:
    """Every end, and what a person did about it; webhooks delivered, failed once, given up, and not tried yet."""
    told = stage.storing(order=stage_order(idempotency_key="shop:told"))
    stage.wake(told.id)
    stage.expect(told, JobState.SUCCEEDED)
    stage.deliver(told.id)
    stage.provider.on_query = lambda _key: Succeeded(urls=result_urls(1))
    partial = stage.storing(order=stage_order())
    stage.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    stage.wake(partial.id)
    stage.expect(partial, JobState.PARTIAL)
    stage.web.on_post = lambda _post: answer(503)
    stage.deliver(partial.id)
    refused = stage.order(JobState.FAILED, order={"idempotency_key": "shop:refused"})
    stage.answering(lambda: _refused(ErrorKind.CONTENT_REJECTED), refused)
    stage.web.on_post = lambda _post: answer(410)
    stage.deliver(refused.id)
    stage.web.on_post = lambda _post: answer(204)
    free = stage.order(JobState.CANCELLED)
    _happens(stage, free, CancelRequested(keep_result=False))
    stage.provider.on_query = lambda _key: RenderFailed(
        error=ProviderError(kind=ErrorKind.EXECUTION_FAILED, message="failed", request_id="REQ-3")
    )
    broken = stage.rendering(order=stage_order())
    stage.wake(broken.id)
    stage.expect(broken, JobState.FAILED)
    _happens(stage, broken, Refunded(by="ann", why="invoice 7"))
    retried = stage.rendering(order=stage_order())
    stage.wake(retried.id)
    stage.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    stage.expect(retried, JobState.SUCCEEDED)
    _happens(stage, retried, Retried(by="ann", from_submit=False))
    given_up = stage.order(JobState.FAILED)
    stage.answering(lambda: LOST, given_up)
    _happens(stage, given_up, Resolved(action="fail", by="ann", why="too late"))
    paid_again = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: LOST, paid_again)
    _happens(stage, paid_again, Resolved(action="fail", by="ann"))
    _happens(stage, paid_again, Retried(by="ann", why="needed", from_submit=True))
    stage.store.client.delete(stage.store.keys.breaker)


def _outage(stage: Stage) -> None:
    """The breaker is open: jobs are parked by a step and by the timekeeper, and limits were set by hand."""
    stage.store.client.hset(stage.store.keys.limits, mapping={"submit_rate": "2", "submit_rate:by": "ann 1795392000"})
    stage.answering(lambda: _refused(ErrorKind.THROTTLED, retry_after_seconds=20.0), stage.order(JobState.SUCCEEDED))
    stage.clock.advance(20.5)
    empty = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: NO_CREDITS, empty)
    met = stage.order(JobState.SUCCEEDED)
    stage.wake(met.id)
    for _ in range(2):
        stage.order(JobState.SUCCEEDED)
    stage.tick(21.0)
    assert any(stage.store.client.hexists(stage.store.keys.job(job_id), "parked") for job_id in stage.ends)
    stranger = DueStep(
        subject_id="job_" + "0" * 26, step="verify-1", sku="", parent_step="", job_id="", waiting=False, claimed_until="0"
    )
    stage.store.due.put_off_unknown([(stranger, 5.0)])


def _slots(stage: Stage) -> None:
    """One slot: a lost submission has it, and two jobs wait for it."""
    lost = stage.order(JobState.NEEDS_ATTENTION)
    stage.answering(lambda: LOST, lost)
    stage.store.client.delete(stage.store.keys.breaker)
    for _ in range(2):
        stage.wake(stage.order(JobState.SUCCEEDED).id)


def _rate(stage: Stage) -> None:
    """Questions are rationed and lowered, urgent jobs have moments of their own, and bulk jobs wait behind them."""
    stage.provider.on_query = lambda _key: QueryFailed(
        error=ProviderError(kind=ErrorKind.THROTTLED, message="slow down", retry_after_seconds=5.0)
    )
    for _ in range(2):
        stage.wake(stage.order(JobState.SUCCEEDED).id)
        stage.clock.advance(5.0)
    stage.wake(next(iter(stage.ends)))
    stage.tick(120.0)
    assert "query_rate" in [stage.job(job_id).blocked_by for job_id in stage.ends]
    for _ in range(4):
        stage.wake(stage.order(JobState.SUCCEEDED).id)
    assert stage.job(next(reversed(stage.ends))).blocked_by == "submit_rate"
    for _ in range(2):
        job = a_job(order=an_order(num_output=2, lane="bulk"), created_at=stage.clock.now())
        stage.store.jobs.accept(job, publish=False)
        stage.expect(job, JobState.SUCCEEDED)
    stage.tick(0.1)


def _policy_fail(stage: Stage) -> None:
    """Lost answers end the job; one came after that."""
    stage.answering(lambda: LOST, stage.order(JobState.FAILED))
    late = stage.answering(lambda: LOST, stage.order(JobState.FAILED))
    _happens(stage, late, SubmissionAccepted(result_key=RESULT_KEY, request_id="REQ-4", first_poll_in_seconds=4.0))


def _policy_resubmit(stage: Stage) -> None:
    """A lost answer has the job submitted again, and one job has had that once."""
    for times in (1, 2):
        job = stage.order(JobState.NEEDS_ATTENTION if times == 2 else JobState.SUCCEEDED)  # noqa: PLR2004
        for _ in range(times):
            stage.clock.advance(60.0)
            stage.answering(lambda: LOST, job)
    stage.store.client.delete(stage.store.keys.breaker)


def _policy_probe(stage: Stage) -> None:
    """A lost answer is to be asked about again, with its own nonce, and one was once."""
    stage.answering(lambda: LOST, stage.order(JobState.NEEDS_ATTENTION))
    asked = stage.answering(lambda: LOST, stage.order(JobState.NEEDS_ATTENTION))
    stage.clock.advance(stage.due_in(asked.id))
    stage.answering(lambda: LOST, asked)
    stage.store.client.delete(stage.store.keys.breaker)


def _recovery(stage: Stage) -> None:
    """The job store has forgotten a submission, the bucket has it, and a job waits until that is merged."""
    stage.keeper.look()
    stage.store.recovery.begin("a copy was restored", by="ann")
    stage.store.recovery.note_merge(Merged(intents=2, held=1))
    stage.store.recovery.end(by="ann", note="nothing was lost")
    stage.keeper.look()
    forgotten = stage.order(JobState.NEEDS_ATTENTION)
    known = stage.store.client.hgetall(stage.store.keys.job(forgotten.id))
    stage.wake(forgotten.id)
    done = stage.order(JobState.SUCCEEDED)
    stage.wake(done.id)
    _forget(stage, forgotten, known)
    stage.store.recovery.begin("the job store has forgotten 1 submission that it had confirmed")
    stage.store.recovery.claim(120.0)
    stage.store.recovery.note_merge(Merged(intents=1, unclaimed=1))
    stage.wake(stage.order(JobState.SUCCEEDED).id)
    wanted_no_more = stage.order(JobState.CANCELLED)
    _happens(stage, wanted_no_more, CancelRequested(keep_result=False, notes_only=True))


def _forget(stage: Stage, job: JobRecord, fields: Any) -> None:
    client, keys = stage.store.client, stage.store.keys
    client.delete(keys.job(job.id))
    client.hset(keys.job(job.id), mapping=fields)
    client.zrem(keys.jobs(JobState.RENDERING), job.id)
    client.zadd(keys.jobs(JobState.QUEUED), {job.id: stage.clock.now()})
    client.zadd(keys.due, {job.id: stage.clock.now()})


def _spooled(stage: Stage) -> None:
    """A worker was killed between the provider's answer and the job store: the key is in its spool."""
    job = stage.order(JobState.SUCCEEDED)
    transition = stage.store.jobs.transition

    def dying(job: JobRecord, event: Any, **options: Any) -> Any:
        if type(event).__name__ == "SubmissionAccepted":
            raise KilledError("before the store heard of it")
        return transition(job, event, **options)

    stage.store.jobs.transition = dying  # type: ignore[method-assign]
    stage.answering(stage.accepts, job)
    assert stage.store.jobs.is_on_disk()
    stage.store.jobs.transition = transition  # type: ignore[method-assign]


Play = Callable[[Stage], None]

SCENES: dict[str, tuple[dict[str, Any], Play]] = {
    "queued": ({}, _queued),
    "submitting": ({}, _submitting),
    "held": ({}, _held),
    "rendering": ({}, _rendering),
    "storing": ({}, _storing),
    "ended": ({}, _ended),
    "outage": ({}, _outage),
    "slots": ({"max_in_flight": 1}, _slots),
    "rate": ({"submit_rate": 0.5, "query_rate": 1.0}, _rate),
    "policy_fail": ({"unknown_outcome": "fail"}, _policy_fail),
    "policy_resubmit": ({"unknown_outcome": "resubmit(1, 20)"}, _policy_resubmit),
    "policy_probe": ({"unknown_outcome": "probe", "nonce_contract": "verified"}, _policy_probe),
    "recovery": ({"intent_log": "storage"}, _recovery),
    "spooled": ({"intent_log": "storage"}, _spooled),
}
"""By name: the settings, and what has happened."""
