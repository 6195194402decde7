"""What a step tells of an odd answer, after it has done its work and without being disturbed by it."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace

import pytest

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
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
    QueryOutcome,
)
from sceneshift.store.answers import AnswerStore
from sceneshift.store.connection import NOTES, connect
from tasks.answers import note_answer
from tests.unit.tasks.workshop import Workshop
from workers.embedded.processes import free_port

NOTED = NotedAnswer(endpoint=Endpoint.QUERY, http_status=200, code="", message="(not the provider's JSON)")
PAGE = "<html>\nmaintenance\n</html>"
UNREADABLE = QueryFailed(
    error=ProviderError(kind=ErrorKind.TRANSIENT, message="<html> maintenance"), unreadable_answer=PAGE, noted=NOTED
)


@pytest.fixture
def job(work: Workshop) -> JobRecord:
    """A job that the provider has just accepted."""
    return work.rendering()


def ask(work: Workshop, job: JobRecord, outcome: QueryOutcome) -> JobRecord:
    work.provider.on_query = lambda _key: outcome
    work.wake(job.id)
    return work.job(job.id)


def first_seen(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == "provider.answer_first_seen"]


def test_an_unreadable_answer_is_kept_with_its_job_and_counted(work: Workshop, job: JobRecord) -> None:
    """POL1, SUB10: the job is asked about again, the text can be looked at, and the count says how often it came."""
    for _ in range(3):
        assert ask(work, job, UNREADABLE).state is JobState.RENDERING
    assert work.store.answers.kept(job.id) == PAGE
    assert work.store.answers.counts() == ({NOTED: 3}, 0)


def test_a_good_answer_leaves_nothing(work: Workshop, job: JobRecord) -> None:
    """Neither a text nor a count, also when an unreadable one came before: that one stays."""
    ask(work, job, Pending(provider_status="RUNNING"))
    assert (work.store.answers.kept(job.id), work.store.answers.counts()) == (None, ({}, 0))
    ask(work, job, UNREADABLE)
    ask(work, job, Pending(provider_status="RUNNING"))
    assert work.store.answers.kept(job.id) == PAGE


def test_the_first_of_a_kind_is_told_once(work: Workshop, job: JobRecord, caplog: pytest.LogCaptureFixture) -> None:
    """One warning with the whole triple, however often the answer comes."""
    for _ in range(3):
        ask(work, job, UNREADABLE)
    (record,) = first_seen(caplog)
    assert record.levelno == logging.WARNING
    told = {name: vars(record)[name] for name in ("job_id", "endpoint", "http_status", "code", "provider_message")}
    assert told == {
        "job_id": job.id,
        "endpoint": "query",
        "http_status": 200,
        "code": "",
        "provider_message": NOTED.message,
    }


def test_an_odd_acceptance_is_counted(work: Workshop, job: JobRecord) -> None:
    """A success whose code says otherwise is accepted, and does not go unseen."""
    noted = replace(NOTED, endpoint=Endpoint.SUBMIT, code="9", message="success")
    note_answer(work.services, job, Accepted(result_key="K", noted=noted))
    note_answer(work.services, job, NotSent(reason="ConnectError"))
    assert work.store.answers.counts() == ({noted: 1}, 0)


def test_a_lost_submission_keeps_its_answer(work: Workshop, job: JobRecord) -> None:
    """P3: the key that could not be read can be found by a person; without any answer there is nothing to keep."""
    note_answer(work.services, job, OutcomeUnknown(reason="ReadTimeout"))
    assert work.store.answers.kept(job.id) is None
    note_answer(work.services, job, OutcomeUnknown(reason="HTTP 200", unreadable_answer=PAGE, noted=NOTED))
    assert work.store.answers.kept(job.id) == PAGE


def test_polling_costs_no_lost_key(work: Workshop, job: JobRecord) -> None:
    """P3: a maintenance page instead of a state does not take the place of the answer with the paid key."""
    lost = '{"success":true,"data":{"resultKey":"6c8d2f2c"}}'
    note_answer(work.services, job, OutcomeUnknown(reason="HTTP 200", unreadable_answer=lost, noted=NOTED))
    for _ in range(2):
        ask(work, job, UNREADABLE)
    assert work.store.answers.kept(job.id) == lost


def test_the_outcome_is_stored_first(work: Workshop, job: JobRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the answer is noted, the job has its next due time already: a crash there costs the note alone."""
    seen = []

    def keep(job_id: str, _text: str, _endpoint: Endpoint) -> None:
        seen.append((work.job(job_id).step, work.due_in(job_id) > 0))

    monkeypatch.setattr(work.store.answers, "keep", keep)
    ask(work, job, UNREADABLE)
    assert seen == [("poll-002", True)]


def test_a_store_that_is_away_for_notes_disturbs_no_step(
    work: Workshop, job: JobRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """The step's report is as ever, the job moves on, and the log says what was lost."""
    with closing(connect(f"redis://127.0.0.1:{free_port()}/0", NOTES)) as client:
        answers = AnswerStore(client, work.store.keys, retention_seconds=60.0)
        work.use(store=replace(work.store, answers=answers))
        work.provider.on_query = lambda _key: UNREADABLE
        assert work.wake(job.id) == {"state": "rendering", "next": "poll-002", "blocked_by": "provider_unavailable"}
    assert work.job(job.id).polls == 1
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "provider.answer_not_noted"
    ]
