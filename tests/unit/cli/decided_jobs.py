"""Jobs that a person may decide about, of two images each."""

from __future__ import annotations

from typing import Any

from sceneshift.identifiers import new_job_id
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.store.opening import Store
from tests.factories import NOW
from tests.unit.jobs.situations import SITUATIONS

LOST, REFUSED = JobFault(code="outcome_unknown", message="lost"), JobFault(code="source_not_found", message="404")


def failed(**values: Any) -> JobRecord:
    """A job of two images that failed after it was rendered: it has a result key, and is paid for."""
    fault = JobFault(code="storage_refused", message="no")
    return SITUATIONS["failed"].evolve(**{"id": new_job_id(NOW), "error": fault, **values})


def refused(**values: Any) -> JobRecord:
    """A job of two images that was never accepted."""
    return failed(**{"result_key": "", "charge": Charge.NOT_CHARGED, "error": REFUSED, "rendered_at": None, **values})


def lost(**values: Any) -> JobRecord:
    """A job of two images that was given up although it may be paid for."""
    return refused(**{"charge": Charge.UNKNOWN, "error": LOST, **values})


def held(**values: Any) -> JobRecord:
    """A job of two images that waits for a person."""
    return SITUATIONS["held, answer lost"].evolve(**{"id": new_job_id(NOW), **values})


def state_of(store: Store, job: JobRecord) -> JobState:
    """The state that the job is in now."""
    record = store.jobs.load(job.id)
    assert record is not None
    return record.state
