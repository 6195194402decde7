"""A run under fire: many jobs ordered from one process, a worker killed every few seconds, until no job moves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from sceneshift.client import Client
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from tests.chaos.deployment import ChaosDeployment, prompt_of

LOOK_SECONDS = 0.2
MOVING = (JobState.QUEUED, JobState.SUBMITTING, JobState.RENDERING, JobState.STORING)
SETTLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run went. `jobs` are by prompt; `problems` are sentences."""

    jobs: dict[str, JobRecord]
    seconds: float
    problems: tuple[str, ...]


def run_under_fire(
    deployment: ChaosDeployment,
    *,
    jobs: int,
    kill_every_seconds: float,
    limit_seconds: float,
    say: Callable[[str], None],
    look: Callable[[], None] = lambda: None,
) -> Run:
    """All jobs were ordered, and are final or held, or the time is over; workers died all the while."""
    client = deployment.client()
    started = time.monotonic()
    deployment.fleet.wait_until_ready()
    fire = _Fire(deployment, kill_every_seconds, say, client, look)
    ids = []
    for number in range(jobs):
        ids.append(deployment.enqueue(client, number))
        fire.step()
    say(f"{jobs} jobs ordered in {time.monotonic() - started:.0f} s")
    while (moving := fire.moving()) and time.monotonic() - started < limit_seconds:
        fire.step()
        time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - started
    problems = [f"{moving} jobs still moved after {limit_seconds:.0f} s"] if moving else _unsettled(client)
    if deployment.fleet.exits:
        problems.append(f"{deployment.fleet.exits} workers ended by themselves")
    records = {prompt_of(number): client.load(job_id) for number, job_id in enumerate(ids)}
    return Run(jobs=records, seconds=seconds, problems=tuple(problems))


class _Fire:
    """Kills when it is time, and says how far the jobs are once in a while."""

    def __init__(
        self,
        deployment: ChaosDeployment,
        every_seconds: float,
        say: Callable[[str], None],
        client: Client,
        look: Callable[[], None],
    ) -> None:
        self._deployment = deployment
        self._every_seconds = every_seconds
        self._say = say
        self._store = client.store
        self._look = look
        self._next_kill = time.monotonic() + every_seconds
        self._next_word = self._next_look = time.monotonic()

    def moving(self) -> int:
        """So many jobs are neither final nor held."""
        try:
            counts = self._store.jobs.counts()
        except RedisError:
            return 1
        return sum(counts[state] for state in MOVING)

    def step(self) -> None:
        """What is due has happened."""
        now = time.monotonic()
        if now >= self._next_kill:
            self._next_kill = now + self._every_seconds
            self._deployment.fleet.supervise()
            self._deployment.fleet.kill_oldest()
        if now >= self._next_look:
            self._next_look = now + 1.0
            self._look()
        if now >= self._next_word:
            self._next_word = now + 10.0
            counts = self._store.jobs.counts()
            words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
            self._say(f"{words or 'nothing ordered yet'}; {self._deployment.fleet.kills} kills")


def _unsettled(client: Client) -> list[str]:
    """What the due index holds beside the held jobs, after a moment in which it may settle."""
    store = client.store
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        entries: list[tuple[str, float]] = store.client.zrange(store.keys.due, 0, -1, withscores=True)  # type: ignore[assignment]
        held = set(store.jobs.ids(JobState.NEEDS_ATTENTION, limit=1_000_000))
        wrong = [name for name, at in entries if name not in held or not math.isinf(at)]
        missing = held - {name for name, _ in entries}
        if not wrong and not missing:
            return []
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return [f"due, and not held: {', '.join(wrong[:20])}"] * bool(wrong) + [
        f"held, and not in the due index: {', '.join(sorted(missing)[:20])}"
    ] * bool(missing)
