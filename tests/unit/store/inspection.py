"""Looking at a job store from outside: everything that it holds, and a job put there in any state."""

from __future__ import annotations

import math
from typing import Any

from redis import Redis

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.opening import Store
from tests.factories import NOW

PLACED_DUE = NOW + 1.5
"""When a placed job that is not final is due."""


def everything(client: Redis) -> dict[str, tuple[Any, bool]]:
    """Every key with its whole value, and whether it will expire."""
    readers: dict[str, Any] = {
        "hash": client.hgetall,
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    keys: list[str] = sorted(client.keys("*"))  # type: ignore[arg-type]  # redis-py: maybe awaitable
    return {key: (readers[str(client.type(key))](key), client.pttl(key) != -1) for key in keys}


def place(store: Store, job: JobRecord) -> JobRecord:
    """The job is stored as it is, due at `PLACED_DUE`, as if its earlier steps had led there."""
    store.jobs.accept(job.evolve(state=JobState.QUEUED), publish=False)
    client, keys = store.client, store.keys
    client.delete(keys.job(job.id))
    client.hset(keys.job(job.id), mapping=job.to_fields())  # type: ignore[arg-type]  # redis-py: an invariant dict
    if text := job.results_json():
        client.set(keys.results(job.id), text)
    client.zrem(keys.jobs(JobState.QUEUED), job.id)
    client.zadd(keys.jobs(job.state), {job.id: NOW - 60.0})
    if job.state.is_final:
        client.zrem(keys.due, job.id)
    else:
        client.zadd(keys.due, {job.id: math.inf if job.state is JobState.NEEDS_ATTENTION else PLACED_DUE})
    return job


def due_at(store: Store, subject_id: str) -> float | None:
    """When the job or delivery is due; None when it is not in the index."""
    score = store.client.zscore(store.keys.due, subject_id)
    return None if score is None else float(score)


def due_entries(store: Store) -> list[str]:
    """The jobs and deliveries of the due index, the next one first."""
    entries: list[str] = store.client.zrange(store.keys.due, 0, -1)  # type: ignore[assignment]  # redis-py: maybe awaitable
    return entries


def states_listing(store: Store, job_id: str) -> list[JobState]:
    """The states whose indexes name the job."""
    return [state for state in JobState if store.client.zscore(store.keys.jobs(state), job_id) is not None]


def as_stored(job: JobRecord) -> JobRecord:
    """The job without what belongs to one hand-out of a step."""
    return job.evolve(fence=0, begun=0, starts=0)
