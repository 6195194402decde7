"""Real workers at limits that they share: the provider, which has the same ones, never has to refuse."""

from __future__ import annotations

from pathlib import Path

from sceneshift.jobs.states import JobState
from tests.integration import checks
from tests.integration.deployment import load_all, running_deployment


def test_workers_keep_the_providers_limits_together(tmp_path: Path) -> None:
    """Three workers, forty jobs, ten submissions a second and five at once: none is throttled, all succeed, paid once.

    The simulator refuses what exceeds a little more than these limits, because the network moves calls together.
    """
    limits = {"submit_rate": 12.0, "max_running": 5}
    with running_deployment(
        tmp_path, workers=3, median_seconds=0.5, limits=limits, SUBMIT_RATE="10", MAX_IN_FLIGHT="5", QUERY_RATE="40"
    ) as deployment:
        client = deployment.client()
        jobs = [
            deployment.enqueue(client, number, lane="bulk" if number % 2 else "interactive") for number in range(40)
        ]
        results = [job.result(timeout=120) for job in jobs]
        entries = deployment.simulator.ledger()["submits"]
        records = load_all(client, jobs)
        checks.assert_each_paid_at_most_once(records, deployment.simulator.ledger())
    assert [result.state for result in results] == [JobState.SUCCEEDED] * 40
    assert [entry["error_code"] for entry in entries if not entry["accepted"]] == []
