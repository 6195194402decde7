"""BRK2: a job that kills each worker that touches it is set aside, and the fleet lives on.

The faults are real: a resolver and a file system, both below the service, end the process. The workers get them as a
module that Python loads at its start. A decoder that ends its process kills nobody, for it has one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from sceneshift.client import Client
from sceneshift.handle import Job
from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from tests.integration import checks
from tests.integration.deployment import Deployment, load_all, running_deployment, wait_until
from workers.embedded.processes import ROOT

KILLS_TO_POISON = 3
FATAL_HOST = "fatal.example"
FATAL_WIDTH = 416
FATAL_NAME = "fatal-name"
"""The file beside the faulty module that holds the name at which the file system fails, once it is known."""
FAULTY = f"""
import os, pathlib, signal, socket
from PIL import PngImagePlugin

resolve, link, load = socket.getaddrinfo, os.link, PngImagePlugin.PngImageFile.load
fatal_name = pathlib.Path(__file__).with_name("{FATAL_NAME}")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def faulty_resolve(host, *arguments, **options):
    return die() if host == "{FATAL_HOST}" else resolve(host, *arguments, **options)

def faulty_link(source, target, **options):
    return die() if fatal_name.exists() and fatal_name.read_text() in str(target) else link(source, target, **options)

def faulty_load(self):
    return os.abort() if self.width == {FATAL_WIDTH} else load(self)

socket.getaddrinfo, os.link, PngImagePlugin.PngImageFile.load = faulty_resolve, faulty_link, faulty_load
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of two poisonous jobs, of those beside them, and then of one whose picture ends its decoder."""

    at_submit: JobRecord
    at_finalize: JobRecord
    at_decoder: JobRecord
    exits: list[int]
    exits_after: list[int]
    beside: list[JobRecord]
    after: list[JobRecord]
    explained: dict[str, dict[str, Any]]
    said: str
    told: set[str]
    mended: JobRecord
    submissions: list[dict[str, Any]]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """Two workers that are restarted when they die, two poisonous jobs, and others beside and after them."""
    directory = tmp_path_factory.mktemp("poison")
    faulty = directory / "faulty"
    faulty.mkdir()
    (faulty / "sitecustomize.py").write_text(FAULTY, encoding="utf-8")
    python_path = f"{faulty}:{ROOT}"
    with running_deployment(directory, workers=2, environment={"PYTHONPATH": python_path}) as deployment:
        client = deployment.client()
        for name, mode in (("wide", "RGB"), ("wide-mask", "L")):
            Image.new(mode, (FATAL_WIDTH, 400), 200).save(directory / "catalogue" / f"{name}.png")
        at_submit = deployment.enqueue(
            client, 100, image=f"http://{FATAL_HOST}/a.png", mask=f"http://{FATAL_HOST}/m.png"
        )
        base = f"{deployment.simulator.base_url}/catalogue"
        at_finalize = deployment.enqueue(client, 200)
        (faulty / FATAL_NAME).write_text(at_finalize.id, encoding="utf-8")
        beside = [deployment.enqueue(client, number) for number in range(8)]
        assert wait_until(lambda: is_over(deployment, client, [at_submit, at_finalize, *beside]), timeout_seconds=150)
        exits = list(deployment.unexpected_exits)
        at_decoder = deployment.enqueue(client, 300, image=f"{base}/wide.png", mask=f"{base}/wide-mask.png")
        after = [deployment.enqueue(client, number) for number in range(8, 13)]
        assert wait_until(lambda: is_over(deployment, client, [at_decoder, *after]), timeout_seconds=60)
        held = client.load(at_finalize.id)
        told = wait_until(lambda: "job.needs_attention" in deployment.received.of_job(held.id), timeout_seconds=20)
        assert told
        explained = {
            job.id: json.loads(deployment.command("jobs", "explain", job.id, "--json"))
            for job in (at_submit, at_finalize)
        }
        said = deployment.command("jobs", "explain", at_finalize.id)
        submit_held = client.load(at_submit.id)
        exits_after = deployment.unexpected_exits[len(exits) :]
        mended = mend(deployment, client, held)
        yield Outcome(
            at_submit=submit_held,
            at_finalize=held,
            at_decoder=client.load(at_decoder.id),
            exits=exits,
            exits_after=exits_after,
            beside=load_all(client, beside),
            after=load_all(client, after),
            explained=explained,
            said=said,
            told=set(deployment.received.of_job(held.id)),
            mended=mended,
            submissions=deployment.simulator.ledger()["submits"],
        )


def is_over(deployment: Deployment, client: Client, jobs: list[Job]) -> bool:
    """Whether all of these jobs are final or held; workers that died meanwhile are replaced."""
    deployment.supervise()
    return all(job.state.is_final or job.state is JobState.NEEDS_ATTENTION for job in load_all(client, jobs))


def mend(deployment: Deployment, client: Client, held: JobRecord) -> JobRecord:
    """The file system was mended, and an operator has the job go on with the result key that it has."""
    deployment.stop_workers()
    deployment.workers.clear()
    deployment.environment["PYTHONPATH"] = str(ROOT)
    deployment.start_worker()
    deployment.command("jobs", "resolve", held.id, "--attach", held.result_key)
    assert wait_until(lambda: client.load(held.id).state.is_final, timeout_seconds=60)
    return client.load(held.id)


def test_each_kills_three_workers_and_no_fourth(outcome: Outcome) -> None:
    """Two jobs, three kills each, of which one may count for both; nothing else has ended a worker."""
    assert set(outcome.exits) == {-9}
    assert KILLS_TO_POISON <= len(outcome.exits) <= 2 * KILLS_TO_POISON
    assert outcome.exits_after == []


def test_a_picture_that_ends_its_decoder_ends_no_worker(outcome: Outcome) -> None:
    """It costs its job the image, with a reason, and nobody else anything."""
    assert (outcome.at_decoder.state, outcome.at_decoder.charge) == (JobState.FAILED, Charge.CHARGED)
    assert [missing.code for missing in outcome.at_decoder.missing] == ["decoder_failed"]


def test_the_job_is_held_as_poison_with_the_step_that_kills(outcome: Outcome) -> None:
    """It says which step it was and how often; what was sent before is paid for, what was not is free."""
    for job, step, charge in (
        (outcome.at_submit, "submit-1", Charge.NOT_CHARGED),
        (outcome.at_finalize, "finalize-1", Charge.CHARGED),
    ):
        assert (job.state, job.charge) == (JobState.NEEDS_ATTENTION, charge)
        assert job.error is not None
        assert (job.error.code, job.error.message) == (
            "poison",
            f"{step} was started {KILLS_TO_POISON} times and never came to an end",
        )


def test_explain_says_so(outcome: Outcome) -> None:
    """`sceneshift jobs explain`: the code, the step, that nothing happens by itself, and what to do."""
    for job in (outcome.at_submit, outcome.at_finalize):
        comes_next = outcome.explained[job.id]["next"]
        assert comes_next["blocked_by"] == "operator"
        assert "poison" in comes_next["text"]
        assert f"sceneshift jobs resolve {job.id}" in comes_next["text"]
    assert "finalize-1 was started 3 times and never came to an end" in outcome.said
    assert "job.needs_attention" in outcome.told


def test_other_jobs_finish(outcome: Outcome) -> None:
    """All that came after. One that was beside it when workers died may be held: its answer was lost, or it was
    beside it in each worker that died.
    """
    by_death = [job for job in outcome.beside if job.error is not None and job.error.code == "poison"]
    checks.assert_all_final_or_held([job for job in outcome.beside if job not in by_death])
    assert {job.state for job in by_death} <= {JobState.NEEDS_ATTENTION}
    assert [job.state for job in outcome.after] == [JobState.SUCCEEDED] * len(outcome.after)


def test_a_poisonous_result_is_had_when_the_fault_is_mended(outcome: Outcome) -> None:
    """With the key that the job has, without another submission: nothing that was paid for is thrown away."""
    assert (outcome.mended.state, outcome.mended.charge) == (JobState.SUCCEEDED, Charge.CHARGED)
    assert len(outcome.mended.outputs) == 1
    nonce = submission_nonce(outcome.mended.id, 1)
    assert outcome.mended.epoch == 1
    assert [each["nonce"] for each in outcome.submissions if each["accepted"]].count(nonce) == 1
