"""The scenes of jobs as they go their way: waiting, being sent, held, rendered, stored, and ended."""

from __future__ import annotations

from functools import partial
from typing import Any

from sceneshift.fetch_errors import FetchStatusError
from sceneshift.jobs.events import CancelRequested, Refunded, Resolved, Retried, StepPoisoned
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
    Refused,
    RenderFailed,
    Succeeded,
)
from sceneshift.store.due import DueStep
from tests.factories import an_order
from tests.unit.tasks.lifespan import KilledError
from tests.unit.tasks.ports import RESULT_KEY, answer, result_urls
from tests.upgrades.stage import Stage
from workers.timekeeper import messages_for

LOST = OutcomeUnknown(reason="read timeout")
NO_CREDITS = Refused(error=ProviderError(kind=ErrorKind.CREDITS_EXHAUSTED, message="Quota Exhausted"))


def a_refusal(kind: ErrorKind, **values: Any) -> Refused:
    return Refused(error=ProviderError(kind=kind, message="no", request_id="REQ-2", **values))


def stage_order(**values: Any) -> JobOrder:
    """An order of two images."""
    return an_order(**{"num_output": 2, **values})


def killed() -> Any:
    raise KilledError("while it was sending")


def happens(stage: Stage, job: JobRecord, event: Any) -> JobRecord:
    change = stage.store.jobs.transition(stage.job(job.id), event)
    assert change is not None
    stage.publisher.publish(messages_for_change(change))
    return change.after


def queued(stage: Stage) -> None:
    """Nothing is on its way: fresh, bulk, with all that can be ordered, refused before, and for want of a source."""
    stage.order(JobState.SUCCEEDED)
    full = {
        "negative_prompt": "people", "guidance_scale": 6.5, "strength": 0.4, "seed": 7, "steps": 30,
        "idempotency_key": "shop:full", "metadata": {"product": "花瓶"}, "lane": "bulk", "deadline_seconds": 90.0,
    }  # fmt: skip
    stage.order(JobState.SUCCEEDED, order=full)
    stage.order(JobState.SUCCEEDED, order={"webhook_url": None, "sku": None})
    for kind in (ErrorKind.THROTTLED, ErrorKind.UNAUTHORIZED, ErrorKind.MISCONFIGURED, ErrorKind.TRANSIENT):
        refused = stage.order(JobState.SUCCEEDED)
        stage.answering(partial(a_refusal, kind), refused)
        stage.store.client.delete(stage.store.keys.breaker)
    unexplained = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: a_refusal(ErrorKind.THROTTLED, is_guess=True, retry_after_seconds=7.0), unexplained)
    unreached = stage.order(JobState.SUCCEEDED)
    stage.not_sent(stage.answering(lambda: NotSent(reason="connect"), unreached))
    gone = stage.order(JobState.SUCCEEDED, order={"image": "https://shop.example/slow.jpg"})
    stage.web.sources["https://shop.example/slow.jpg"] = FetchStatusError("answered with status 503", status=503)
    stage.wake(gone.id)
    assert stage.job(gone.id).strikes == 1


def submitting(stage: Stage) -> None:
    """Workers were killed while they were sending; two jobs are not wanted any more."""
    for cancel in (None, CancelRequested(keep_result=False), CancelRequested(keep_result=True)):
        job = stage.order(JobState.NEEDS_ATTENTION)
        stage.answering(killed, job)
        if cancel:
            happens(stage, job, cancel)


def held(stage: Stage) -> None:
    """For each reason there is, and one that was submitted again by a person."""
    lost = stage.order(JobState.NEEDS_ATTENTION)
    stage.answering(lambda: OutcomeUnknown(reason="read timeout", unreadable_answer="{oops"), lost)
    poisoned = stage.order(JobState.NEEDS_ATTENTION)
    happens(stage, poisoned, StepPoisoned(fault=JobFault(code="poison", message="submit-1 was started 3 times")))
    paid = stage.storing(order=stage_order())
    stage.expect(paid, JobState.NEEDS_ATTENTION)
    happens(stage, paid, StepPoisoned(fault=JobFault(code="poison", message="finalize-1 was started 3 times")))
    duplicate = stage.order(JobState.NEEDS_ATTENTION)
    stage.answering(lambda: Accepted(result_key=stage.job(paid.id).result_key, request_id="REQ-9"), duplicate)
    again = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: LOST, again)
    lost_key = stage.job(again.id)
    happens(stage, again, Resolved(action="resubmit", by="ann", why="not in the console"))
    assert stage.store.ledger.note_unclaimed(lost_key, "unclaimed-" + RESULT_KEY[10:], left_behind=True)
    attached = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: LOST, attached)
    happens(stage, attached, Resolved(action="attach", by="ann", why="console", result_key=RESULT_KEY))
    stage.store.client.delete(stage.store.keys.breaker)


def rendering(stage: Stage) -> None:
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
        happens(stage, unwanted, CancelRequested(keep_result=keep))
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


def storing(stage: Stage) -> None:
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
        happens(stage, unwanted, CancelRequested(keep_result=keep))


def ended(stage: Stage) -> None:
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
    stage.answering(lambda: a_refusal(ErrorKind.CONTENT_REJECTED), refused)
    stage.web.on_post = lambda _post: answer(410)
    stage.deliver(refused.id)
    stage.web.on_post = lambda _post: answer(204)
    free = stage.order(JobState.CANCELLED)
    happens(stage, free, CancelRequested(keep_result=False))
    stage.provider.on_query = lambda _key: RenderFailed(
        error=ProviderError(kind=ErrorKind.EXECUTION_FAILED, message="failed", request_id="REQ-3")
    )
    broken = stage.rendering(order=stage_order())
    stage.wake(broken.id)
    stage.expect(broken, JobState.FAILED)
    happens(stage, broken, Refunded(by="ann", why="invoice 7"))
    retried = stage.rendering(order=stage_order())
    stage.wake(retried.id)
    stage.provider.on_query = lambda _key: Succeeded(urls=result_urls(2))
    stage.expect(retried, JobState.SUCCEEDED)
    happens(stage, retried, Retried(by="ann", from_submit=False))
    given_up = stage.order(JobState.FAILED)
    stage.answering(lambda: LOST, given_up)
    happens(stage, given_up, Resolved(action="fail", by="ann", why="too late"))
    paid_again = stage.order(JobState.SUCCEEDED)
    stage.answering(lambda: LOST, paid_again)
    happens(stage, paid_again, Resolved(action="fail", by="ann"))
    happens(stage, paid_again, Retried(by="ann", why="needed", from_submit=True))
    stage.store.client.delete(stage.store.keys.breaker)
