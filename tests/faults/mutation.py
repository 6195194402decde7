"""`python3 run.py mutants`: does the simulation find out when a mechanism is removed?

Each mutant is tried in a copy of the code, in a process of its own. It is caught when one of its searches finds a
broken promise; those that nobody catches are named, and the command fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click

from sceneshift.jobs.states import Charge
from tests.faults.bucket import Roads
from tests.faults.kernel import KillPoint, StuckError
from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.plan import StoreFault
from tests.faults.scenarios import SCENARIOS, single_kills
from tests.faults.searching import look_at
from tests.faults.sleepers import asleep
from tests.faults.store_faults import (
    KINDS_OF_LOSS,
    courses_with,
    repeated_after_a_loss,
    struck_everywhere,
    struck_with_a_worker,
)
from tests.faults.world import run

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("sceneshift", "storage", "tasks", "workers", "tests")
CAUGHT, SURVIVED = 10, 0
SEEDS_AT_ONCE = 10
LIMIT_SECONDS = 900

Search = Callable[[], Iterator[str]]
"""Yields what it finds; whoever searches stops at the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant: `finding` is empty when it survived."""

    mutant: Mutant
    finding: str
    seconds: float


def searches_of(mutant: Mutant) -> Iterator[tuple[str, Search]]:
    """The mutant's searches, by their names."""
    for name in mutant.searches:
        word, _, rest = name.partition(" ")
        if word == "courses":
            yield name, _courses
        elif word == "kills":
            yield name, lambda rest=rest: _kills(rest)  # type: ignore[misc]  # bound here
        elif word == "seeds":
            yield name, lambda rest=rest: _seeds(int(rest))  # type: ignore[misc]
        elif name in _NAMED:
            yield name, _NAMED[name]
        elif name in KINDS_OF_LOSS:
            yield name, lambda name=name: _struck(name)  # type: ignore[misc]
        else:
            raise ValueError(f"{mutant.name}: there is no search {name!r}")


def _courses() -> Iterator[str]:
    for scenario in SCENARIOS:
        outcome = scenario.play()
        yield from outcome.problems
        for job in outcome.evidence.jobs.values():
            if job.state is not scenario.ends:
                yield f"{scenario.name} ended as {job.state} instead of {scenario.ends}"


def _kills(name: str) -> Iterator[str]:
    [scenario] = [each for each in SCENARIOS if each.name == name]
    effects = scenario.play().effects
    kept = effects.index("spool keep") + 1 if "spool keep" in effects else len(effects)
    for kills in single_kills(scenario):
        outcome = scenario.play(*kills)
        yield from outcome.problems
        [job] = outcome.evidence.jobs.values()
        is_kept = kills[0].number + kills[0].after > kept
        if is_kept and job.state is not scenario.ends:
            yield f"{scenario.name}, killed at effect {kills[0].number}, ended as {job.state}"


def _seeds(count: int) -> Iterator[str]:
    for first in range(0, count, SEEDS_AT_ONCE):
        yield from map(str, look_at(range(first, first + SEEDS_AT_ONCE)).findings)


def _budget() -> Iterator[str]:
    """Every answer is lost, and one image may be paid for again."""
    [scenario] = [each for each in SCENARIOS if each.name == "answer lost, resubmit"]
    for policy in ("resubmit(1, 1)", "resubmit(1, 100)"):
        plan = replace(
            scenario.plan,
            jobs=3,
            rules=("submit-accept-then-500",),
            settings={**scenario.plan.settings, "unknown_outcome": policy},
        )
        yield from run(plan, "budget").problems


def _answer_outage_kill() -> Iterator[str]:
    """The job store goes away just after the answer, and the worker is killed while it waits for it."""
    [scenario] = [each for each in SCENARIOS if each.name == "happy path"]
    answered = scenario.play().effects.index("provider submit") + 1
    fault = StoreFault(kind="away", at_effect=answered + 1, seconds=20.0)
    plan = replace(scenario.plan, store_faults=(fault,))
    for number in range(answered + 2, answered + 10):
        outcome = scenario.play(KillPoint(number, after=True), plan=plan)
        yield from outcome.problems
        for job in outcome.evidence.jobs.values():
            if job.state is not scenario.ends:
                yield f"the answer was there, and the job is {job.state} after a kill at {number}"


def _key_after_the_end() -> Iterator[str]:
    """Every key comes, some when their jobs have been given up."""
    for seed, outcome in asleep("fail"):
        if outcome.evidence.ledger.unknown and not outcome.evidence.ledger.charged:
            yield f"seed {seed}: the key came, and the submission stays unknown in the ledger"


def _workers_that_sleep() -> Iterator[str]:
    for seed, outcome in asleep("resubmit(1, 5)"):
        yield from (f"seed {seed}: {problem}" for problem in outcome.problems)


def _repeated_after_a_loss() -> Iterator[str]:
    for where, outcome in repeated_after_a_loss(seeds=5):
        yield from (f"{where}: {problem}" for problem in outcome.problems)


def _failing_bucket() -> Iterator[str]:
    """Of what is written to the bucket, some part or other is not."""
    [happy] = [each for each in SCENARIOS if each.name == "happy path"]
    plan = replace(happy.plan, roads=Roads(errors=0.4), fault_seconds=120.0)
    for seed in range(40):
        yield from (f"seed {seed}: {problem}" for problem in run(plan, f"bucket {seed}").problems)


def _cancelled_in_between() -> Iterator[str]:
    """The bucket has taken some images and not the others, when the job is cancelled."""
    [happy] = [each for each in SCENARIOS if each.name == "happy path"]
    for seed in range(40):
        cancel = (0, 8.0 + seed, False)
        plan = replace(happy.plan, roads=Roads(errors=0.6), fault_seconds=120.0, cancels=(cancel,))
        yield from (f"seed {seed}: {problem}" for problem in run(plan, f"cancelled {seed}").problems)


def _cancelled_while_sent() -> Iterator[str]:
    """Everything takes a second, so that a job is cancelled at every moment of its submission; the result is wanted."""
    [happy] = [each for each in SCENARIOS if each.name == "happy path"]
    for halves in range(20, 80):
        plan = replace(happy.plan, latency_seconds=1.0, cancels=((0, halves / 2, True),))
        outcome = run(plan, f"sent {halves}")
        yield from (f"after {halves / 2} s: {problem}" for problem in outcome.problems)
        for job in outcome.evidence.jobs.values():
            if job.charge is not Charge.NOT_CHARGED and not job.outputs:
                yield f"after {halves / 2} s: it is {job.charge}, and what was to be kept is not there"


def _power_cut_and_kill() -> Iterator[str]:
    for plan in courses_with("power cut"):
        for where, outcome in struck_with_a_worker(plan):
            yield from (f"{where}: {problem}" for problem in outcome.problems)


_NAMED: dict[str, Search] = {
    "budget": _budget,
    "answer, outage, kill": _answer_outage_kill,
    "a key that comes after the end": _key_after_the_end,
    "a message repeated after a loss": _repeated_after_a_loss,
    "a bucket that fails now and then": _failing_bucket,
    "cancelled and kept while it is sent": _cancelled_while_sent,
    "cancelled while images are stored": _cancelled_in_between,
    "workers that sleep": _workers_that_sleep,
    "a power cut and a kill": _power_cut_and_kill,
}


def _struck(kind: str) -> Iterator[str]:
    for plan in courses_with(kind):
        for where, outcome in struck_everywhere(plan):
            for problem in outcome.problems:
                yield f"{where}: {problem}"


def check(mutant: Mutant) -> str:
    """The first thing that is found in this process's code; empty when nothing is."""
    for name, search in searches_of(mutant):
        try:
            for finding in search():
                return f"{name}: {' '.join(finding.split())}"
        except StuckError as error:
            return f"{name}: it never comes to an end: {error}"
    return ""


def tried(mutant: Mutant) -> Verdict:
    """What becomes of the mutant in a copy of the code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sceneshift-mutant-") as name:
        copy = Path(name)
        for package in COPIED:
            shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        _change(copy / mutant.path, mutant)
        finding = _found_in(copy, mutant)
    return Verdict(mutant=mutant, finding=finding, seconds=time.monotonic() - began)


def _change(path: Path, mutant: Mutant) -> None:
    text = path.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise click.ClickException(f"{mutant.name}: {mutant.path} does not have its text once; it must follow the code")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")


def _found_in(copy: Path, mutant: Mutant) -> str:
    try:
        process = subprocess.run(
            [sys.executable, "-m", "tests.faults.mutation", "--check", mutant.name],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    if process.returncode not in {CAUGHT, SURVIVED}:
        # Code that does not work at all shows nothing about the searches.
        raise click.ClickException(f"{mutant.name}: its search broke off: {process.stderr.strip().splitlines()[-1:]}")
    return process.stdout.strip() if process.returncode == CAUGHT else ""


@click.command("mutants", context_settings={"show_default": True})
@click.option("--check", "checked", hidden=True, help="Try this mutant on the code of this very process.")
@click.option("--only", multiple=True, help="Try only mutants whose names hold this text.")
@click.option("--processes", default=os.cpu_count() or 1, type=click.IntRange(1, 64), help="Mutants at once.")
def command(*, checked: str | None, only: tuple[str, ...], processes: int) -> None:
    """Remove one mechanism after the other, and see the simulation find it out."""
    if checked is not None:
        [mutant] = [each for each in MUTANTS if each.name == checked]
        finding = check(mutant)
        click.echo(finding)
        sys.exit(CAUGHT if finding else SURVIVED)
    chosen = [each for each in MUTANTS if not only or any(text in each.name for text in only)]
    survivors = 0
    with ThreadPoolExecutor(processes) as pool:
        for verdict in pool.map(tried, chosen):
            survivors += not verdict.finding
            word = "caught  " if verdict.finding else "SURVIVED"
            click.echo(f"{word} {verdict.seconds:5.0f} s  {verdict.mutant.name}\n           {verdict.finding[:150]}")
    click.echo(f"{len(chosen) - survivors} of {len(chosen)} mutants caught")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    command()
