"""Finding many jobs of one state at once, for a person who decides about them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.jobs import record_of

if TYPE_CHECKING:
    from sceneshift.store.opening import Store

CHUNK = 200
"""So many records are read with one round trip."""

OnUnknown = Callable[[UnknownRecordError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs. `since` and `until` are unix seconds of when a job came into its state; None leaves it open."""

    state: JobState
    code: str | None = None
    sku: str | None = None
    since: float | None = None
    until: float | None = None

    def takes(self, job: JobRecord) -> bool:
        """Whether the job, which came into its state at a right time, is one of them."""
        return (
            job.state is self.state
            and (self.code is None or (job.error is not None and job.error.code == self.code))
            and (self.sku is None or job.sku == self.sku)
        )


def select_jobs(store: Store, selection: Selection, *, on_unknown: OnUnknown) -> Iterator[JobRecord]:
    """The selected jobs as they are now, the newest in their state first."""
    upper = "+inf" if selection.until is None else selection.until
    lower = "-inf" if selection.since is None else selection.since
    key = store.keys.jobs(selection.state)
    seen: set[str] = set()
    start = 0
    while True:
        ids: list[str] = store.client.zrange(  # type: ignore[assignment]  # redis-py: maybe awaitable
            key,
            upper,
            lower,
            desc=True,
            byscore=True,
            offset=start,
            num=CHUNK,
        )
        if not ids:
            return
        start += len(ids)
        # Whoever comes into the state meanwhile moves the others back, so that some are met twice.
        new = [job_id for job_id in ids if job_id not in seen]
        seen.update(new)
        yield from (job for job in load_jobs(store, new, on_unknown=on_unknown) if selection.takes(job))


def load_jobs(store: Store, ids: Iterable[str], *, on_unknown: OnUnknown) -> Iterator[JobRecord]:
    """The records of these jobs, in their order; those that are not there are left out.

    So are those that this release does not understand, of each of which `on_unknown` is told.
    """
    waiting = iter(ids)
    while chunk := list(islice(waiting, CHUNK)):
        for fields, order, results in _read(store, chunk):
            try:
                job = record_of(fields, order, results)
            except UnknownRecordError as error:
                on_unknown(error)
                continue
            if job is not None:
                yield job


def _read(store: Store, ids: Iterable[str]) -> Iterator[tuple[dict[str, str], str | None, str | None]]:
    """What is stored of each of these jobs."""
    keys = store.keys
    with store.client.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hgetall(keys.job(job_id))
            pipeline.get(keys.order(job_id))
            pipeline.get(keys.results(job_id))
        answers = pipeline.execute()
    yield from zip(answers[::3], answers[1::3], answers[2::3], strict=True)


def ordered_again(store: Store, jobs: Iterable[JobRecord]) -> dict[str, str]:
    """By id, the job that has the idempotency key of one of these by now."""
    keyed = [job for job in jobs if job.order.idempotency_key]
    with store.client.pipeline(transaction=False) as pipeline:
        for job in keyed:
            pipeline.get(store.keys.idempotency(job.order.idempotency_key or ""))
        owners = pipeline.execute()
    return {job.id: owner for job, owner in zip(keyed, owners, strict=True) if owner and owner != job.id}
