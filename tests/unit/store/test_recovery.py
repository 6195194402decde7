"""A job store that has lost what it confirmed is noticed, and no intent is stored; a healthy one raises no alarm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.events import IntentStored
from sceneshift.jobs.intents import Merged
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import SERVICE, connect
from sceneshift.store.jobs import IntentGuard, RecoveringError, RolledBackError
from sceneshift.store.recovery import REMEMBERED_SECONDS, RecoveryState
from sceneshift.store.rollback import DAY_SECONDS
from tests.factories import a_job
from tests.unit.store.append_only_file import commands, cut
from tests.unit.store.worker_processes import Process, ProcessOf, is_off, processes
from workers.embedded.redis_server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which writes everything down before it answers."""
    with RedisServer(tmp_path / "server", fsync="always") as server:
        yield server


@pytest.fixture
def process_of(settings: Settings, clock: ManualClock) -> Iterator[ProcessOf]:
    with processes(settings, clock) as process_of:
        yield process_of


@pytest.fixture
def process(server: RedisServer, process_of: ProcessOf) -> Process:
    return process_of(server.url)


@pytest.fixture
def other(server: RedisServer, process_of: ProcessOf) -> Process:
    """Another process of the same deployment."""
    return process_of(server.url)


# No false alarms


def test_a_first_start_is_no_loss(process: Process, other: Process) -> None:
    """An empty store gets its identity once, and everybody agrees on it."""
    assert is_off(process)
    assert is_off(other)
    process.submit_new()
    other.submit_new()
    assert is_off(process)
    assert is_off(other)


def test_an_ordinary_restart_is_no_loss(server: RedisServer, process: Process) -> None:
    """Killed and started again with its append-only file, the server has everything."""
    assert is_off(process)
    process.submit_new()
    assert is_off(process)
    server.restart()
    assert is_off(process)
    process.submit_new()


def test_lost_connections_are_no_loss(process: Process) -> None:
    """A reconnected client sees the same store."""
    assert is_off(process)
    process.submit_new()
    process.store.client.connection_pool.disconnect()
    assert is_off(process)


def test_a_server_that_does_not_say_is_judged_by_the_rest(server: RedisServer, process_of: ProcessOf) -> None:
    """Without INFO there is no alarm, and a store that forgot everything is still noticed."""
    admin = connect(server.url, SERVICE)
    admin.acl_setuser("blind", enabled=True, passwords=["+x"], keys=["*"], channels=["*"], categories=["+@all"],
                      commands=["-info"])  # fmt: skip
    process = process_of(server.url.replace("//", "//blind:x@"))
    assert is_off(process)
    process.submit_new()
    assert is_off(process)
    admin.flushall()
    admin.close()
    state = process.recovery.look()
    assert state is not None
    assert "everything" in state.reason


def test_a_lost_answer_is_no_loss(process: Process, clock: ManualClock) -> None:
    """The store may know of more intents than the process: of those whose confirmation was lost."""
    assert is_off(process)
    job = process.accept()
    witness, count = process.recovery.witness()
    process.store.jobs.transition(
        job, IntentStored(nonce="n", request_hash="0" * 64), guard=IntentGuard(witness=witness, witnessed=count)
    )
    assert is_off(process)
    process.submit_new()
    clock.advance(10.0)
    assert is_off(process)


def test_witnesses_are_replaced_daily(process: Process, other: Process, clock: ManualClock) -> None:
    """Each counts for a day; old ones are removed from the store, and nobody misses them."""
    for _ in range(6):
        process.submit_new()
        assert is_off(process)
        assert is_off(other)
        clock.advance(DAY_SECONDS)
    assert process.store.client.hlen(process.store.keys.witnesses) <= 3


# Losses


def assert_nothing_is_submitted(process: Process) -> None:
    with pytest.raises((RecoveringError, RolledBackError)):
        process.submit_new()


def test_a_store_that_was_emptied_is_noticed_by_all(process: Process, other: Process) -> None:
    """After FLUSHALL nothing can be submitted, and whoever looked before knows why."""
    assert is_off(process)
    assert is_off(other)
    process.submit_new()
    process.store.client.flushall()
    with pytest.raises(RolledBackError):
        process.submit_new()
    state = other.recovery.look()
    assert state is not None
    assert "everything" in state.reason
    assert_nothing_is_submitted(process)
    assert_nothing_is_submitted(other)
    assert other.store.jobs.accept(a_job(), publish=False)


def test_another_store_is_noticed(process: Process, other: Process) -> None:
    """Emptied, and given a new identity by a process that started after that: the earlier ones notice."""
    assert is_off(process)
    process.store.client.flushall()
    assert is_off(other)
    state = process.recovery.look()
    assert state is not None
    assert "another one" in state.reason


def test_the_append_only_file_is_cut_anywhere(tmp_path: Path, process_of: ProcessOf) -> None:
    """BRK7: whichever of its last commands the file has lost, the intent is there, or no further one can be stored."""
    lost, count = 0, 1
    while True:
        with RedisServer(tmp_path / f"server-{count}", fsync="always") as server:
            process = process_of(server.url)
            job = process.accept()
            assert is_off(process)
            before = len(commands(server))
            process.store_intent(job)
            if count > len(commands(server)) - before:
                break
            cut(server, count)
            found = process.store.jobs.load(job.id)
            assert found is not None
            if found.state is JobState.SUBMITTING:
                assert is_off(process)
            else:
                lost += 1
                with pytest.raises(RolledBackError):
                    process.store_intent(found)
                state = process.recovery.look()
                assert state is not None
                assert "1 submissions" in state.reason
                with pytest.raises(RecoveringError):
                    process.store_intent(found)
        shutil.rmtree(tmp_path / f"server-{count}")
        count += 1
    assert lost > 0


def test_what_only_another_process_submitted_is_missed_too(
    server: RedisServer, process: Process, other: Process
) -> None:
    """A process that submitted nothing itself notices that an intent is gone which it saw at its last look."""
    assert is_off(other)
    before = len(commands(server))
    process.submit_new()
    assert is_off(other)
    cut(server, len(commands(server)) - before)
    state = other.recovery.look()
    assert state is not None
    assert "1 submissions" in state.reason


# The mode


def begun(process: Process) -> RecoveryState:
    process.recovery.begin("for a test")
    state = process.recovery.state()
    assert state is not None
    return state


def test_it_begins_once_and_ends_once(process: Process, other: Process) -> None:
    """The first reason stays; when it has ended, intents are stored again, and who ended it can be read."""
    assert process.recovery.begin("first")
    assert not other.recovery.begin("second")
    assert begun(process).reason == "first"
    assert_nothing_is_submitted(other)
    assert process.recovery.end(by="ann", note="looked at") == "ended"
    assert process.recovery.end(by="bob", note="") == "off"
    assert is_off(process)
    other.submit_new()
    last = other.recovery.last()
    assert last is not None
    assert (last["reason"], last["ended_by"], last["note"]) == ("first", "ann", "looked at")


def test_it_does_not_end_before_what_was_found_last_is_looked_at(process: Process, other: Process) -> None:
    """Somebody found more while the intents were merged: the mode stays on."""
    state = begun(process)
    other.recovery.begin("another loss")
    assert process.recovery.end(by="ann", note="", begins=state.begins) == "again"
    assert other.recovery.state() is not None


def test_who_began_it_does_not_begin_it_again(process: Process) -> None:
    """What was known before the loss is forgotten: after its end, the store as it is now is what counts."""
    process.submit_new()
    assert is_off(process)
    process.store.client.flushall()
    assert process.recovery.look() is not None
    process.recovery.end(by="ann", note="")
    assert is_off(process)
    process.submit_new()
    assert is_off(process)


def test_an_intent_that_was_under_way_is_not_counted_for_the_next_witness(process: Process) -> None:
    """The witness was replaced between the question and the confirmation: no false alarm comes of that."""
    job = process.accept()
    witness, count = process.recovery.witness()
    change = process.store.jobs.transition(
        job, IntentStored(nonce="n", request_hash="0" * 64), guard=IntentGuard(witness=witness, witnessed=count)
    )
    assert change is not None
    begun(process)
    process.recovery.end(by="ann", note="")
    process.recovery.witnessed(change.after)
    process.submit_new()
    assert is_off(process)


def test_one_process_at_a_time_merges_for_all(process: Process, clock: ManualClock) -> None:
    """Another's claim is respected until it has run out; without the mode there is nothing to claim."""
    assert not process.recovery.claim(10.0)
    begun(process)
    process.store.client.hset(process.store.keys.recovery, "claimed_by", "another:1")
    process.store.client.hset(process.store.keys.recovery, "claimed_until", f"{clock.now() + 5.0:.3f}")
    assert not process.recovery.claim(10.0)
    clock.advance(6.0)
    assert process.recovery.claim(10.0)
    assert process.recovery.claim(10.0)


def test_a_note_does_not_begin_the_mode(process: Process) -> None:
    """Whoever is late with what it merged does not stop the submissions again."""
    process.recovery.note_merge(Merged(held=1))
    assert process.recovery.state() is None


def test_what_was_merged_is_added_up(process: Process) -> None:
    """A second merge of the same process does not make the first one's jobs disappear."""
    begun(process)
    process.recovery.note_merge(Merged(intents=7, held=2, restored=1))
    process.recovery.note_merge(Merged(intents=9, unclaimed=1))
    state = process.recovery.state()
    assert state is not None
    assert state.merged == {process.recovery.process: Merged(intents=9, held=2, restored=1, unclaimed=1)}


def test_intents_are_remembered_for_a_day(process: Process, clock: ManualClock) -> None:
    """Not longer, for then a job may be gone because it has expired."""
    job = process.submit_new()
    assert [(each.job_id, each.number, each.nonce) for each in process.recovery.remembered()] == [(job.id, 1, "n")]
    clock.advance(REMEMBERED_SECONDS + 60.0)
    assert process.recovery.remembered() == []
