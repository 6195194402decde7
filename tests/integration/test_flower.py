"""What an operator finds in Flower, and what nobody must find in Celery's events."""

from __future__ import annotations

import base64
import json
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from sceneshift.messages import celery_settings
from tests.integration.deployment import APPCODE, SECRET_PROMPT, Deployment, running_deployment, wait_until
from workers.embedded.processes import free_port, spawn, stop, wait_for_port

PASSWORD = "operator:test-password"


def test_flower_shows_one_jobs_tasks_as_one_readable_chain(tmp_path: Path) -> None:
    """A search for `kwargs:job_id=ID` finds exactly the job's tasks, by readable ids, each linked to the one before."""
    with running_deployment(tmp_path, workers=1) as deployment, running_flower(deployment) as flower:
        client = deployment.client()
        jobs = [deployment.enqueue(client, number) for number in range(3)]
        for job in jobs:
            job.result(timeout=60)
        wanted = jobs[1]
        assert wait_until(lambda: len(flower.tasks(wanted.id)) >= 4, timeout_seconds=30)
        tasks = flower.tasks(wanted.id)
        polls = client.load(wanted.id).polls
    chain = [f"{wanted.id}:submit-1", *(f"{wanted.id}:poll-{number:03d}" for number in range(1, polls + 1))]
    chain += [f"{wanted.id}:finalize-1", f"dlv_{wanted.id[4:]}_1:notify-01"]
    assert set(tasks) == set(chain)
    assert {task["root_id"] for task in tasks.values()} <= {chain[0]}
    assert [tasks[each]["parent_id"] for each in chain] == [None, *chain[:-1]]
    assert {task["name"] for task in tasks.values()} == {
        "sceneshift.submit",
        "sceneshift.poll",
        "sceneshift.finalize",
        "sceneshift.notify",
    }


def test_no_event_holds_a_url_a_prompt_or_a_secret(tmp_path: Path) -> None:
    """Everything that Celery sends about tasks, and everything that workers log, is free of what was ordered."""
    with running_deployment(tmp_path, workers=1) as deployment, captured_events(deployment) as events:
        client = deployment.client()
        deployment.enqueue(client, 1).result(timeout=60)
        assert wait_until(
            lambda: any(e["type"] == "task-succeeded" and ":notify" in e["uuid"] for e in events), timeout_seconds=30
        )
        secrets = [secret.get_secret_value() for secret in deployment.settings.webhook_secret]
        logs = deployment.worker_logs()
    assert {event["type"] for event in events} >= {"task-sent", "task-received", "task-started", "task-succeeded"}
    for text in (json.dumps([event for event in events if event["type"].startswith("task-")]), logs):
        for secret in (SECRET_PROMPT, "canary-signature", APPCODE, "/catalogue/", "/results/", "/webhooks", *secrets):
            assert secret not in text
            assert base64.b64encode(secret.encode()).decode() not in text


class Flower:
    """Flower's API, as a script of an operator would use it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def tasks(self, job_id: str) -> dict[str, dict[str, Any]]:
        query = urllib.parse.urlencode({"search": f"kwargs:job_id={job_id}"})
        request = urllib.request.Request(f"{self._url}/api/tasks?{query}")
        request.add_header("Authorization", "Basic " + base64.b64encode(PASSWORD.encode()).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, dict[str, Any]] = json.load(answer)
        return {task_id: self._task(task_id) for task_id in found}

    def _task(self, task_id: str) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._url}/api/task/info/{task_id}")
        request.add_header("Authorization", "Basic " + base64.b64encode(PASSWORD.encode()).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))


@contextmanager
def running_flower(deployment: Deployment) -> Iterator[Flower]:
    """Flower with the configuration that operators get."""
    port = free_port()
    process = spawn(
        [sys.executable, "-m", "celery", "-A", "workers.app", "flower", "--address=127.0.0.1", f"--port={port}",
         "--conf=ops/flower/flowerconfig.py"],
        log=deployment.directory / "flower.log",
        environment={**deployment.environment, "FLOWER_BASIC_AUTH": PASSWORD},
    )  # fmt: skip
    try:
        assert wait_for_port(port, process, timeout_seconds=60)
        yield Flower(port)
    finally:
        stop(process)


@contextmanager
def captured_events(deployment: Deployment) -> Iterator[list[dict[str, Any]]]:
    """Every event of Celery that is sent while the context lasts."""
    events: list[dict[str, Any]] = []
    app = Celery("listener", set_as_current=False)
    app.conf.update(celery_settings(deployment.settings, timeout_seconds=5.0))
    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})
        thread = threading.Thread(target=lambda: receiver.capture(limit=None, timeout=None, wakeup=False), daemon=True)
        thread.start()
        assert wait_until(lambda: any(e["type"] == "worker-heartbeat" for e in events), timeout_seconds=60)
        yield events
        receiver.should_stop = True
        thread.join(timeout=10)
