"""What each answer of the provider tells the gates that all workers share: the breaker and the pace.

It is noted after the outcome was stored. A job store that is away is no fault of the step, and the next answer tells
the same.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from sceneshift.jobs.gates import is_answered, throttled_by, verdict_of
from sceneshift.jobs.record import JobRecord
from sceneshift.provider.protocol import (
    Endpoint,
    Pending,
    QueryFailed,
    QueryOutcome,
    RenderFailed,
    SubmitOutcome,
    Succeeded,
)
from tasks.services import Services

log = logging.getLogger(__name__)

_LOWERED = {Endpoint.SUBMIT: "submit_rate.lowered", Endpoint.QUERY: "query_rate.lowered"}


def note_outcome(services: Services, job: JobRecord, outcome: SubmitOutcome | QueryOutcome) -> None:
    """The gates know of this outcome, when the job store is there; `job` is as it was when the request was made."""
    try:
        if isinstance(outcome, Pending | Succeeded | RenderFailed | QueryFailed):
            _note_query(services, outcome)
        else:
            _note_submission(services, job, outcome)
    except RedisError as error:
        log.warning("gates.outcome_not_noted", extra={"job_id": job.id, "error": type(error).__name__})


def note_question(services: Services, *, is_answered: bool) -> None:
    """The breaker knows that a question was answered or not.

    Raises:
        RedisError: the job store is away.
    """
    if services.store.breaker.note_question(is_answered=is_answered):
        log.info("breaker.question_answered" if is_answered else "breaker.question_failed")


def _note_query(services: Services, outcome: QueryOutcome) -> None:
    _slow_down(services, Endpoint.QUERY, outcome)
    # Polls go on while nothing is submitted; all others need not be told that the provider is there.
    if is_answered(outcome) and services.store.breaker.wants_answers():
        note_question(services, is_answered=True)


def _note_submission(services: Services, job: JobRecord, outcome: SubmitOutcome) -> None:
    _slow_down(services, Endpoint.SUBMIT, outcome)
    verdict = verdict_of(outcome)
    news = services.store.breaker.note_submission(job.id, f"{job.id}:{job.step}", verdict)
    about = {"job_id": job.id, "verdict": verdict}
    if news == "opened":
        log.error("breaker.opened", extra=about)
    elif news == "closed":
        log.warning("breaker.closed", extra=about)
    elif news == "failed":
        log.info("breaker.probe_failed", extra=about)


def _slow_down(services: Services, endpoint: Endpoint, outcome: SubmitOutcome | QueryOutcome) -> None:
    error = throttled_by(outcome)
    if error is None:
        return
    lowered = services.store.permits.slow_down(endpoint, error.retry_after_seconds)
    if lowered:
        log.warning(
            _LOWERED[endpoint],
            extra={"rate_from": round(lowered.from_rate, 6), "rate_to": round(lowered.to_rate, 6)},
        )
