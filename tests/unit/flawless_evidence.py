"""The evidence of a run that kept every promise, for tests that damage one thing of it."""

from __future__ import annotations

import math
from typing import Any

from sceneshift.identifiers import delivery_id, event_id, submission_nonce
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.store.deliveries import Delivery
from storage.manifest import Manifest
from storage.names import manifest_name, output_name
from tests.checkers import Bound, Evidence, ReceivedWebhook, StoredObject
from tests.checkers.evidence import OwnLedger
from tests.factories import NOW, a_job, an_order, an_output

DIGEST, OTHER_DIGEST = "a" * 64, "b" * 64
SECRET = "canary/secret+1"
PROMPT = "soft pale yellow silk"
LOST = JobFault(code="outcome_unknown", message="the answer was lost")


def a_succeeded_job() -> JobRecord:
    """Paid for once, with one image."""
    job = a_job(
        state=JobState.SUCCEEDED,
        step="done-5",
        order=an_order(positive_prompt=PROMPT),
        submits=1,
        result_key="key-1",
        charge=Charge.CHARGED,
        sequence=1,
    )
    key = output_name(job.id, 0, "image/png")
    return job.evolve(nonce=submission_nonce(job.id, 1), outputs=(an_output(key=key, sha256=DIGEST, size_bytes=3),))


def a_held_job() -> JobRecord:
    """Its answer was lost, and it was charged."""
    job = a_job(
        state=JobState.NEEDS_ATTENTION,
        step="resolve-2",
        order=an_order(positive_prompt="sand"),
        submits=1,
        charge=Charge.UNKNOWN,
        error=LOST,
        sequence=1,
    )
    return job.evolve(nonce=submission_nonce(job.id, 1))


def a_cancelled_job() -> JobRecord:
    """It was never sent."""
    return a_job(state=JobState.CANCELLED, step="done-1", order=an_order(positive_prompt="snow"), sequence=1)


DONE, HELD, GONE = a_succeeded_job(), a_held_job(), a_cancelled_job()
IMAGE, MANIFEST = DONE.outputs[0].key, manifest_name(DONE.id)


def delivered(job: JobRecord, kind: str, **values: Any) -> Delivery:
    """The one webhook of this job."""
    defaults: dict[str, Any] = {
        "id": delivery_id(job.id, 1),
        "event_id": event_id(job.id, 1),
        "job_id": job.id,
        "type": kind,
        "sequence": 1,
        "state": str(job.state),
        "occurred_at": NOW,
        "step": "notify-02",
        "status": "delivered",
        "sku": "",
        "error": None,
        "attempts": 1,
    }
    return Delivery(**{**defaults, **values})


def received(job: JobRecord, kind: str, **values: Any) -> ReceivedWebhook:
    """What the shop had of it."""
    data = {"job_id": job.id, "state": str(job.state), "sequence": 1}
    defaults: dict[str, Any] = {
        "id": event_id(job.id, 1), "body": {"type": kind, "data": data}, "is_authentic": True
    }  # fmt: skip
    return ReceivedWebhook(**{**defaults, **values})


def call(job: JobRecord, **values: Any) -> dict[str, Any]:
    """The provider's record of this job's submission, which it accepted."""
    prompt = job.order.positive_prompt
    defaults = {"nonce": job.nonce, "result_key": job.result_key, "charged": 1, "positive_prompt": prompt}
    return {**defaults, **values}


def through(*states: str) -> list[dict[str, Any]]:
    """A timeline with these states."""
    return [{"at": NOW + number, "state": state, "event": state} for number, state in enumerate(states)]


def an_evidence() -> Evidence:
    """A run that kept every promise: one job done, one held, one cancelled before it was sent."""
    jobs = (DONE, HELD, GONE)
    kinds = {DONE.id: "job.completed", HELD.id: "job.needs_attention", GONE.id: "job.cancelled"}
    return Evidence(
        bound=Bound(),
        accepted={job.id: job.order.positive_prompt for job in jobs},
        jobs={job.id: job for job in jobs},
        timelines={
            DONE.id: through("queued", "submitting", "rendering", "storing", "succeeded"),
            HELD.id: through("queued", "submitting", "needs_attention"),
            GONE.id: through("queued", "cancelled"),
        },
        deliveries={job.id: [delivered(job, kinds[job.id])] for job in jobs},
        submits=[call(DONE), call(HELD)],
        objects={IMAGE: StoredObject(size_bytes=3, sha256=DIGEST, is_image=True),
                 MANIFEST: StoredObject(size_bytes=9, sha256=OTHER_DIGEST, is_image=False)},
        manifests={DONE.id: Manifest(job_id=DONE.id, images=DONE.outputs, missing=(), about={})},
        due={HELD.id: math.inf},
        indexes={state: frozenset(job.id for job in jobs if job.state is state) for state in JobState},
        ledger=OwnLedger(charged=1, unknown=1),
        webhooks=[received(job, kinds[job.id]) for job in jobs],
        pictures={"key-1": [DIGEST]},
        cancelled={GONE.id: "free"},
        captured={"the log": b"nothing to see", "the store": PROMPT.encode()},
        canaries={"key": SECRET, "prompt": PROMPT},
        known_there={"the store": frozenset({"prompt"})},
    )  # fmt: skip
