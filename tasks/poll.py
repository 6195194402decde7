"""`sceneshift.poll`: ask the provider once; unfinished, move the job's own due time and end. No worker sleeps, ever.

With much due, one message carries many jobs, because a message costs ten times what a question costs.

Run twice: a second question that changes nothing, or a step that has passed.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from celery import shared_task

from sceneshift.jobs.decisions import next_step
from tasks.services import Services, current_services
from tasks.steps import Report, conclude, taking

CONCURRENT_QUESTIONS = 16


@shared_task(name="sceneshift.poll")
def poll(
    *,
    job_id: str | None = None,
    step: str | None = None,
    sku: str = "",  # noqa: ARG001  # for Flower's search
    job_ids: list[str] | None = None,
    steps: list[str] | None = None,
) -> dict[str, Any]:
    """One question about one job, or one each about many."""
    if job_id and step:
        return poll_job(current_services(), job_id, step)
    return poll_jobs(current_services(), list(zip(job_ids or [], steps or [], strict=True)))


def poll_job(services: Services, job_id: str, step: str) -> Report:
    """The provider was asked once, and the job is polled later, stored next, or has failed."""
    with taking(services, job_id, step) as taken:
        job = taken.job
        if job is None:
            return {"skipped": taken.reason}
        outcome = services.provider.query(job.result_key)
        return conclude(services, job, next_step(job, outcome, services.policy, services.store.clock.now()))


def poll_jobs(services: Services, pairs: list[tuple[str, str]]) -> Report:
    """Each of these jobs was asked about once; the report counts what came of them."""
    reports = _questioners().map(lambda pair: poll_job(services, *pair), pairs)
    return dict(Counter(str(report.get("state", "skipped")) for report in reports))


@cache
def _questioners() -> ThreadPoolExecutor:
    """The threads that all batches of this process share, so that batches do not multiply connections."""
    return ThreadPoolExecutor(CONCURRENT_QUESTIONS, thread_name_prefix="poll")
