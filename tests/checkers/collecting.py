"""Collects the evidence of a run from its job store and its bucket; what others saw, the run itself adds."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from PIL import Image

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.store.opening import Store
from storage.manifest import Manifest, read_manifest
from storage.objects import ObjectStore
from tests.checkers.evidence import Bound, Evidence, OwnLedger, StoredObject

Item = TypeVar("Item")
Seen = TypeVar("Seen")

JOBS_MAX = 1_000_000


def collect(
    store: Store,
    objects: ObjectStore,
    *,
    bound: Bound,
    accepted: Mapping[str, str],
    submits: Sequence[Mapping[str, Any]],
    days: Sequence[str] | None = None,
    threads: int = 1,
    **seen: Any,
) -> Evidence:
    """What the store and the bucket hold, beside what the provider, the callers and the receivers saw.

    `days` are those of the ledger, all of them when it is None. A bucket that is far away is read in several `threads`.
    `seen` are further attributes of `Evidence`.
    """
    indexes = {state: frozenset(store.jobs.ids(state, limit=JOBS_MAX)) for state in JobState}
    ids = {*accepted, *(job_id for each in indexes.values() for job_id in each)}
    jobs = {job_id: job for job_id in sorted(ids) if (job := store.jobs.load(job_id)) is not None}
    return Evidence(
        bound=bound,
        accepted=accepted,
        jobs=jobs,
        timelines={job_id: store.timeline.read(job_id) for job_id in jobs},
        deliveries={job_id: store.deliveries.of_job(job) for job_id, job in jobs.items()},
        submits=submits,
        objects=stored_objects(objects, threads=threads),
        manifests=_manifests(objects, jobs.values(), threads),
        due=dict(store.client.zrange(store.keys.due, 0, -1, withscores=True)),  # type: ignore[arg-type]  # redis-py
        indexes=indexes,
        ledger=own_ledger(store, days),
        slots_in_use=store.permits.in_flight(),
        **seen,
    )


def own_ledger(store: Store, days: Sequence[str] | None = None) -> OwnLedger:
    """What our own ledger says of all its days, or of these."""
    listed = [store.ledger.day(day) for day in (store.ledger.days() if days is None else days)]
    return OwnLedger(
        charged=sum(day.total(Charge.CHARGED, Charge.REFUNDED_BY_HAND).submissions for day in listed),
        unknown=sum(day.total(Charge.UNKNOWN).submissions for day in listed),
    )


def stored_objects(
    objects: ObjectStore,
    *,
    prefix: str = "results/",
    is_image: Callable[[bytes], bool] | None = None,
    threads: int = 1,
) -> dict[str, StoredObject]:
    """Every object under the prefix, by its name, read whole."""
    decodes = is_image or is_whole_picture

    def look(key: str) -> tuple[str, StoredObject]:
        body = objects.get(key)
        sha256 = hashlib.sha256(body).hexdigest()
        return key, StoredObject(size_bytes=len(body), sha256=sha256, is_image=decodes(body))

    return dict(each_of(list(objects.list(prefix)), look, threads))


@lru_cache(maxsize=64)
def is_whole_picture(body: bytes) -> bool:
    """Whether these bytes are a picture that can be decoded to its end."""
    try:
        with Image.open(io.BytesIO(body), formats=["PNG", "JPEG", "WEBP"]) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _manifests(objects: ObjectStore, jobs: Iterable[JobRecord], threads: int) -> dict[str, Manifest]:
    def look(job: JobRecord) -> tuple[str, Manifest | None]:
        return job.id, read_manifest(objects, job_id=job.id)

    found = each_of(list(jobs), look, threads)
    return {job_id: manifest for job_id, manifest in found if manifest is not None}


def each_of(items: Sequence[Item], look: Callable[[Item], Seen], threads: int) -> list[Seen]:
    """What `look` says of each, in their order; one after the other, or in several threads."""
    if threads == 1:
        return [look(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(look, items))
