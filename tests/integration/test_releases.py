"""BRK15 with real processes: a worker meets what other releases have left in its queues and in its job store."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from redis import Redis

from sceneshift.jobs.states import JobState
from sceneshift.messages import TASKS
from tests.integration.deployment import Deployment, running_deployment, wait_until
from tests.upgrades.corpus import releases, scenes_of

QUEUES = "{sceneshift}:celery:"


def messages_of_all_releases() -> list[tuple[str, dict[str, Any]]]:
    """Every message of every corpus, with its queue; its job is of another deployment."""
    scenes = [scene for release in releases() for scene in scenes_of(release).values()]
    return [(queue, each) for scene in scenes for queue, messages in scene.queues.items() for each in messages]


def put(broker: Redis, queue: str, envelope: dict[str, Any], **headers: str) -> None:
    """The message lies in the broker's queue."""
    properties = {**envelope["properties"], "delivery_tag": str(uuid.uuid4())}
    message = {**envelope, "headers": {**envelope["headers"], **headers}, "properties": properties}
    broker.lpush(f"{QUEUES}{queue}", json.dumps(message))


def left(broker: Redis) -> int:
    """How many messages nobody has done with."""
    waiting = sum(int(broker.llen(f"{QUEUES}{queue}")) for queue in TASKS)
    return waiting + int(broker.hlen(f"{QUEUES}unacked"))


def fields_of(deployment: Deployment, job_id: str) -> dict[str, str]:
    """The job's record, without what handing it out leaves."""
    with Redis.from_url(deployment.state.url, decode_responses=True) as state:
        fields: dict[str, str] = state.hgetall(f"{{sceneshift}}:job:{job_id}")
    return {name: text for name, text in fields.items() if name != "fence"}


def test_a_worker_takes_the_messages_of_other_releases(tmp_path: Path) -> None:
    """Old ones, one of a task that it does not know, and jobs of a later release: it does its own work and lives on."""
    with running_deployment(tmp_path, workers=0) as deployment:
        client = deployment.client()
        own, later = deployment.enqueue(client, 1), deployment.enqueue(client, 2)
        state = Redis.from_url(deployment.state.url, decode_responses=True)
        broker = Redis.from_url(deployment.broker.url, decode_responses=True)
        state.hset(f"{{sceneshift}}:job:{later.id}", mapping={"version": "2", "faces": "3"})
        before = fields_of(deployment, later.id)
        for queue, envelope in messages_of_all_releases():
            put(broker, queue, envelope)
        put(broker, TASKS[0], messages_of_all_releases()[0][1], task="sceneshift.verify")
        worker = deployment.start_worker()
        assert wait_until(lambda: client.load(own.id).state is JobState.SUCCEEDED, timeout_seconds=60)
        assert wait_until(lambda: left(broker) == 0, timeout_seconds=60)
        assert wait_until(lambda: later.id in deployment.worker_logs(), timeout_seconds=30)
        assert "record.unknown" in deployment.worker_logs()
        assert fields_of(deployment, later.id) == before
        state.hset(f"{{sceneshift}}:job:{later.id}", "version", "1")
        assert wait_until(lambda: client.load(later.id).state is JobState.SUCCEEDED, timeout_seconds=60)
        assert fields_of(deployment, later.id)["faces"] == "3"
        assert worker.poll() is None
        assert deployment.simulator.ledger()["accepted"] == 2
        state.close()
        broker.close()
