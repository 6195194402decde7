"""A worker is killed between the provider's answer and the job store: the next one on the machine finds the key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import httpx

from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.events import IntentStored, SubmissionLost
from sceneshift.jobs.record import JobFault
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import RenderItem
from sceneshift.provider.wire import submit_body
from tests.integration.deployment import running_deployment

KEPT_AND_KILLED = """
import os, signal, sys
from pathlib import Path
from tasks.spool import Spool, SpooledKey
directory, job_id, nonce, key = sys.argv[1:]
Spool(Path(directory)).keep(SpooledKey(job_id=job_id, nonce=nonce, result_key=key, request_id=None, sent_at=0.0))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_that_was_held_goes_on_by_itself(tmp_path: Path) -> None:
    """Held for a person, it gets its key from the disk of the dead worker, and succeeds: submitted and paid once."""
    with running_deployment(tmp_path, workers=0) as deployment:
        client = deployment.client()
        job = deployment.enqueue(client, 1)
        store, nonce = client.store, submission_nonce(job.id, 1)
        queued = client.load(job.id)
        intent = store.jobs.transition(queued, IntentStored(nonce=nonce, request_hash="0" * 64))
        assert intent is not None
        ordered = {field.name: getattr(queued.order, field.name) for field in fields(RenderItem)}
        body = submit_body(RenderItem(**ordered))
        simulator = deployment.simulator
        headers = {
            "Authorization": f"APPCODE {simulator.appcode}",
            "X-Ca-Nonce": nonce,
            "Content-Type": "application/json",
        }
        answer = httpx.post(f"{simulator.url}/submit", content=body, headers=headers, trust_env=False, timeout=30)
        key = answer.json()["data"]["result_key"]
        directory = deployment.environment["SCENESHIFT_SPOOL_DIRECTORY"]
        dead = subprocess.run(
            [sys.executable, "-c", KEPT_AND_KILLED, directory, job.id, nonce, key],
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=60,
        )
        assert dead.returncode == -signal.SIGKILL
        lost = SubmissionLost(fault=JobFault(code="outcome_unknown", message="the worker disappeared"))
        assert store.jobs.transition(intent.after, lost) is not None
        assert client.load(job.id).state is JobState.NEEDS_ATTENTION
        deployment.start_worker()
        result = job.result(timeout=60)
        record = client.load(job.id)
        ledger = simulator.ledger()
    assert (result.state, record.charge, record.result_key) == (JobState.SUCCEEDED, Charge.CHARGED, key)
    assert (ledger["charged"], len(ledger["submits"])) == (1, 1)
    assert list(Path(directory).glob("*.jsonl")) == []
