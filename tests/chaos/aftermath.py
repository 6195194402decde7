"""After the storm: how long until nothing moves any more, and what was found then.

The limit for that is twice a lease and a timekeeper's interval, and what the work itself needs at the end of the
faults: the longest wait that a job had set itself, what the provider still has to do, and the time in which the fleet
got through as many jobs during the storm as are still open.

A webhook that failed is tried again after 5 s, 5 min, 30 min and so on, for days. Each pending one must have its time
at the due index. Then this run moves that time to now, as an operator does who has something sent again when the shop
is back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sceneshift.client import Client
from sceneshift.jobs.delivery_schedule import JITTER, PAUSES_SECONDS
from sceneshift.jobs.record import JobRecord
from sceneshift.store.due import BACKLOG, BROKER, LANE
from tests.chaos.deployment import ChaosDeployment
from tests.chaos.fire import MOVING
from tests.chaos.storm import Storm

PATIENCE_MIN_SECONDS = 300.0
WEBHOOKS_SECONDS = 90.0
TIMEKEEPERS_WAITS = frozenset({BACKLOG, BROKER, LANE})
LOST_MAX_SECONDS = 600.0
REST_SECONDS = 90.0
"""For what follows the jobs: slots of lost submissions that become free, keys that are handed on from the spool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What was open when the faults ended, and how long everything took from there, in seconds.

    Attributes:
        open_jobs: neither final nor held.
        longest_wait_seconds: the longest that one of them had set itself.
        rendering_seconds: the provider's, until it is done with all that it has accepted.
        jobs_per_second: finished or held during the storm.
        lease_seconds: with the timekeeper's interval; twice this is allowed for whatever a dead worker held.
        jobs_seconds: until every job was final or held; None when some still moved.
        webhooks_seconds: from then until every webhook was settled.
        webhooks_limit_seconds: the time for that: an endpoint that was away catches up at a rate.
        moved_forward: webhooks whose next attempt was far off, and that were tried at once.
        rest_seconds: from then until every slot was free and the spool was empty.
    """

    open_jobs: int
    longest_wait_seconds: float
    rendering_seconds: float
    jobs_per_second: float
    lease_seconds: float
    jobs_seconds: float | None = None
    webhooks_seconds: float | None = None
    webhooks_limit_seconds: float = WEBHOOKS_SECONDS
    moved_forward: int = 0
    rest_seconds: float | None = None

    @property
    def limit_seconds(self) -> float:
        """The time in which every job must be final or held."""
        backlog_seconds = self.open_jobs / self.jobs_per_second if self.jobs_per_second else 0.0
        work_seconds = self.longest_wait_seconds + self.rendering_seconds + backlog_seconds
        return 2 * self.lease_seconds + work_seconds

    @property
    def patience_seconds(self) -> float:
        """How long the run waits for that nevertheless, to see what becomes of them."""
        return max(PATIENCE_MIN_SECONDS, 2 * self.limit_seconds)

    def problems(self) -> list[str]:
        """What did not come to rest, or not in time."""
        found = []
        if self.jobs_seconds is None:
            found.append(f"jobs still moved {self.patience_seconds:.0f} s after the faults had ended")
        elif self.jobs_seconds > self.limit_seconds:
            found.append(
                f"it took {self.jobs_seconds:.1f} s until every job was final or held, and {self.limit_seconds:.1f} s "
                "is the limit"
            )
        if self.webhooks_seconds is None:
            found.append(
                f"webhooks were still to be delivered {self.webhooks_limit_seconds:.0f} s after the jobs had ended"
            )
        if self.rest_seconds is None:
            found.append("slots or spooled keys were left after everything else had ended, and their time was over")
        return found

    def as_json(self) -> dict[str, Any]:
        return {
            name: round(value, 1) if isinstance(value, float) else value
            for name, value in {**asdict(self), "limit_seconds": self.limit_seconds}.items()
        }


def come_to_rest(storm: Storm, client: Client, problems: list[str]) -> Calm:
    """Nothing moves any more, or the time is over; what is wrong with a pending webhook is added to `problems`."""
    deployment, ended_at = storm.deployment, time.monotonic()
    before = _at_the_end(storm, client)
    is_quiet = _until(storm, lambda: not _moving(client), before.patience_seconds)
    jobs_seconds = time.monotonic() - ended_at if is_quiet else None
    storm.say(
        f"the jobs came to rest after {time.monotonic() - ended_at:.1f} s; the limit is {before.limit_seconds:.1f} s"
    )
    problems += undated(client)
    moved: set[str] = set()
    webhooks_at = time.monotonic()
    webhooks_limit_seconds = WEBHOOKS_SECONDS + _catch_up_seconds(client)
    is_told = _until(storm, lambda: not _pending(client, moved), webhooks_limit_seconds)
    webhooks_seconds = time.monotonic() - webhooks_at if is_told else None
    rest_at = time.monotonic()
    limit_seconds = REST_SECONDS + _lost_seconds(client)
    is_free = _until(storm, lambda: not client.store.permits.in_flight() and not spooled(deployment), limit_seconds)
    return Calm(
        **asdict(before)
        | {
            "jobs_seconds": jobs_seconds,
            "webhooks_seconds": webhooks_seconds,
            "webhooks_limit_seconds": webhooks_limit_seconds,
            "moved_forward": len(moved),
            "rest_seconds": time.monotonic() - rest_at if is_free else None,
        }
    )


def undated(client: Client) -> list[str]:
    """Pending webhooks without a time at the due index, or with one that no schedule gives, as sentences."""
    found = _undated(client)
    # What was settled while it was being looked at is not meant.
    lasting = found & _undated(client) if found else found
    return [f"{name} is pending, and not due in time" for name in sorted(lasting)]


def _undated(client: Client) -> set[str]:
    store = client.store
    latest = store.clock.read() + max(PAUSES_SECONDS) * (1 + JITTER)
    names = list(store.client.scan_iter(match=store.keys.delivery("*"), count=1000, _type="hash"))
    with store.client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hmget(name, ["id", "status"])
        pending = [delivery_id for delivery_id, status in pipeline.execute() if status == "pending"]
        for delivery_id in pending:
            pipeline.zscore(store.keys.due, delivery_id)
        times = pipeline.execute()
    return {name for name, at in zip(pending, times, strict=True) if at is None or at > latest}


def spooled(deployment: ChaosDeployment) -> list[str]:
    """The result keys that wait in the spool of this deployment's workers."""
    lines = [line for path in sorted(deployment.spool.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    return [json.loads(line)["result_key"] for line in lines if line.endswith(b"}")]


def _until(storm: Storm, is_so: Callable[[], bool], limit_seconds: float) -> bool:
    """Whether it came true in time; the workers are looked after meanwhile."""
    deadline = time.monotonic() + limit_seconds
    while not (found := is_so()) and time.monotonic() < deadline:
        storm.tick()
    return found


def _at_the_end(storm: Storm, client: Client) -> Calm:
    """What is open at this moment."""
    store, settings = client.store, client.settings
    open_ids, now = _moving(client), store.clock.read()
    waits = [_wait_seconds(store.jobs.load(job_id), now) for job_id in open_ids]
    counts = store.jobs.counts()
    ended = sum(counts.values()) - sum(counts[state] for state in MOVING)
    return Calm(
        open_jobs=len(open_ids),
        longest_wait_seconds=max(waits, default=0.0),
        rendering_seconds=_rendering_left(storm.deployment),
        jobs_per_second=ended / storm.now,
        lease_seconds=settings.lease_seconds + settings.timekeeper_interval_seconds,
    )


def _wait_seconds(job: JobRecord | None, now: float) -> float:
    """What the job waits for in its own work; a queue, an urgent lane or a broker that is away is no such thing."""
    if job is None or job.blocked_until is None or job.blocked_by in TIMEKEEPERS_WAITS:
        return 0.0
    return max(0.0, job.blocked_until - now)


def _rendering_left(deployment: ChaosDeployment) -> float:
    """How long the provider is still at the last of its latest fifty submissions, by its own account."""
    state = deployment.provider("state")
    ends = [task["ends_at"] for each in state["submissions"] for task in each["tasks"] if task["ends_at"]]
    return float(max(0.0, max(ends, default=state["now"]) - state["now"]))


def _lost_seconds(client: Client) -> float:
    """How long the last of the submissions whose answers are lost may still be at the provider, as our store has it."""
    store = client.store
    latest: list[tuple[str, float]] = store.client.zrange(store.keys.lost_submissions, -1, -1, withscores=True)  # type: ignore[assignment]
    return min(LOST_MAX_SECONDS, max(0.0, max((until for _, until in latest), default=0.0) - store.clock.read()))


def _catch_up_seconds(client: Client) -> float:
    """Twice the time that the events in the lines of failing endpoints take at the rate at which these catch up."""
    lanes = client.store.lanes
    waiting = sum(lanes.get(lane_id).waiting for lane_id in lanes.failing())
    return 2 * waiting / client.settings.webhook_catch_up_rate


def _moving(client: Client) -> list[str]:
    return [job_id for state in MOVING for job_id in client.store.jobs.ids(state, limit=1_000_000)]


def _pending(client: Client, moved: set[str]) -> list[str]:
    """The webhooks that are still to be delivered; those that would wait for minutes are due now, once."""
    store = client.store
    entries: list[tuple[str, float]] = store.client.zrange(store.keys.due, 0, -1, withscores=True)  # type: ignore[assignment]
    pending = [(name, at) for name, at in entries if name.startswith("dlv_")]
    now = store.clock.read()
    far = {name: now for name, at in pending if at > now + 2 * store.due.lease_seconds and name not in moved}
    if far:
        store.client.zadd(store.keys.due, far, xx=True)
        moved.update(far)
    return [name for name, _ in pending]
