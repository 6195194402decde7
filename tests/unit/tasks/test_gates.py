"""What the gates are told of each answer, after it was stored and without disturbing the step."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.gates import OUTAGE
from sceneshift.jobs.states import JobState
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    NotSent,
    Pending,
    ProviderError,
    QueryFailed,
    Refused,
    SubmitOutcome,
)
from sceneshift.settings import Settings
from sceneshift.store.breaker import Breaker
from sceneshift.store.connection import NOTES, TIMEKEEPER, connect
from sceneshift.store.opening import open_job_store
from tasks.gates import note_outcome
from tests.factories import a_job
from tests.unit.tasks.workshop import Workshop
from workers.embedded.processes import free_port

PENDING = Pending(provider_status="RUNNING")


def throttled(retry_after_seconds: float | None = None, *, is_guess: bool = False) -> ProviderError:
    return ProviderError(
        kind=ErrorKind.THROTTLED, message="slow down", retry_after_seconds=retry_after_seconds, is_guess=is_guess
    )


def limit(work: Workshop, settings: Settings, **limits: float) -> None:
    limited = settings.model_copy(update=limits)
    work.store = open_job_store(limited, patience=TIMEKEEPER, client=work.store.client, clock=work.clock)
    work.use(store=work.store, settings=limited)


def submit_with(work: Workshop, outcome: SubmitOutcome) -> str:
    work.provider.on_submit = lambda: outcome
    job = work.accept()
    work.wake(job.id)
    return job.id


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_step_itself_tells_the_breaker(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """Three jobs that cannot be sent: the fourth waits, one line of the log says why, and nothing was sent for it."""
    for _ in range(3):
        submit_with(work, NotSent(reason="refused"))
    job = work.job(submit_with(work, Accepted(result_key="k")))
    assert (job.state, job.blocked_by) == (JobState.QUEUED, OUTAGE)
    assert len(work.provider.submissions) == 3
    assert messages(caplog).count("breaker.opened") == 1


def test_the_probe_of_a_job_closes_it(work: Workshop, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """After five seconds one job goes, and its acceptance lets the others follow."""
    for _ in range(3):
        submit_with(work, NotSent(reason="refused"))
    clock.advance(5.0)
    first, second = (work.job(submit_with(work, Accepted(result_key=key))) for key in ("k1", "k2"))
    assert [first.state, second.state] == [JobState.RENDERING] * 2
    assert messages(caplog).count("breaker.closed") == 1


def test_a_poll_that_is_answered_tells_that_the_provider_is_there(work: Workshop, clock: ManualClock) -> None:
    """Jobs at the provider go on being asked about: their answers are as good as the watch's questions."""
    job = work.rendering()
    for _ in range(3):
        submit_with(work, NotSent(reason="refused"))
    work.store.breaker.note_question(is_answered=False)
    clock.advance(100.0)
    work.provider.on_query = lambda _key: QueryFailed(error=ProviderError(kind=ErrorKind.TRANSIENT, message="503"))
    work.wake(job.id)
    assert not work.store.breaker.state().lets_one_through
    work.provider.on_query = lambda _key: PENDING
    work.wake(job.id)
    assert work.store.breaker.state().lets_one_through


def test_throttled_submissions_slow_all_down_and_say_so_once(
    work: Workshop, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Four answers at once halve the rate once; the log says from what to what, and no breaker opens."""
    limit(work, settings, submit_rate=8.0)
    for _ in range(4):
        note_outcome(work.services, a_job(), Refused(error=throttled(7.0)))
    lowered = [record for record in caplog.records if record.getMessage() == "submit_rate.lowered"]
    assert [(record.__dict__["rate_from"], record.__dict__["rate_to"]) for record in lowered] == [(8.0, 4.0)]
    assert work.store.permits.effective().submit_rate == 4.0
    assert work.store.permits.reserve_submission("job_1").moment == pytest.approx(work.clock.now() + 7.0, abs=1e-3)
    assert not work.store.breaker.state().is_open


def test_throttled_questions_slow_questions_down(
    work: Workshop, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The other call's rate stays as it is."""
    limit(work, settings, submit_rate=8.0, query_rate=20.0)
    note_outcome(work.services, a_job(), QueryFailed(error=throttled()))
    effective = work.store.permits.effective()
    assert (effective.submit_rate, effective.query_rate) == (8.0, 10.0)
    assert "query_rate.lowered" in messages(caplog)


def test_a_refusal_without_a_reason_slows_nobody_down(work: Workshop, settings: Settings) -> None:
    """It may mean this very picture."""
    limit(work, settings, submit_rate=8.0)
    note_outcome(work.services, a_job(), Refused(error=throttled(is_guess=True)))
    assert work.store.permits.effective().submit_rate == 8.0


@pytest.mark.parametrize("outcome", [Accepted(result_key="k"), Refused(error=throttled()), PENDING])
def test_a_store_that_is_away_costs_the_step_nothing(
    work: Workshop, caplog: pytest.LogCaptureFixture, outcome: SubmitOutcome | Pending
) -> None:
    """What the gates were to learn is lost, and the log says so."""
    with closing(connect(f"redis://127.0.0.1:{free_port()}/0", NOTES)) as nobody:
        breaker = Breaker(nobody, work.store.keys, work.clock)
        services = replace(work.services, store=replace(work.store, breaker=breaker))
        with caplog.at_level(logging.WARNING):
            note_outcome(services, a_job(), outcome)
    assert "gates.outcome_not_noted" in messages(caplog)
