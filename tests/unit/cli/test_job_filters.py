"""Which jobs a decision is about: named or looked for, so many at the most."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.opening import Store
from tests.factories import NOW, an_order
from tests.unit.cli.decided_jobs import failed, held, refused
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import everything

Run = Callable[..., tuple[int, str, str]]
Place = Callable[[JobRecord], JobRecord]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--state", "failed"), ["old", "other", "new"]),
        (("--code", "content_rejected"), ["old", "new"]),
        (("--sku", "LAMP"), ["other"]),
        (("--code", "content_rejected", "--sku", "LAMP"), []),
        (("--since", "90m"), ["other", "new"]),
        (("--since", "2026-11-22T22:30"), ["other", "new"]),
        (("--until", "2026-11-22T23:30:00+00:00"), ["old", "other"]),
        (("--since", "90m", "--until", "30m"), ["other"]),
        (("--since", "2026-11-23"), ["new"]),
    ],
)
def test_filters_say_which_failed_jobs_are_meant(
    run: Run, jobs: Place, store: Store, options: tuple[str, ...], expected: list[str]
) -> None:
    """By code, by product, by when the job failed; all of them at once, and never a job in another state."""
    rejected = JobFault(code="content_rejected", message="no")
    found = {
        "old": (jobs(refused(error=rejected)), NOW - 7200.0),
        "other": (jobs(refused(order=an_order(num_output=2, sku="LAMP"))), NOW - 3600.0),
        "new": (jobs(refused(error=rejected)), NOW),
    }
    jobs(held(error=rejected)), jobs(SITUATIONS["succeeded"])
    for job, moment in found.values():
        store.client.zadd(store.keys.jobs(JobState.FAILED), {job.id: moment})
    names = {job.id: name for name, (job, _) in found.items()}
    plan = json.loads(run("jobs", "retry", *options, "--dry-run", "--json")[1])
    assert [names[each["id"]] for each in plan["plan"]] == [name for name in reversed(found) if name in expected]


def test_many_jobs_are_found_in_parts(run: Run, jobs: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one reading of the job store holds are all found, each once."""
    monkeypatch.setattr("sceneshift.store.selection.CHUNK", 2)
    expected = {jobs(refused()).id for _ in range(5)}
    plan = json.loads(run("jobs", "retry", "--state", "failed", "--dry-run", "--json")[1])
    assert len(plan["plan"]) == 5
    assert {each["id"] for each in plan["plan"]} == expected


def test_one_call_is_about_so_many_jobs_and_says_when_there_are_more(
    run: Run, jobs: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds for the plan and for what is done; --limit moves it."""
    monkeypatch.setattr("sceneshift.cli.job_decisions.JOBS_MAX", 2)
    for _ in range(3):
        jobs(failed())
    assert "there are more: this is about 2 of them; see --limit" in run("jobs", "retry", "--state", "failed")[1]
    assert store.jobs.counts()[JobState.FAILED] == 1
    for _ in range(2):
        jobs(failed())
    out = run("jobs", "retry", "--state", "failed", "--limit", "3")[1]
    assert "there are more" not in out
    assert store.jobs.counts()[JobState.FAILED] == 0


@pytest.mark.parametrize("command", [("retry",), ("resolve", "--fail")], ids=lambda command: command[0])
@pytest.mark.parametrize("which", [(), ("ID", "--sku", "LAMP")], ids=["none", "both"])
def test_jobs_are_named_or_looked_for(
    run: Run, jobs: Place, store: Store, command: tuple[str, ...], which: tuple[str, ...]
) -> None:
    """Neither is wrong usage, and so is both: nobody decides about all jobs by leaving something out."""
    job = jobs(held())
    before = everything(store.client)
    code, out, error = run("jobs", *command, *(job.id if word == "ID" else word for word in which))
    assert (code, out) == (2, "")
    assert "either ids of jobs, or options" in error
    assert everything(store.client) == before


@pytest.mark.parametrize("moment", ["yesterday", "12", "2026-13-01", "5y"])
@pytest.mark.usefixtures("jobs")
def test_a_time_that_is_none_is_wrong_usage(run: Run, moment: str) -> None:
    """The error shows both forms."""
    code, out, error = run("jobs", "retry", "--since", moment)
    assert (code, out) == (2, "")
    assert "neither a time such as 2026-11-23T10:30 nor an age such as 24h" in error
