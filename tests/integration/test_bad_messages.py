"""BRK13: garbage in the queues stops no worker, runs nothing, does not come round again, and can be seen."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from sceneshift.jobs.states import JobState
from sceneshift.messages import TASKS, producer_app
from sceneshift.store.bad_messages import BadKind, Reason
from sceneshift.store.opening import Store
from tests.garbage import CANARY, NOBODY, control_garbage, envelope, garbage
from tests.integration.deployment import APPCODE, Deployment, load_all, running_deployment, wait_until

GROWTH_MAX_MEGABYTES = 80
BROKER_PREFIX = "{sceneshift}:celery:"
HUGE_BYTES = 100_000_000
CONTROL = f"{BROKER_PREFIX}/0.celery.pidbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What was found when all of it had been pushed, and twenty jobs were done after it."""

    pushed: Counter[tuple[str, str]]
    kinds: list[BadKind]
    processes: list[tuple[int, int | None]]
    pids_before: list[int]
    states: list[JobState]
    submissions: int
    broker: dict[str, int]
    keys: set[str]
    megabytes: list[tuple[float, float]]
    log: str
    doctor: dict[str, Any]
    created: bool
    answers: list[dict[str, Any]] | None


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Two workers, all garbage into each of the four queues and on the channel of remote control, then good jobs."""
    directory = tmp_path_factory.mktemp("garbage")
    bomb = directory / "bomb"
    with (
        running_deployment(directory, workers=2, LEASE_SECONDS="20") as deployment,
        pushing(deployment) as broker,
    ):
        client = deployment.client()
        deployment.enqueue(client, 0).result(timeout=120)
        pids = [worker.pid for worker in deployment.workers]
        before = [resident_megabytes(pid) for pid in pids]
        pushed = push_everything(broker, bomb)
        assert wait_until(lambda: noted(client.store) >= pushed.total(), timeout_seconds=120), noted(client.store)
        jobs = [deployment.enqueue(client, number) for number in range(1, 21)]
        results = [job.result(timeout=120) for job in jobs]
        assert wait_until(lambda: is_drained(broker), timeout_seconds=20), lengths(broker)
        yield Aftermath(
            pushed=pushed,
            kinds=client.store.bad_messages.kinds()[0],
            processes=[(worker.pid, worker.poll()) for worker in deployment.workers],
            pids_before=pids,
            states=[result.state for result in results] + [job.state for job in load_all(client, jobs)],
            submissions=len(deployment.simulator.ledger()["submits"]),
            broker=lengths(broker),
            keys=all_keys(client.store.client) | all_keys(broker),
            megabytes=[(was, resident_megabytes(pid)) for was, pid in zip(before, pids, strict=True)],
            log=deployment.worker_logs(),
            doctor=json.loads(deployment.command("doctor", "--json")),
            created=bomb.exists(),
            answers=producer_app(deployment.settings).control.ping(timeout=5, limit=2),
        )


def pushing(deployment: Deployment) -> Redis:
    """A client that pushes nothing twice, however long a hundred megabytes take."""
    return Redis(port=deployment.broker.port, socket_timeout=120, retry=Retry(NoBackoff(), 0))


def push_everything(broker: Redis, bomb: Path) -> Counter[tuple[str, str]]:
    """Every item of every queue is pushed; returns how often each queue and reason is to be counted."""
    pushed: Counter[tuple[str, str]] = Counter()
    for task in TASKS:
        everything = garbage(task, bomb)
        broker.lpush(f"{BROKER_PREFIX}{task}", *(each.item for each in everything))
        pushed.update((task, str(each.reason)) for each in everything)
    broker.lpush(f"{BROKER_PREFIX}{TASKS[0]}", envelope(TASKS[0], body=b"x" * (HUGE_BYTES * 3 // 4)))
    pushed[TASKS[0], Reason.TOO_LARGE] += 1
    for each in control_garbage():
        # Every worker hears it.
        pushed["control", each.reason] += broker.publish(CONTROL, each.item)
    return pushed


def noted(store: Store) -> int:
    """How many are counted; none as long as a busy machine does not answer."""
    try:
        return sum(kind.count for kind in store.bad_messages.kinds()[0])
    except RedisError:
        return 0


def lengths(broker: Redis) -> dict[str, int]:
    sizes = {task: int(broker.llen(f"{BROKER_PREFIX}{task}")) for task in TASKS}
    return {**sizes, "unacked": int(broker.hlen(f"{BROKER_PREFIX}unacked"))}


def is_drained(broker: Redis) -> bool:
    return not any(lengths(broker).values())


def all_keys(client: Redis) -> set[str]:
    return {key.decode() if isinstance(key, bytes) else key for key in client.scan_iter(count=10_000)}


def resident_megabytes(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_the_same_workers_are_alive_and_work_on(aftermath: Aftermath) -> None:
    """No process ended, and all of the twenty jobs that came after the garbage succeeded, each submitted once."""
    assert aftermath.processes == [(pid, None) for pid in aftermath.pids_before]
    assert aftermath.states == [JobState.SUCCEEDED] * 40
    assert aftermath.submissions == 21


def test_workers_can_still_be_asked_what_they_are_at(aftermath: Aftermath) -> None:
    """Remote control, through which Flower does so, works after garbage has come through it."""
    assert sorted(aftermath.answers or [], key=str) == [{f"w{number}@test": {"ok": "pong"}} for number in (1, 2)]


def test_nothing_was_run(aftermath: Aftermath) -> None:
    """No pickle, no YAML and no task of Celery's own has done what it says."""
    assert not aftermath.created


def test_each_is_counted_for_its_reason(aftermath: Aftermath) -> None:
    """Neither more nor fewer than were pushed: none came round again, and none was lost from sight."""
    assert {(kind.queue, kind.reason): kind.count for kind in aftermath.kinds} == aftermath.pushed


def test_nothing_is_left_in_the_broker(aftermath: Aftermath) -> None:
    """The queues are empty, no message waits to be handed out again, and no key was made by what was in one."""
    assert aftermath.broker == {**dict.fromkeys(TASKS, 0), "unacked": 0}
    assert all(key.startswith("{sceneshift}:") for key in aftermath.keys)
    assert not any(NOBODY in key or CANARY in key or "\n" in key or "*" in key for key in aftermath.keys)


def test_what_is_kept_is_short(aftermath: Aftermath) -> None:
    """One example of each kind, of 200 printable characters at the most."""
    assert all(len(kind.beginning) <= 200 for kind in aftermath.kinds)
    assert all(kind.beginning.isascii() and kind.beginning.isprintable() for kind in aftermath.kinds)
    assert max(kind.size_bytes for kind in aftermath.kinds) > 100_000


def test_each_has_one_line_of_the_log_without_its_content(aftermath: Aftermath) -> None:
    """With queue, reason and size; nothing that was in it, no control character, and no traceback."""
    lines = [json.loads(line) for line in aftermath.log.splitlines() if line.startswith("{")]
    dropped = Counter((line["queue"], line["reason"]) for line in lines if line["event"] == "message.dropped")
    assert dropped == aftermath.pushed
    assert CANARY not in aftermath.log
    assert "forged" not in aftermath.log
    assert re.search(r"[^\n\x20-\x7e]", aftermath.log) is None
    others = {line["event"] for line in lines if line["level"] not in ("info", "debug")}
    # Where a hundred megabytes hold up a busy machine for longer than a lease, the worker says so too.
    assert others - {"lease.lost"} == {"message.dropped"}


def test_memory_is_back_within_bounds(aftermath: Aftermath) -> None:
    """After a message of 100 MB, and one that unpacks to 50 MB, in each queue."""
    assert all(now - before <= GROWTH_MAX_MEGABYTES for before, now in aftermath.megabytes), aftermath.megabytes


def test_an_operator_sees_it(aftermath: Aftermath) -> None:
    """`sceneshift doctor` warns, says how many there were, and shows the latest of each kind, and no secret."""
    [check] = [check for check in aftermath.doctor["checks"] if check["what"] == "messages"]
    assert check["level"] == "warn"
    assert check["finding"].startswith(f"{aftermath.pushed.total()} dropped since ")
    shown = {(kind["queue"], kind["reason"]): kind["count"] for kind in aftermath.doctor["bad_messages"]}
    assert shown == aftermath.pushed
    assert APPCODE not in json.dumps(aftermath.doctor)
