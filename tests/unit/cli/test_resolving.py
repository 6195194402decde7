"""`jobs resolve`: what a person may make of held jobs, one by one and many at once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.opening import Store
from tests.unit.cli.decided_jobs import held, state_of
from tests.unit.jobs.situations import LATE_KEY, SITUATIONS
from tests.unit.store.inspection import everything
from tests.unit.workers.recording_publisher import RecordingPublisher

Run = Callable[..., tuple[int, str, str]]
Place = Callable[[JobRecord], JobRecord]


@pytest.mark.parametrize(
    ("options", "to", "task"),
    [
        (("--attach", LATE_KEY), JobState.RENDERING, "sceneshift.poll"),
        (("--resubmit", "--spend", "2"), JobState.QUEUED, "sceneshift.submit"),
        (("--fail",), JobState.FAILED, "sceneshift.notify"),
    ],
)
def test_a_person_decides_about_a_held_job(
    run: Run, jobs: Place, publisher: RecordingPublisher, *, options: tuple[str, ...], to: JobState, task: str
) -> None:
    """The job moves as decided and its next step is on its way; deciding twice is refused."""
    job = jobs(held())
    code, out, error = run("jobs", "resolve", job.id, *options, "--json")
    assert (code, error) == (0, "")
    assert json.loads(out)["state"] == to
    assert [message.task for message in publisher.messages] == [task]
    code, out, error = run("jobs", "resolve", job.id, "--fail", "--json")
    assert (code, out) == (2, "")
    assert "there is nothing to fail" in error
    assert run("jobs", "resolve", jobs(held()).id, "--fail")[1].endswith(" is failed\n")


@pytest.mark.parametrize("options", [(), ("--fail", "--resubmit"), ("--attach", "K", "--fail"), ("--attach", "")])
def test_a_decision_is_exactly_one(run: Run, jobs: Place, store: Store, options: tuple[str, ...]) -> None:
    """Anything else is wrong usage and changes nothing."""
    job = jobs(held())
    before = everything(store.client)
    assert run("jobs", "resolve", job.id, *options)[0] == 2
    assert everything(store.client) == before


def test_submitting_again_needs_a_word_about_the_money(
    run: Run, jobs: Place, store: Store, publisher: RecordingPublisher
) -> None:
    """`--resubmit` alone is wrong usage, says what it may cost, and neither stores nor publishes anything."""
    job = jobs(held())
    before = everything(store.client)
    code, out, error = run("jobs", "resolve", job.id, "--resubmit")
    assert (code, out) == (2, "")
    assert "add --spend 2" in error
    assert "perhaps paid for a second time" in error
    assert everything(store.client) == before
    assert publisher.messages == []


def test_many_held_jobs_are_decided_about_at_once(run: Run, jobs: Place, store: Store) -> None:
    """With the same plan and the same bound; others than held ones are not touched."""
    first, second, other = jobs(held()), jobs(held()), jobs(held(error=JobFault(code="poison", message="x")))
    running = jobs(SITUATIONS["rendering"])
    lost_ones = ("jobs", "resolve", "--code", "outcome_unknown")
    code, out, error = run(*lost_ones, "--resubmit", "--spend", "3")
    assert code == 2
    assert "2 jobs, 2 of them submitted again, for up to 4 images" in out
    assert "add --spend 4" in error
    assert run(*lost_ones, "--resubmit", "--spend", "4")[0] == 0
    assert [state_of(store, each) for each in (first, second, other)] == [
        JobState.QUEUED, JobState.QUEUED, JobState.NEEDS_ATTENTION,
    ]  # fmt: skip
    assert run("jobs", "resolve", "--all", "--fail")[0] == 0
    assert (state_of(store, other), state_of(store, running)) == (JobState.FAILED, JobState.RENDERING)


def test_one_key_is_attached_to_one_job(run: Run, jobs: Place, store: Store) -> None:
    """Several jobs, or a filter, are wrong usage: each submission has a key of its own."""
    first, second = jobs(held()), jobs(held())
    before = everything(store.client)
    for which in ((first.id, second.id), ("--all",)):
        code, _out, error = run("jobs", "resolve", *which, "--attach", LATE_KEY)
        assert code == 2
        assert "--attach is for one job" in error
    assert everything(store.client) == before


def test_a_key_of_another_job_is_refused_by_name(run: Run, jobs: Place) -> None:
    """Its owner is told, so that the right one of the two can be looked for."""
    first, second = jobs(held()), jobs(held())
    assert run("jobs", "resolve", first.id, "--attach", LATE_KEY)[0] == 0
    code, out, error = run("jobs", "resolve", second.id, "--attach", LATE_KEY)
    assert (code, out) == (2, "")
    assert f"this is the result key of {first.id}" in error


def test_what_a_cancelled_job_s_owner_gave_up_costs_nothing_more(run: Run, jobs: Place, store: Store) -> None:
    """Submitting it again ends it, so the plan says so and no --spend is needed."""
    job = jobs(held(cancel="keep"))
    out = run("jobs", "resolve", job.id, "--resubmit", "--dry-run")[1]
    assert "nowhere: it ends" in out
    assert run("jobs", "resolve", job.id, "--resubmit")[0] == 0
    assert state_of(store, job) is JobState.CANCELLED
