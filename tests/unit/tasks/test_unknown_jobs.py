"""A message for a job or a delivery that the job store does not have: nothing is done, and an operator can see it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sceneshift.identifiers import delivery_id, step_kind
from sceneshift.messages import step_message
from sceneshift.store.bad_messages import BadMessages, Reason
from sceneshift.store.connection import NOTES, connect
from tasks.poll import poll_jobs
from tests.factories import a_job
from tests.unit.tasks.workshop import Workshop
from workers.embedded.processes import free_port


def run(work: Workshop, step: str) -> tuple[str, object]:
    """A message of this step for a job that nobody has ordered was run; its subject, and the task's report."""
    job_id = a_job().id
    subject_id = delivery_id(job_id, 1) if step_kind(step) == "notify" else job_id
    message = step_message(subject_id=subject_id, step=step, sku="", parent_step="", job_id=job_id)
    return subject_id, work.run(message)


@pytest.mark.parametrize("step", ["submit-1", "poll-001", "finalize-1", "notify-01"])
def test_it_is_dropped_logged_and_counted(work: Workshop, step: str, caplog: pytest.LogCaptureFixture) -> None:
    """By the queue of its task, with its id and step; a rollback of the job store shows here first."""
    subject_id, report = run(work, step)
    assert report == {"skipped": "missing"}
    [kind] = work.store.bad_messages.kinds()[0]
    assert (kind.queue, kind.reason, kind.count) == (f"sceneshift.{step_kind(step)}", Reason.UNKNOWN_JOB, 1)
    assert kind.beginning == f"{subject_id} {step}"
    [told] = [record for record in caplog.records if record.message == "message.dropped"]
    assert (told.__dict__["subject_id"], told.__dict__["reason"]) == (subject_id, "unknown_job")


def test_each_of_a_batch_is_counted(work: Workshop) -> None:
    """Also those that are not counted among the messages begun."""
    assert poll_jobs(work.services, [(a_job().id, "poll-001") for _ in range(3)]) == {"skipped": 3}
    [kind] = work.store.bad_messages.kinds()[0]
    assert (kind.queue, kind.count) == ("sceneshift.poll", 3)


def test_a_message_that_came_late_or_twice_is_no_bad_one(work: Workshop) -> None:
    """Its job is there, and the step has passed or is held: that is ordinary."""
    job = work.accept()
    message = step_message(subject_id=job.id, step=job.step, sku="", parent_step="", job_id=job.id)
    assert "state" in work.run(message)
    assert work.run(message) == {"skipped": "stale"}
    assert work.store.bad_messages.kinds() == ([], None)


def test_a_note_that_cannot_be_taken_is_no_fault_of_the_step(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """The log still says it."""
    away = connect(f"redis://127.0.0.1:{free_port()}/0", NOTES)
    work.use(store=replace(work.store, bad_messages=BadMessages(away, work.store.keys)))
    assert run(work, "submit-1")[1] == {"skipped": "missing"}
    away.close()
    assert {"message.dropped", "message.not_noted"} <= {record.message for record in caplog.records}
