"""`sceneshift.poll`: ask the provider once; unfinished, move the job's own due time and end. No worker sleeps, ever.

With much due, one message carries many jobs, because a message costs ten times what a question costs.

Run twice: a second question that changes nothing, or a step that has passed.
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from celery import shared_task
from redis.exceptions import RedisError

from sceneshift.jobs.decisions import next_step
from sceneshift.jobs.polling import measured_seconds
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from tasks.answers import note_answer
from tasks.gates import note_outcome
from tasks.services import Services, current_services
from tasks.steps import Report, conclude, taking

log = logging.getLogger(__name__)


@shared_task(name="sceneshift.poll")
def poll(
    *,
    job_id: str | None = None,
    step: str | None = None,
    sku: str = "",  # noqa: ARG001  # for Flower's search
    job_ids: list[str] | None = None,
    steps: list[str] | None = None,
    **later: Any,  # noqa: ARG001  # what a later release adds
) -> dict[str, Any]:
    """One question about one job, or one each about many."""
    if job_id and step:
        return poll_job(current_services(), job_id, step)
    return poll_jobs(current_services(), list(zip(job_ids or [], steps or [], strict=True)))


def poll_job(services: Services, job_id: str, step: str, *, counted: bool = True) -> Report:
    """The provider was asked once, and the job is polled later, stored next, or has failed."""
    with taking(services, job_id, step, counted_as="sceneshift.poll" if counted else None) as taken:
        job = taken.job
        if job is None:
            return {"skipped": taken.reason}
        latency = services.store.latencies.expected(job.order.steps, job.order.num_output)
        outcome = services.provider.query(job.result_key)
        now = services.store.clock.now()
        report = conclude(services, job, next_step(job, outcome, services.policy, now, latency))
        note_answer(services, job, outcome)
        note_outcome(services, job, outcome)
        if report.get("state") == JobState.STORING:
            _learn(services, job, measured_seconds(job, services.policy, now, latency))
        return report


def _learn(services: Services, job: JobRecord, seconds: float | None) -> None:
    """What the provider took for the job is known to all workers, when it can be told and the job store is there."""
    if seconds is None:
        return
    try:
        services.store.latencies.learn(job.id, job.order.steps, job.order.num_output, seconds)
    except RedisError as error:
        log.warning("latency.not_learned", extra={"job_id": job.id, "error": type(error).__name__})


def poll_jobs(services: Services, pairs: list[tuple[str, str]]) -> Report:
    """Each of these jobs was asked about once; the report counts what came of them."""

    def ask(numbered: tuple[int, tuple[str, str]]) -> str:
        number, (job_id, step) = numbered
        try:
            report = poll_job(services, job_id, step, counted=number == 0)
        except Exception:
            # Its lease brings it back, alone or in another batch; the others must not wait for that.
            log.exception("poll.failed", extra={"job_id": job_id, "step": step})
            return "error"
        return str(report.get("state", "skipped"))

    return dict(Counter(_questioners(services.settings.poll_concurrency).map(ask, enumerate(pairs))))


@cache
def _questioners(threads: int) -> ThreadPoolExecutor:
    """The threads that all batches of this process share, so that batches do not multiply connections."""
    return ThreadPoolExecutor(threads, thread_name_prefix="poll")
