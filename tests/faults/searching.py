"""Many seeds, on all cores: which of them break a promise, and what was injected on the way."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized

from tests.faults.kernel import StuckError
from tests.faults.plan import drawn_plan
from tests.faults.processor import stay_on_one_processor
from tests.faults.world import run


@dataclass(slots=True, kw_only=True)
class Finding:
    """A seed whose run broke a promise, or did not come to an end."""

    seed: int
    problems: list[str]

    def __str__(self) -> str:
        """What is wrong, and how to see it again."""
        listed = "\n  ".join(self.problems[:10])
        return f"seed {self.seed} (again: python3 run.py simulate --seed {self.seed}):\n  {listed}"


@dataclass(slots=True, kw_only=True)
class Search:
    """What a search came to."""

    runs: int = 0
    jobs: int = 0
    effects: int = 0
    seconds: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Search) -> None:
        """The other search is part of this one."""
        self.runs += other.runs
        self.jobs += other.jobs
        self.effects += other.effects
        self.states += other.states
        self.faults += other.faults
        self.findings += other.findings


def look_at(seeds: Iterable[int]) -> Search:
    """These seeds were run, one after the other."""
    search = Search()
    for seed in seeds:
        search.add(_one(seed))
    return search


def _one(seed: int) -> Search:
    try:
        outcome = run(drawn_plan(seed), seed)
    except (Exception, StuckError) as error:  # noqa: BLE001  # a run that breaks off is a finding like any other
        return Search(runs=1, findings=[Finding(seed=seed, problems=[f"broke off: {type(error).__name__}: {error}"])])
    found = [Finding(seed=seed, problems=outcome.problems)] if outcome.problems else []
    jobs = outcome.evidence.jobs.values()
    return Search(
        runs=1,
        jobs=len(jobs),
        effects=len(outcome.effects),
        states=Counter(str(job.state) for job in jobs),
        faults=outcome.counts,
        findings=found,
    )


def search(
    first: int, count: int, *, processes: int, say: Callable[[Search], None] = lambda _search: None, chunk: int = 25
) -> Search:
    """So many seeds from the first one on were run; `say` hears of the sum now and then."""
    began, total = time.monotonic(), Search()
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _settle, (context.Value("i", 0),), maxtasksperchild=40) as pool:
        for part in pool.imap_unordered(look_at, _chunks(first, count, chunk)):
            total.add(part)
            total.seconds = time.monotonic() - began
            say(total)
    return total


def _settle(started: Synchronized[int]) -> None:
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    stay_on_one_processor(number)


def _chunks(first: int, count: int, size: int) -> Iterator[list[int]]:
    for start in range(first, first + count, size):
        yield list(range(start, min(start + size, first + count)))
