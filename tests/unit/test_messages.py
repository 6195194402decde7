"""The messages that wake the steps: small, readable as one chain, and without anything that was ordered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from sceneshift.identifiers import step_kind
from sceneshift.jobs.transitions import advance
from sceneshift.messages import (
    TASKS,
    CeleryPublisher,
    StepMessage,
    celery_settings,
    message_for_due,
    messages_for_change,
    producer_app,
)
from sceneshift.settings import Settings
from sceneshift.store.due import DueStep
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.moves import TABLE, Row
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]


def messages_of(situation: str, event: str) -> list[StepMessage]:
    return messages_for_change(advance(SITUATIONS[situation], EVENTS[event], NOW))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_change_is_followed_by_what_it_makes_possible(row: Row) -> None:
    """One message per webhook and one for a step that can be done at once; what is due later is not published."""
    change = advance(row.job, EVENTS[row.event], NOW)
    expected = ["sceneshift.notify"] if row.webhook else []
    if row.publish:
        expected.append(f"sceneshift.{step_kind(change.after.step)}")
    messages = messages_for_change(change)
    assert [message.task for message in messages] == expected
    assert all(message.task in TASKS for message in messages)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_message_has_ids_the_sku_and_the_step_only(row: Row) -> None:
    """Celery copies arguments into headers, events and Flower, so no prompt, address or key is among them."""
    longest = row.job.evolve(order=an_order(sku="S" * 64, num_output=2))
    for message in messages_for_change(advance(longest, EVENTS[row.event], NOW)):
        assert set(message.kwargs) <= {"job_id", "delivery_id", "sku", "step"}
        assert len(json.dumps(message.kwargs)) < 300


def test_the_next_step_of_a_job_names_the_one_before_it() -> None:
    """Its task id is job and step, its parent is the step that made it possible, and its root is the first one."""
    job = SITUATIONS["rendering"]
    (message,) = messages_of("rendering", "results")
    assert (message.task, message.task_id) == ("sceneshift.finalize", f"{job.id}:finalize-1")
    assert (message.parent_id, message.root_id) == (f"{job.id}:poll-003", f"{job.id}:submit-1")
    assert message.kwargs == {"job_id": job.id, "sku": "PERF-050", "step": "finalize-1"}


def test_a_webhook_belongs_to_the_step_that_made_its_event() -> None:
    """The delivery's first try is a child of that step, and later tries follow each other."""
    job = SITUATIONS["storing"]
    delivery = f"dlv_{job.id[4:]}_1"
    (message,) = messages_of("storing", "all stored")
    assert (message.task_id, message.parent_id) == (f"{delivery}:notify-01", f"{job.id}:finalize-1")
    assert message.kwargs == {"job_id": job.id, "delivery_id": delivery, "sku": "PERF-050", "step": "notify-01"}
    again = message_for_due(
        DueStep(
            subject_id=delivery, step="notify-02", sku="PERF-050", parent_step="notify-01", job_id=job.id, waiting=False
        )
    )
    assert (again.task_id, again.parent_id, again.root_id) == (
        f"{delivery}:notify-02", f"{delivery}:notify-01", f"{job.id}:submit-1",
    )  # fmt: skip


def test_a_step_that_is_brought_back_has_the_same_ids() -> None:
    """A re-driven step is the same task in Flower, not another."""
    job = SITUATIONS["rendering"]
    change = advance(job, EVENTS["results"], NOW)
    after = change.after
    due = DueStep(
        subject_id=after.id, step=after.step, sku=after.sku or "", parent_step=after.parent_step, job_id=after.id,
        waiting=True,
    )  # fmt: skip
    assert [message_for_due(due)] == messages_for_change(change)


def a_message(job_id: str = "") -> StepMessage:
    job_id = job_id or a_job().id
    return StepMessage(
        task="sceneshift.submit",
        task_id=f"{job_id}:submit-1",
        root_id=f"{job_id}:submit-1",
        parent_id=None,
        kwargs={"job_id": job_id, "sku": "A", "step": "submit-1"},
    )


def test_a_message_arrives_in_its_task_s_queue_with_its_ids(redis_server: RedisServer) -> None:
    """What a producer publishes is what a worker reads: id, root, arguments and JSON."""
    settings = Settings(redis_url=redis_server.url, key_prefix="{messages}")
    message = a_message()
    assert CeleryPublisher(settings).publish([message])
    with producer_app(settings).connection_for_read() as connection:
        received = connection.SimpleQueue("sceneshift.submit").get(timeout=10)
        received.ack()
    assert received.content_type == "application/json"
    assert received.payload[1] == message.kwargs
    headers: dict[str, Any] = received.headers
    assert (headers["id"], headers["root_id"], headers["parent_id"], headers["task"], headers["eta"]) == (
        message.task_id, message.root_id, None, "sceneshift.submit", None,
    )  # fmt: skip


def test_a_broker_that_is_away_costs_one_short_wait() -> None:
    """Publishing says that it did not work, never raises, and does not try again for some seconds."""
    publisher = CeleryPublisher(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    assert not publisher.publish([a_message()])
    began = time.monotonic()
    assert not publisher.publish([a_message()])
    assert time.monotonic() - began < 0.05


def test_nothing_to_publish_is_done() -> None:
    """An empty call needs no broker, and is no failure even while the broker is away."""
    publisher = CeleryPublisher(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    assert publisher.publish([])
    publisher.publish([a_message()])
    assert publisher.publish([])


def test_publishing_does_not_take_over_the_shop_s_own_celery() -> None:
    """A backend that runs Celery itself keeps its current app."""
    shop = Celery("shop")
    shop.set_current()
    producer_app(Settings())
    from celery import current_app  # noqa: PLC0415  # what it is now

    assert current_app.main == "shop"


def test_every_task_has_its_queue_and_speaks_json_only() -> None:
    """Routes are explicit, results are not kept, and pickled messages are refused."""
    settings = celery_settings(Settings(), timeout_seconds=1.0)
    assert settings["task_routes"] == {name: {"queue": name} for name in TASKS}
    assert settings["accept_content"] == ["json"]
    assert settings["task_ignore_result"]


@pytest.mark.parametrize("code", ["import sceneshift", "import sceneshift.errors, sceneshift.webhooks"])
def test_importing_the_library_loads_nothing_heavy(code: str) -> None:
    """A web process that imports it pays for what it uses: no Celery, HTTP client, S3, images or settings yet."""
    heavy = ("boto3", "botocore", "httpx", "PIL", "celery", "kombu", "pydantic", "redis", "storage", "tasks", "workers")
    script = f"{code}; import sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "[]"
