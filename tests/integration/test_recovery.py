"""The job store loses the end of its append-only file under a running worker: nothing is paid for twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceneshift.jobs.states import Charge, JobState
from tests.integration.deployment import running_deployment, wait_until
from tests.unit.store.append_only_file import commands, cut


@pytest.mark.parametrize("intent_log", ["redis", "storage"])
def test_a_submission_that_the_store_forgot_is_not_made_again(tmp_path: Path, intent_log: str) -> None:
    """BRK7: queued again, the job is held with what the worker or the bucket knows, and the next order goes through."""
    with running_deployment(tmp_path, workers=0, median_seconds=1.0, INTENT_LOG=intent_log) as deployment:
        client = deployment.client()
        recovery = client.store.recovery
        job = deployment.enqueue(client, 1)
        accepted = len(commands(deployment.state))
        deployment.start_worker()
        assert wait_until(lambda: client.load(job.id).state is JobState.RENDERING, timeout_seconds=60.0)
        cut(deployment.state, len(commands(deployment.state)) - accepted)
        assert wait_until(lambda: client.load(job.id).state is JobState.NEEDS_ATTENTION, timeout_seconds=60.0)
        held = client.load(job.id)
        assert (held.charge, held.submits, held.error and held.error.code) == (Charge.UNKNOWN, 1, "outcome_unknown")
        other = deployment.enqueue(client, 2)
        if intent_log == "redis":
            assert wait_until(lambda: client.load(other.id).blocked_by == "recovery", timeout_seconds=30.0)
            assert recovery.state() is not None
            assert recovery.end(by="ann", note="looked at the provider's console") == "ended"
        assert other.result(timeout=60).state is JobState.SUCCEEDED
        assert recovery.state() is None
        last = recovery.last()
        assert last is not None
        assert sum(merged["held"] for merged in last["merged"].values()) == 1
        ledger = deployment.simulator.ledger()
        assert (ledger["charged"], len(ledger["submits"])) == (2, 2)
        assert client.load(job.id) == held
        assert deployment.unexpected_exits == []
        client.store.client.close()
