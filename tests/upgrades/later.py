"""Records as a later release may leave them, in ways that the code of today must not pass over."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sceneshift.jobs.record import JobRecord
from sceneshift.store.opening import Store
from tests.upgrades.corpus import dumped

HAND_OUT = "fence"
"""What handing a step out leaves on a record, without anybody having been at it."""


def job_fields(**fields: str) -> Callable[[Store, JobRecord], None]:
    """The record's hash has these fields."""

    def change(store: Store, job: JobRecord) -> None:
        store.client.hset(store.keys.job(job.id), mapping=fields)  # type: ignore[arg-type]  # redis-py: an invariant dict

    return change


def order_field(store: Store, job: JobRecord) -> None:
    """The order says more about the picture."""
    text = json.dumps({**json.loads(job.order.to_json()), "style": "oil"})
    store.client.set(store.keys.order(job.id), text)


def order_form(store: Store, job: JobRecord) -> None:
    """The order is another document."""
    store.client.set(store.keys.order(job.id), json.dumps({"items": [json.loads(job.order.to_json())]}))


def results_form(store: Store, job: JobRecord) -> None:
    """The results are another document."""
    store.client.set(store.keys.results(job.id), json.dumps([{"url": "https://result.example/0.png"}]))


def output_form(store: Store, job: JobRecord) -> None:
    """An image is described in other fields."""
    store.client.set(store.keys.results(job.id), json.dumps({"outputs": [{"index": 0, "sha256": "0", "blob": "x"}]}))


def order_elsewhere(store: Store, job: JobRecord) -> None:
    """The order is under another key."""
    store.client.rename(store.keys.order(job.id), f"{store.keys.order(job.id)}:2")
    store.client.hset(store.keys.job(job.id), "version", "2")


def moved_on(store: Store, job: JobRecord) -> None:
    """The job is in a state of the later release, in an index of that."""
    store.client.hset(store.keys.job(job.id), mapping={"state": "verifying", "step": "verify-1", "version": "2"})
    store.client.zrem(store.keys.jobs(job.state), job.id)
    store.client.zadd(f"{store.keys.prefix}:jobs:verifying", {job.id: 1.0})


JOBS: Mapping[str, tuple[Callable[[Store, JobRecord], None], str]] = {
    "version": (job_fields(version="2"), "version '2'"),
    "state": (moved_on, "state 'verifying'"),
    "step": (job_fields(step="verify-1"), "step 'verify-1'"),
    "step without a number": (job_fields(step="verify"), "step 'verify'"),
    "charge": (job_fields(charge="waived"), "charge 'waived'"),
    "earlier charge": (job_fields(earlier_charge="waived"), "earlier_charge 'waived'"),
    "wish": (job_fields(cancel="pause"), "cancel 'pause'"),
    "all at once": (job_fields(version="3", charge="waived"), "version '3', charge 'waived'"),
    "error": (job_fields(error='{"code": "x", "message": "y", "more": "z"}'), "a part of another form"),
    "number": (job_fields(polls="1e3"), "a part of another form"),
    "order": (order_form, "a part of another form"),
    "order elsewhere": (order_elsewhere, "version '2'"),
    "results": (results_form, "a part of another form"),
    "output": (output_form, "a part of another form"),
}
"""By what is new: how it comes to be, and the words in which that is told."""

DELIVERIES: Mapping[str, tuple[dict[str, str], str]] = {
    "version": ({"version": "2"}, "version '2'"),
    "status": ({"status": "paused"}, "status 'paused'"),
    "type": ({"type": "job.verified"}, "type 'job.verified'"),
    "state": ({"state": "verifying"}, "state 'verifying'"),
    "step": ({"step": "announce-1"}, "step 'announce-1'"),
    "number": ({"sequence": "1.2"}, "a part of another form"),
}


def record_of(store: Store, subject_id: str) -> dict[str, Any]:
    """All that is stored of one job or webhook, but for what handing its step out leaves, and how long it lives."""
    found = {
        key: entry["value"]
        for key, entry in dumped(store.client).items()
        if key == store.keys.subject(subject_id) or key.startswith(f"{store.keys.subject(subject_id)}:")
    }
    own = store.keys.subject(subject_id)
    found[own] = {name: text for name, text in found[own].items() if name != HAND_OUT}
    return found
