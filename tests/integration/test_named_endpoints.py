"""A named endpoint in a deployment of real processes: added while it runs, and told of everything from then on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sceneshift.webhooks import new_secret
from tests.integration.deployment import Deployment, running_deployment, wait_until
from workers.demo.receiver import Received, receiving


def endpoints(deployment: Deployment, *arguments: str) -> dict[str, Any]:
    """What `sceneshift webhooks endpoints ARGUMENTS --json` prints."""
    printed = deployment.command("webhooks", "endpoints", *arguments, "--json")
    document: dict[str, Any] = json.loads(printed)
    return document


def told_of(received: Received, job_ids: list[str]) -> bool:
    return all(received.of_job(job_id).keys() == {"job.completed"} for job_id in job_ids)


def test_an_endpoint_that_is_added_hears_of_every_job_from_then_on(tmp_path: Path) -> None:
    """Workers and callers that run already know it at once; rotated, both secrets are good; and the log has it all."""
    secrets = [new_secret()]
    with (
        receiving(secrets) as receiver,
        running_deployment(tmp_path, workers=2, WEBHOOK_ENDPOINT_KEY=new_secret()) as deployment,
    ):
        client = deployment.client()
        before = deployment.enqueue(client, 0)
        assert wait_until(lambda: told_of(deployment.received, [before.id]), timeout_seconds=120)
        url = f"http://127.0.0.1:{receiver.port}/erp"
        # No receiver can verify before it has the secret, so that the test follows by itself.
        secrets[:] = [endpoints(deployment, "add", "erp", url, "--event", "job.*", "--no-test")["secret"]]
        assert endpoints(deployment, "test", "erp")["delivered"]
        first = [deployment.enqueue(client, number).id for number in range(1, 6)]
        assert wait_until(lambda: told_of(receiver, first), timeout_seconds=120)
        endpoints(deployment, "rotate", "erp", "--overlap", "1h")
        second = [deployment.enqueue(client, number).id for number in range(6, 9)]
        assert wait_until(lambda: told_of(receiver, second), timeout_seconds=120)
        secrets[:] = [endpoints(deployment, "secret", "erp")["secret"]]
        third = [deployment.enqueue(client, number).id for number in range(9, 11)]
        assert wait_until(lambda: told_of(receiver, third), timeout_seconds=120)
        assert wait_until(lambda: told_of(deployment.received, [*first, *second, *third]), timeout_seconds=120)
        assert receiver.of_job(before.id) == {}
        assert (receiver.refused, deployment.received.refused) == (0, 0)
        pulled = deployment.command("webhooks", "events", "--json").splitlines()
        jobs = [json.loads(line)["data"]["job_id"] for line in pulled]
        assert sorted(jobs) == sorted([before.id, *first, *second, *third])
