"""`sceneshift ledger`: the sums of each day as the transitions left them, and every decision with who and why."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import sceneshift.client
from sceneshift.cli import ledger as ledger_command
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.identifiers import new_job_id
from sceneshift.jobs import events
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import FAULT, LOST
from tests.unit.store.inspection import everything
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port

Run = Callable[..., tuple[int, str, str]]
DAY_SECONDS = 86_400.0


@pytest.fixture
def submit(store: Store, jobs: Callable[[JobRecord], JobRecord]) -> Callable[..., JobRecord]:
    """Has a job of so many images submitted, with these events one after the other."""

    def submitted(*then: events.Event, images: int = 1) -> JobRecord:
        job = jobs(a_job(id=new_job_id(NOW), order=an_order(num_output=images, sku="LAMP")))
        intent = events.IntentStored(nonce=f"nonce of {job.id}", request_hash="a" * 64)
        for event in (intent, *then):
            change = store.jobs.transition(job, event)
            assert change is not None
            job = change.after
        return job

    return submitted


Submit = Callable[..., JobRecord]


def accepted(number: int) -> events.SubmissionAccepted:
    return events.SubmissionAccepted(result_key=f"key-{number}", request_id=None, first_poll_in_seconds=4.0)


CANCELLED = events.CancelRequested(keep_result=False)
REFUSED = events.JobRefused(fault=FAULT)
HELD = events.SubmissionLost(fault=LOST, by="policy hold")


@pytest.mark.parametrize("options", [(), ("--day", "2026-11-23"), ("--days", "400")])
@pytest.mark.usefixtures("jobs")
def test_an_empty_ledger_says_so(run: Run, options: tuple[str, ...]) -> None:
    """A sentence for people, and a document without days for programs."""
    code, out, error = run("ledger", *options)
    assert (code, error) == (0, "")
    assert out.startswith("the ledger has nothing of ")
    document = json.loads(run("ledger", *options, "--json")[1])
    assert document["days"] == []
    assert set(document["total"]) == {"charged", "refunded", "expected", "unknown", "possible", "not_charged"}
    assert all(amount == {"submissions": 0, "images": 0} for amount in document["total"].values())


def test_each_day_says_what_was_charged_and_what_may_have_been(
    run: Run, submit: Submit, store: Store, clock: ManualClock
) -> None:
    """In submissions and images, the newest day first: the expected bill, and the most that it can be."""
    submit(accepted(1), images=2)
    submit(HELD, images=4)
    clock.advance(DAY_SECONDS)
    submit(accepted(2), images=1)
    submit(REFUSED, images=3)
    refunded = submit(accepted(3), CANCELLED, images=2)
    assert store.jobs.transition(refunded, events.Refunded(by="ann", why="ticket 7"))
    code, out, error = run("ledger")
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "DAY (UTC)"
    assert lines[0].split()[2:] == ["CHARGED", "REFUNDED", "EXPECTED", "UNKNOWN", "POSSIBLE", "NOT", "CHARGED"]
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[1:3]]
    assert cells == [
        ["2026-11-24", "2 / 3", "1 / 2", "1 / 1", "-", "1 / 1", "1 / 3"],
        ["2026-11-23", "1 / 2", "-", "1 / 2", "1 / 4", "2 / 6", "-"],
    ]
    assert "expected  2 submissions, 3 images" in out
    assert "possible  3 submissions, 7 images" in out


def test_a_document_has_every_sum_and_every_state(run: Run, submit: Submit) -> None:
    """Of each day and of all of them, with the states that submissions stand under, also those left behind."""
    submit(accepted(1), images=2)
    submit(REFUSED, images=3)
    held = submit(HELD, images=4)
    document = json.loads(run("ledger", "--json")[1])
    (day,) = document["days"]
    assert day["day"] == "2026-11-23"
    assert {(each["state"], each["charge"], each["submissions"], each["images"]) for each in day["states"]} == {
        ("rendering", "charged", 1, 2), ("refused", "not_charged", 1, 3), ("needs_attention", "unknown", 1, 4),
    }  # fmt: skip
    assert (day["expected"], day["possible"]) == (
        {"submissions": 1, "images": 2}, {"submissions": 2, "images": 6},
    )  # fmt: skip
    assert {name: day[name] for name in document["total"]} == document["total"]
    (decision,) = day["decisions"]
    assert (decision["job_id"], decision["action"], decision["by"]) == (held.id, "hold", "policy hold")


def test_one_day_is_shown_by_state_with_all_its_decisions(
    run: Run, submit: Submit, store: Store, clock: ManualClock
) -> None:
    """Nothing of other days is on it; whoever decided is named, with the reason."""
    held = submit(HELD, images=4)
    resolved = events.Resolved(action="resubmit", by="ann", why="the console shows nothing")
    assert store.jobs.transition(held, resolved)
    clock.advance(DAY_SECONDS)
    submit(accepted(1), images=2)
    out = run("ledger", "--day", "2026-11-23")[1]
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0].startswith("2026-11-23 CHARGED")
    assert lines[1] == "superseded - - - 1 / 4 1 / 4 -"
    assert "possible 1 submissions, 4 images: that, and everything whose charge is not known" in lines
    assert lines[-2:] == [
        f"2026-11-23 00:00:00 {held.id} resubmit ann 4 the console shows nothing",
        f"2026-11-23 00:00:00 {held.id} hold policy hold - {LOST.message}",
    ]


def test_many_decisions_are_shortened_to_the_latest_unless_a_day_is_asked_for(
    run: Run, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incident of a thousand lost answers does not push the sums from the screen."""
    monkeypatch.setattr(ledger_command, "DECISIONS_SHOWN", 2)
    for _ in range(5):
        submit(HELD)
    out = run("ledger")[1]
    assert out.count(" policy hold ") == 2
    assert out.endswith("and 3 before; --day YYYY-MM-DD shows all of a day\n")
    assert run("ledger", "--day", "2026-11-23")[1].count(" policy hold ") == 5


def test_the_last_days_are_counted_from_today(run: Run, submit: Submit, clock: ManualClock) -> None:
    """Seven of them, unless more are asked for; today is one."""
    submit(accepted(1))
    clock.advance(6 * DAY_SECONDS)
    assert "2026-11-23" in run("ledger")[1]
    clock.advance(DAY_SECONDS)
    assert run("ledger")[1] == "the ledger has nothing of the last 7 days\n"
    assert "2026-11-23" in run("ledger", "--days", "8")[1]


def test_a_refund_is_noted_with_who_and_why(
    run: Run, submit: Submit, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's charge says so, the expected bill is lower, and the decision is in the ledger; once is enough."""
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    job = submit(accepted(1), CANCELLED, images=2)
    assert run("ledger", "refund", job.id, "--why", "ticket 7") == (0, f"{job.id}: refunded_by_hand\n", "")
    document = json.loads(run("ledger", "--json")[1])
    assert (document["total"]["charged"]["images"], document["total"]["expected"]["images"]) == (2, 0)
    decision = document["days"][0]["decisions"][-1]
    assert (decision["action"], decision["by"], decision["why"], decision["job_id"]) == (
        "refund", "ann", "ticket 7", job.id,
    )  # fmt: skip
    before = everything(store.client)
    code, out, error = run("ledger", "refund", job.id, "--why", "again")
    assert (code, out) == (2, "")
    assert "cancelled and refunded_by_hand: there is nothing to refund" in error
    assert everything(store.client) == before


@pytest.mark.parametrize("then", [(), (accepted(1),), (REFUSED,)], ids=["sent", "rendering", "refused"])
def test_only_what_has_ended_and_cost_something_is_refunded(
    run: Run, submit: Submit, then: tuple[events.Event, ...]
) -> None:
    """A job that goes on, and one that was free, are refused by name; without a reason it is wrong usage."""
    job = submit(*then)
    code, out, error = run("ledger", "refund", job.id, "--why", "ticket 7")
    assert (code, out) == (2, "")
    assert f"{job.id} is {job.state} and {job.charge}" in error
    assert run("ledger", "refund", job.id)[0] == 2


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "20261123"])
@pytest.mark.usefixtures("jobs")
def test_a_day_that_is_none_is_wrong_usage(run: Run, day: str) -> None:
    """The error shows the form."""
    code, out, error = run("ledger", "--day", day)
    assert (code, out) == (2, "")
    assert "is not a day such as 2026-11-23" in error


@pytest.mark.parametrize("command", [("ledger",), ("ledger", "refund", a_job().id, "--why", "x")], ids=len)
def test_a_store_that_is_away_is_five(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    """The error is one sentence, without the password."""
    settings = Settings(redis_url=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, publisher=RecordingPublisher()))
    code, out, error = run(*command)
    assert (code, out) == (5, "")
    assert "the job store did not answer" in error
    assert "hunter2" not in error
