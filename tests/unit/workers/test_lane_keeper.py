"""Failing endpoints are looked after for as long as the worker runs, whatever a look meets."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

import fakeredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.clock import ManualClock
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import open_job_store
from tests.unit.store.outbox import GONE, LANE, REFUSED, URL, Outbox
from tests.unit.tasks.receiver import warnings_in
from tests.unit.tasks.workshop import Workshop
from workers.lane_keeper import INTERVAL_SECONDS, LaneKeeper

DAY = 86_400.0
ALL_WARNINGS = [("failing", 50), ("failing", 70), ("failing", 90), ("disabled", 100)]


@pytest.fixture
def work(settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The services of a worker, on an imitation of a job store."""
    monkeypatch.setattr("tasks.services._services", None)
    client = fakeredis.FakeRedis(decode_responses=True)
    return Workshop(open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock), settings, clock)


@pytest.mark.parametrize(
    ("error", "word"), [(RedisConnectionError(), "lanes.store_away"), (KeyError(), "lanes.failed")]
)
def test_a_look_that_fails_is_logged_and_followed_by_another(
    work: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, word: str
) -> None:
    """It costs one look: the next one tells what there is to tell."""
    outbox = Outbox(work.store)
    outbox.attempt(outbox.event(), REFUSED)
    work.clock.advance(2.6 * 86_400)
    keeper = LaneKeeper(work.services)

    def fail() -> NoReturn:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(work.store.lanes, "failing", fail)
        assert keeper._turn() == INTERVAL_SECONDS
    assert [record.getMessage() for record in caplog.records] == [word]
    work.clock.advance(INTERVAL_SECONDS)
    assert keeper._turn() == INTERVAL_SECONDS
    assert warnings_in(caplog) == [("failing", 50)]


def test_a_warning_is_told_though_a_worker_died_over_it(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """What one process has found out and not told, another tells; then nobody does any more."""
    outbox = Outbox(work.store)
    outbox.attempt(outbox.event(), REFUSED)
    work.clock.advance(4.6 * DAY)
    assert [warning.percent for warning in work.store.lanes.look(LANE)] == [50, 70, 90]
    work.clock.advance(DAY)
    outbox.attempt(outbox.event(), REFUSED)
    assert work.store.lanes.get(LANE).status == "disabled"
    keeper = LaneKeeper(work.services)
    keeper.look()
    keeper.look()
    assert warnings_in(caplog) == ALL_WARNINGS
    counts = work.store.lanes.counts()
    assert [counts[f"warned:{percent}"] for percent in (50, 70, 90, 100)] == [1, 1, 1, 1]


def test_that_an_endpoint_wanted_no_more_is_told_though_a_worker_died_over_it(
    work: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """Only that it is disabled: it has not been failing."""
    outbox = Outbox(work.store)
    outbox.attempt(outbox.event(), GONE)
    keeper = LaneKeeper(work.services)
    keeper.look()
    keeper.look()
    assert warnings_in(caplog) == ALL_WARNINGS[-1:]


def test_what_a_person_has_disabled_stays_so_and_is_no_news(work: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """However long nothing happens there; nobody is warned of it."""
    work.store.lanes.disable(LANE, url=URL)
    LaneKeeper(work.services).look()
    assert work.store.client.ttl(work.store.keys.lane(LANE)) == -1
    assert warnings_in(caplog) == []


def test_of_many_workers_one_looks(work: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute, whoever comes first; when that one is gone, another one does. A clock set back stops nobody."""
    looks: list[str] = []
    keepers = {name: LaneKeeper(work.services) for name in ("first", "second", "third")}
    for name, keeper in keepers.items():
        monkeypatch.setattr(keeper, "look", partial(looks.append, name))
    for _ in range(3):
        for keeper in keepers.values():
            keeper._turn()
            work.clock.advance(1.0)
        work.clock.advance(INTERVAL_SECONDS - 3.0)
    assert looks == ["first"] * 3
    keepers["third"]._turn()
    work.clock.advance(-DAY)
    keepers["second"]._turn()
    assert looks[3:] == ["third", "second"]
