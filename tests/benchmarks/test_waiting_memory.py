"""Jobs that wait for their next poll cost Redis memory, not worker memory."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from sceneshift import identifiers
from sceneshift.jobs.events import IntentStored, SubmissionAccepted
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import Accepted, RenderItem
from sceneshift.provider.wire import submit_body
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tests.factories import an_order
from tests.integration.deployment import running_deployment, wait_until

JOBS = 20_000
ALLOWED_BYTES = 20_000_000
SETTLE_SECONDS = 20.0

pytestmark = pytest.mark.slow


def test_waiting_jobs_add_little_to_a_worker(tmp_path: Path) -> None:
    """20,000 jobs that wait for their next poll, and then are polled, add less than 20 MB to a worker."""
    with running_deployment(
        tmp_path, workers=1, median_seconds=36_000.0, POLL_FIRST_SECONDS="60", POLL_MAX_SECONDS="60"
    ) as deployment:
        client = deployment.client()
        # Warm: the worker has opened its connections and run its threads.
        first = [deployment.enqueue(client, number) for number in range(64)]
        assert wait_until(lambda: all(client.load(job.id).result_key for job in first), timeout_seconds=120)
        keys = result_keys(deployment.settings, JOBS)
        worker = deployment.workers[0].pid
        before = resident_bytes(worker)
        redis_before = redis_bytes(client.store)
        for key in keys:
            a_rendering_job(client.store, key, first_poll_in_seconds=45.0)
        assert client.store.jobs.counts()[JobState.RENDERING] >= JOBS
        time.sleep(SETTLE_SECONDS)
        waiting = resident_bytes(worker)
        redis_waiting = redis_bytes(client.store)
        polled_before = client.store.due.begun_counts().get("sceneshift.poll", 0)
        time.sleep(60.0)
        polled = client.store.due.begun_counts()["sceneshift.poll"] - polled_before
        polling = resident_bytes(worker)
    per_job = (redis_waiting - redis_before) / JOBS
    print(  # noqa: T201  # the figure is what a benchmark is for
        f"\n{JOBS} waiting jobs: worker {before / 1e6:.1f} MB before, +{(waiting - before) / 1e6:.1f} MB waiting, "
        f"+{(polling - before) / 1e6:.1f} MB after {polled} poll messages; "
        f"{per_job:.0f} bytes of Redis per job"
    )
    assert waiting - before < ALLOWED_BYTES
    assert polling - before < ALLOWED_BYTES


def result_keys(settings: Settings, count: int) -> list[str]:
    """Submissions that the provider has accepted, each one's key."""
    order = an_order()
    body = submit_body(RenderItem(**{field.name: getattr(order, field.name) for field in fields(RenderItem)}))

    def accepted(_number: int) -> str:
        outcome = provider.submit(body, nonce=str(uuid.uuid4()))
        assert isinstance(outcome, Accepted), outcome
        return outcome.result_key

    with BgRepProvider.from_settings(settings) as provider, ThreadPoolExecutor(8) as threads:
        return list(threads.map(accepted, range(count)))


def a_rendering_job(store: Store, result_key: str, *, first_poll_in_seconds: float) -> None:
    """A job that was submitted and waits for its first poll."""
    now = store.clock.now()
    job = JobRecord(
        id=identifiers.new_job_id(now),
        state=JobState.QUEUED,
        step="submit-1",
        order=an_order(),
        created_at=now,
        deadline_at=now + 1800,
    )
    # Handed out already, so that no timekeeper submits it in the meantime.
    store.jobs.accept(job, publish=True)
    nonce = identifiers.submission_nonce(job.id, 1)
    submitting = store.jobs.transition(job, IntentStored(nonce=nonce, request_hash="0" * 64))
    assert submitting is not None
    accepted = SubmissionAccepted(result_key=result_key, request_id=None, first_poll_in_seconds=first_poll_in_seconds)
    assert store.jobs.transition(submitting.after, accepted) is not None


def resident_bytes(process_id: int) -> int:
    """The resident memory of a process (Linux)."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"process {process_id} has no VmRSS")


def redis_bytes(store: Store) -> int:
    """What the job store's server uses."""
    return int(store.client.info("memory")["used_memory"])
