"""The watch asks while the provider is away, for all workers, and the breaker hears what it heard."""

from __future__ import annotations

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.gates import OUTAGE
from sceneshift.provider.protocol import ErrorKind, ProviderError, QueryFailed, QueryOutcome
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import Store, open_job_store
from tests.unit.tasks.workshop import Workshop
from workers.outage_watch import INTERVAL_SECONDS, OutageWatch

AWAY = QueryFailed(error=ProviderError(kind=ErrorKind.TRANSIENT, message="ConnectError"))
THERE = QueryFailed(error=ProviderError(kind=ErrorKind.NO_RECORD, message="No records found", http_status=400))


@pytest.fixture
def work(store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Services with a provider whose answers a test scripts."""
    monkeypatch.setattr("tasks.services._services", None)
    return Workshop(store, settings, clock)


def go_away(work: Workshop, outcome: QueryOutcome = AWAY) -> None:
    """The breaker is open for an outage, and this is what questions are answered."""
    work.provider.on_query = lambda _key: outcome
    for number in range(3):
        work.store.breaker.note_submission(f"job_{number}", f"job_{number}:submit-1", OUTAGE)


def turns(work: Workshop, *watches: OutageWatch, seconds: int) -> None:
    for _ in range(seconds):
        for watch in watches:
            assert watch._turn() == INTERVAL_SECONDS
        work.clock.advance(1.0)


def test_nothing_is_asked_while_the_provider_works(work: Workshop) -> None:
    """Whether questions are charged is not known: there are none without need."""
    turns(work, OutageWatch(work.services), seconds=10)
    assert work.provider.questions == []


def test_all_workers_together_ask_every_three_seconds(work: Workshop) -> None:
    """Three workers, thirty seconds, ten questions, each about a key that nobody has."""
    go_away(work)
    turns(work, *(OutageWatch(work.services) for _ in range(3)), seconds=30)
    assert len(work.provider.questions) == len(set(work.provider.questions)) == 10


def test_an_answer_after_the_silence_lets_one_job_through(work: Workshop) -> None:
    """The provider says that it knows no such key: it is there."""
    go_away(work)
    watch = OutageWatch(work.services)
    turns(work, watch, seconds=60)
    assert not work.store.breaker.state().lets_one_through
    work.provider.on_query = lambda _key: THERE
    turns(work, watch, seconds=3)
    assert work.store.breaker.state().lets_one_through


def test_questions_keep_the_query_rate(work: Workshop, settings: Settings) -> None:
    """At one question in twenty seconds, the watch asks no more often."""
    limited = settings.model_copy(update={"query_rate": 0.05})
    store = open_job_store(limited, patience=TIMEKEEPER, client=work.store.client, clock=work.clock)
    work.use(store=store, settings=limited)
    go_away(work)
    turns(work, OutageWatch(work.services), seconds=60)
    assert 1 <= len(work.provider.questions) <= 3


def test_a_turn_that_fails_is_logged_and_followed_by_another(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody foresaw costs one question; another is asked when its lease is over."""
    go_away(work)
    watch = OutageWatch(work.services)

    def fail(_key: str) -> QueryOutcome:
        raise ValueError("nobody foresaw this")

    work.provider.on_query = fail
    assert watch._turn() == INTERVAL_SECONDS
    assert "outage_watch.failed" in [record.getMessage() for record in caplog.records]
    work.provider.on_query = lambda _key: THERE
    turns(work, watch, seconds=11)
    assert len(work.provider.questions) == 2
