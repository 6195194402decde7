"""`jobs retry` and `jobs resolve`: a plan that is true, nothing paid beyond what was allowed, and every word kept."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sceneshift.cli import output
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.store.opening import Store
from tests.factories import an_order
from tests.unit.cli.decided_jobs import failed, held, lost, refused, state_of
from tests.unit.jobs.situations import LATE_KEY, RESULT_KEY, SITUATIONS
from tests.unit.store.inspection import everything
from tests.unit.workers.recording_publisher import RecordingPublisher

Run = Callable[..., tuple[int, str, str]]
Place = Callable[[JobRecord], JobRecord]


# Plans


def test_a_plan_says_of_each_job_where_it_goes_on_and_what_that_may_cost(run: Run, jobs: Place) -> None:
    """Why it failed, from where it goes on, images, what it has cost so far, whether it is paid twice; and the sum."""
    paid, unpaid, perhaps = jobs(failed()), jobs(refused()), jobs(lost())
    code, out, error = run("jobs", "retry", paid.id, unpaid.id, perhaps.id, "--dry-run")
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["JOB", "SKU", "WHY", "GOES", "ON", "FROM", "IMAGES", "CHARGED", "SO", "FAR"]
    rows = [" ".join(line.split()) for line in lines[1:4]]
    assert rows == [
        f"{paid.id} PERF-050 storage_refused the provider's answer free charged",
        f"{unpaid.id} PERF-050 source_not_found a new submission 2 not_charged",
        f"{perhaps.id} PERF-050 outcome_unknown a new submission 2 unknown, which may pay a second time",
    ]
    assert lines[5] == (
        "3 jobs, 2 of them submitted again, for up to 4 images; 1 of those may be paid for a second time"
    )


def test_a_plan_changes_nothing(run: Run, jobs: Place, store: Store, publisher: RecordingPublisher) -> None:
    """With --dry-run, however much may be spent, the job store is as it was and nobody is told anything."""
    jobs(failed()), jobs(lost()), jobs(held())
    before = everything(store.client)
    assert run("jobs", "retry", "--state", "failed", "--spend", "99", "--dry-run")[0] == 0
    assert run("jobs", "resolve", "--all", "--resubmit", "--spend", "99", "--dry-run")[0] == 0
    assert everything(store.client) == before
    assert publisher.messages == []


def test_a_plan_for_programs_has_the_same_facts(run: Run, jobs: Place) -> None:
    """One document: the jobs of the plan, those left out with the reason, the sum, and what was done."""
    paid, perhaps, running = jobs(failed()), jobs(lost()), jobs(SITUATIONS["rendering"])
    code, out, _error = run("jobs", "retry", paid.id, perhaps.id, running.id, "--spend", "2", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["decision"], document["images"], document["may_pay_twice"], document["more"]) == (
        "retry", 2, 1, False,
    )  # fmt: skip
    assert document["plan"] == [
        {
            "id": paid.id, "sku": "PERF-050", "reason": "storage_refused", "phase": "query", "images": 0,
            "charge": "charged", "may_pay_twice": False,
        },
        {
            "id": perhaps.id, "sku": "PERF-050", "reason": "outcome_unknown", "phase": "submit", "images": 2,
            "charge": "unknown", "may_pay_twice": True,
        },
    ]  # fmt: skip
    assert document["left_out"] == [{"id": running.id, "why": "it is rendering: only a failed job can be retried"}]
    assert document["done"] == [{"id": paid.id, "state": "rendering"}, {"id": perhaps.id, "state": "queued"}]
    assert document["failed"] == []


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        ("held, answer lost", "sceneshift jobs resolve"),
        ("succeeded", "it is succeeded: only a failed job can be retried"),
        ("cancelled", "it is cancelled"),
    ],
)
def test_who_is_left_out_is_told_why(run: Run, jobs: Place, store: Store, situation: str, words: str) -> None:
    """A job that a retry is not for stays as it is, and the plan says so."""
    job = jobs(SITUATIONS[situation])
    before = everything(store.client)
    out = run("jobs", "retry", job.id, "--spend", "9")[1]
    assert f"left out: {job.id}: " in out
    assert words in out
    assert everything(store.client) == before


def test_an_order_that_was_made_again_is_not_retried(run: Run, jobs: Place, store: Store) -> None:
    """A refused job's key is free: if its shop has ordered with it again, a retry would render the product twice."""
    first = jobs(refused(order=an_order(num_output=2, idempotency_key="perfume")))
    second = jobs(refused())
    store.client.set(store.keys.idempotency("perfume"), second.id)
    out = run("jobs", "retry", first.id, second.id, "--dry-run")[1]
    assert f"left out: {first.id}: it was ordered again with its idempotency key, as {second.id}" in out
    assert "1 job, 1 of them submitted again" in out


# Money


@pytest.mark.parametrize("spend", [(), ("--spend", "0"), ("--spend", "3")])
def test_nothing_at_all_is_done_for_less_than_the_plan_may_cost(
    run: Run, jobs: Place, store: Store, publisher: RecordingPublisher, spend: tuple[str, ...]
) -> None:
    """Not even what is free: the exit code is 2, and the error is the exact option that is missing."""
    ids = [jobs(each).id for each in (failed(), refused(), lost())]
    before = everything(store.client)
    code, out, error = run("jobs", "retry", *ids, *spend)
    assert code == 2
    assert "for up to 4 images" in out
    assert "add --spend 4" in error
    assert "1 of them perhaps paid for a second time" in error
    assert everything(store.client) == before
    assert publisher.messages == []


@pytest.mark.parametrize("spend", ["4", "5"])
def test_what_may_be_spent_is_done(
    run: Run, jobs: Place, store: Store, publisher: RecordingPublisher, spend: str
) -> None:
    """With enough, each job goes on from where the plan says, and its next step is on its way."""
    paid, unpaid, perhaps = jobs(failed()), jobs(refused()), jobs(lost())
    code, out, _error = run("jobs", "retry", paid.id, unpaid.id, perhaps.id, "--spend", spend)
    assert code == 0
    assert out.endswith("done: 3 of 3\n")
    assert [state_of(store, each) for each in (paid, unpaid, perhaps)] == [
        JobState.RENDERING, JobState.QUEUED, JobState.QUEUED,
    ]  # fmt: skip
    assert [message.task for message in publisher.messages] == [
        "sceneshift.poll", "sceneshift.submit", "sceneshift.submit",
    ]  # fmt: skip


def test_asking_again_is_free(run: Run, jobs: Place, store: Store) -> None:
    """A job that has its result key needs no --spend, and keeps its submission and its charge."""
    job = jobs(failed())
    assert run("jobs", "retry", job.id)[0] == 0
    after = store.jobs.load(job.id)
    assert after is not None
    assert (after.state, after.result_key, after.submits, after.charge) == (
        JobState.RENDERING, RESULT_KEY, 1, Charge.CHARGED,
    )  # fmt: skip


def test_a_rendering_that_failed_can_be_submitted_again_on_demand(run: Run, jobs: Place, store: Store) -> None:
    """--from-submit leaves the result key behind, and costs like any submission, for a second time."""
    job = jobs(failed())
    code, out, error = run("jobs", "retry", job.id, "--from-submit")
    assert code == 2
    assert "charged, which pays a second time" in out
    assert "add --spend 2" in error
    assert run("jobs", "retry", job.id, "--from-submit", "--spend", "2")[0] == 0
    assert state_of(store, job) is JobState.QUEUED


def test_a_key_that_arrives_after_the_plan_is_asked_about_instead(
    run: Run, jobs: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the plan and its doing a late answer may come: then nothing is paid a second time."""
    job = jobs(lost())
    load = store.jobs.load

    def with_key(job_id: str) -> JobRecord | None:
        record = load(job_id)
        if record is not None and not record.result_key:
            store.client.hset(store.keys.job(job_id), mapping={"result_key": LATE_KEY, "charge": "charged"})
        return record

    monkeypatch.setattr(store.jobs, "load", with_key)
    assert run("jobs", "retry", job.id, "--spend", "2")[0] == 0
    assert state_of(store, job) is JobState.RENDERING


@pytest.mark.parametrize("given", [("--spend",), ("--spend", "all"), ("--spend", "2.5")])
def test_spend_takes_a_number_of_images(run: Run, jobs: Place, store: Store, given: tuple[str, ...]) -> None:
    """Anything else is wrong usage, and the error shows what is meant."""
    job = jobs(held())
    before = everything(store.client)
    code, out, error = run("jobs", "resolve", job.id, "--resubmit", *given)
    assert (code, out) == (2, "")
    assert "the number of images that may be paid for, such as --spend 2" in error
    assert everything(store.client) == before


# The doing


def test_a_job_that_moves_meanwhile_is_left_and_the_others_go_on(
    run: Run, jobs: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes too late hears it for that job, with exit code 1; the rest is done."""
    first, second = jobs(failed()), jobs(failed())
    transition = store.jobs.transition
    monkeypatch.setattr(
        store.jobs,
        "transition",
        lambda job, event, **options: None if job.id == first.id else transition(job, event, **options),
    )
    code, out, error = run("jobs", "retry", first.id, second.id)
    assert code == 1
    assert out.endswith("done: 1 of 2\n")
    assert f"{first.id} has moved on: it is failed" in error
    assert "1 of 2 jobs were left as they are" in error
    assert state_of(store, second) is JobState.RENDERING


@pytest.mark.parametrize(
    ("make", "command", "action", "cost"),
    [
        (failed, ("retry",), "retry_query", 0),
        (lost, ("retry", "--spend", "2"), "retry_submit", 2),
        (held, ("resolve", "--resubmit", "--spend", "2"), "resubmit", 2),
        (held, ("resolve", "--attach", LATE_KEY), "attach", 0),
        (held, ("resolve", "--fail"), "fail", 0),
    ],
    ids=["query", "submit", "resubmit", "attach", "fail"],
)
def test_who_decided_and_why_is_in_the_ledger(  # noqa: PLR0917  # fixtures
    run: Run,
    jobs: Place,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], JobRecord],
    command: tuple[str, ...],
    action: str,
    cost: int,
) -> None:
    """Each decision about money has its person, its reason and what it may cost."""
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    job = jobs(make())
    assert run("jobs", command[0], job.id, *command[1:], "--why", "the console shows nothing")[0] == 0
    (decision,) = store.ledger.day("2026-11-23").decisions
    assert (decision.job_id, decision.action, decision.by, decision.why, decision.images) == (
        job.id, action, "ann", "the console shows nothing", cost,
    )  # fmt: skip


def test_a_container_without_names_still_says_who_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id that no file names is no reason to fail."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert output.current_user() == "uid 4711"
