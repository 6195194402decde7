"""`sceneshift recovery`: what an operator sees of recovery mode, and how it is ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

import sceneshift.client
from sceneshift.cli import main
from sceneshift.client import Client
from sceneshift.identifiers import new_job_id
from sceneshift.jobs.intents import Merged
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on the test's job store; returns its exit code, standard output and standard error."""
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, store=store, publisher=RecordingPublisher()))
    monkeypatch.setattr("getpass.getuser", lambda: "ann")

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sceneshift", "recovery", *arguments])
        return (main(), *capsys.readouterr())

    return run_command


def queued(store: Store, at: float) -> JobRecord:
    job = a_job(id=new_job_id(at), created_at=at)
    store.jobs.accept(job, publish=False)
    return job


def test_it_is_off_unless_something_was_lost(run: Run) -> None:
    """A healthy deployment says so, with exit code 0, for people and for programs."""
    code, out, _ = run()
    assert (code, out) == (0, "recovery mode is off: jobs are submitted\n")
    code, out, _ = run("--json")
    assert (code, json.loads(out)) == (0, {"recovery": None, "queued_without_proof": 0, "last": None})


def test_what_is_shown_while_it_is_on(run: Run, store: Store) -> None:
    """Since when, why, who noticed, what was merged by whom, and how many jobs nobody can vouch for; exit code 1."""
    queued(store, NOW - 60.0)
    store.recovery.begin("the disk was full", by="worker-1:7")
    store.recovery.note_merge(Merged(intents=4, held=2, restored=1, unclaimed=1), of="worker-1:7")
    queued(store, NOW + 60.0)
    code, out, _ = run()
    assert code == 1
    for text in (
        "ON: nothing is submitted",
        "2026-11-23 00:00:00",
        "the disk was full",
        "merged, of worker-1:7",
        "4 intents looked at, 2 jobs held, 1 of them lost and stored again, 1 submissions left over",
        "1 jobs that were accepted before it began",
        "sceneshift recovery end --hold-queued",
    ):
        assert text in out
    code, out, _ = run("--json")
    document = json.loads(out)
    assert (code, document["queued_without_proof"]) == (1, 1)
    assert document["recovery"] == {
        "since": NOW, "reason": "the disk was full", "by": "worker-1:7", "begins": 1,
        "merged": {"worker-1:7": {"intents": 4, "held": 2, "restored": 1, "unclaimed": 1, "unknown": 0}},
    }  # fmt: skip


def test_a_person_ends_it(run: Run, store: Store) -> None:
    """The queued jobs are let go, and who ended it, when and what was merged can be read afterwards."""
    job = queued(store, NOW - 60.0)
    store.recovery.begin("the disk was full", by="worker-1:7")
    store.recovery.note_merge(Merged(intents=4), of="worker-1:7")
    code, out, _ = run("end")
    assert (code, out) == (0, "recovery mode has ended: 0 queued jobs held, 1 let go\n")
    assert store.recovery.state() is None
    assert state_of(store, job) is JobState.QUEUED
    code, out, _ = run()
    assert code == 0
    assert "ann: 0 queued jobs held, 1 let go" in out
    assert "merged, of worker-1:7" in out
    last = json.loads(run("--json")[1])["last"]
    assert (last["reason"], last["ended_by"]) == ("the disk was full", "ann")


def state_of(store: Store, job: JobRecord) -> JobState:
    record = store.jobs.load(job.id)
    assert record is not None
    return record.state


def test_a_person_holds_what_nobody_can_vouch_for(run: Run, store: Store) -> None:
    """Jobs that were accepted before it began are held, later ones are not."""
    before = queued(store, NOW - 60.0)
    store.recovery.begin("the disk was full", by="worker-1:7")
    after = queued(store, NOW + 60.0)
    code, out, _ = run("end", "--hold-queued", "--json")
    assert (code, json.loads(out)) == (0, {"ended": True, "held": 1, "released": 0})
    assert state_of(store, before) is JobState.NEEDS_ATTENTION
    assert state_of(store, after) is JobState.QUEUED


def test_it_is_begun_by_hand(run: Run, store: Store) -> None:
    """Before workers meet a store that was restored from a copy; a second time changes nothing."""
    assert run("begin", "--why", "restored last night's copy")[:2] == (0, "recovery mode is on\n")
    assert run("begin", "--why", "again")[:2] == (0, "recovery mode was on already\n")
    assert json.loads(run("begin", "--why", "again", "--json")[1]) == {"begun": False}
    state = store.recovery.state()
    assert state is not None
    assert (state.reason, state.by) == ("restored last night's copy", "ann")


@pytest.mark.parametrize("arguments", [("end",), ("end", "--hold-queued")])
def test_what_is_not_on_cannot_be_ended(run: Run, store: Store, arguments: tuple[str, ...]) -> None:
    """Nothing is held by mistake."""
    job = queued(store, NOW - 60.0)
    code, out, error = run(*arguments)
    assert (code, out, error) == (1, "", "error: recovery mode is not on\n")
    assert state_of(store, job) is JobState.QUEUED


def test_it_does_not_end_when_a_worker_finds_more(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found after the person looked is for the person to see first."""
    store.recovery.begin("one", by="worker-1:7")
    state = store.recovery.state()
    store.recovery.begin("two", by="worker-2:7")
    monkeypatch.setattr(type(store.recovery), "state", lambda _recovery: state)
    code, _, error = run("end")
    assert code == 1
    assert "look at `sceneshift recovery` once more" in error


def test_a_store_that_is_away_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 5, and one sentence."""
    client = Client(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    monkeypatch.setattr(sceneshift.client, "_client", client)
    for arguments in ([], ["begin", "--why", "x"], ["end"]):
        monkeypatch.setattr(sys, "argv", ["sceneshift", "recovery", *arguments])
        assert main() == 5
        assert capsys.readouterr().err.startswith("error: the job store did not answer")
