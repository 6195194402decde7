"""What is worth knowing of the provider's answers beyond the job that they were about.

None of it changes a job: it is written after the outcome was stored, and a job store that is away is no fault of the
step.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from sceneshift.jobs.record import JobRecord
from sceneshift.provider.protocol import Endpoint, NotSent, OutcomeUnknown, QueryFailed, QueryOutcome, SubmitOutcome
from tasks.services import Services

log = logging.getLogger(__name__)


def note_answer(services: Services, job: JobRecord, outcome: SubmitOutcome | QueryOutcome) -> None:
    """An odd answer is counted, and one that could not be read is kept with its job, when the job store is there."""
    try:
        if isinstance(outcome, OutcomeUnknown | QueryFailed) and outcome.unreadable_answer:
            endpoint = Endpoint.SUBMIT if isinstance(outcome, OutcomeUnknown) else Endpoint.QUERY
            services.store.answers.keep(job.id, outcome.unreadable_answer, endpoint)
        if not isinstance(outcome, NotSent) and outcome.noted and services.store.answers.count(outcome.noted):
            noted = outcome.noted
            log.warning(
                "provider.answer_first_seen",
                extra={
                    "job_id": job.id,
                    "endpoint": str(noted.endpoint),
                    "http_status": noted.http_status,
                    "code": noted.code,
                    "provider_message": noted.message,
                },
            )
    except RedisError as error:
        log.warning("provider.answer_not_noted", extra={"job_id": job.id, "error": type(error).__name__})
