"""Which messages are ours: every one that we publish, as Celery and kombu write it, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu.transport.virtual import Channel
from kombu.transport.virtual import Message as VirtualMessage
from redis import Redis

from sceneshift.celery_app import SceneshiftCelery
from sceneshift.messages import TASKS, CeleryPublisher, StepMessage, celery_settings, step_message
from sceneshift.settings import Settings
from sceneshift.store.bad_messages import Reason
from tests.factories import a_job
from tests.garbage import Garbage, garbage, good_headers, good_keywords
from workers.embedded.redis_server import RedisServer
from workers.message_check import (
    MESSAGE_MAX_BYTES,
    body_fault,
    envelope_fault,
    header_fault,
    message_fault,
    passed_headers,
)


def every_kind() -> list[StepMessage]:
    """A message of each task, with the longest SKU and a parent, and the longest batch that can be set."""
    job_id = a_job().id
    messages = [
        step_message(subject_id=subject, step=step, sku="é" * 64, parent_step=parent, job_id=job_id)
        for subject, step, parent in [
            (job_id, "submit-1", ""),
            (job_id, "submit-12", "submit-11"),
            (job_id, "poll-007", "submit-1"),
            (job_id, "poll-123456", "poll-123455"),
            (job_id, "finalize-2", "poll-007"),
            (f"dlv_{job_id[4:]}_1", "notify-01", "finalize-1"),
            (f"dlv_{job_id[4:]}_12", "notify-03", "notify-02"),
        ]
    ]
    batch = {"job_ids": [job_id] * 500, "steps": ["poll-123456"] * 500}
    webhooks = {"delivery_ids": [f"dlv_{job_id[4:]}_1"] * 16, "steps": ["notify-01"] * 16}
    return [
        *messages,
        StepMessage(
            task="sceneshift.poll", task_id="poll-batch:1", root_id="poll-batch:1", parent_id=None, kwargs=batch
        ),
        StepMessage(
            task="sceneshift.notify",
            task_id="notify-batch:1",
            root_id="notify-batch:1",
            parent_id=None,
            kwargs=webhooks,
        ),
    ]


@contextmanager
def published(server: RedisServer, message: StepMessage) -> Iterator[bytes]:
    """The item that the message is in its queue."""
    settings = Settings(redis_url=server.url, key_prefix="{check}")
    app = SceneshiftCelery("test", set_as_current=False)
    app.conf.update(celery_settings(settings, timeout_seconds=1.0))
    with Redis.from_url(server.url) as client:
        client.flushdb()
        assert CeleryPublisher(settings, app).publish([message])
        yield client.lindex("{check}:celery:" + message.task, 0)


@pytest.mark.parametrize("message", every_kind(), ids=lambda message: str(message.kwargs.get("step", "batch")))
def test_what_we_publish_is_ours(redis_server: RedisServer, message: StepMessage) -> None:
    """As Celery and kombu of today write it, into a real queue; and Celery gets what it needs of the headers."""
    with published(redis_server, message) as item:
        assert envelope_fault(item) is None
        received = a_message(item)
    assert message_fault(received) is None
    headers: dict[str, Any] = received.headers
    assert {name: passed_headers(headers)[name] for name in ("task", "id", "root_id", "parent_id")} == {
        "task": message.task,
        "id": message.task_id,
        "root_id": message.root_id,
        "parent_id": message.parent_id,
    }
    assert len(item) < MESSAGE_MAX_BYTES * 3 / 4


ALL = [each for task in TASKS for each in garbage(task, Path("never"))]


@pytest.mark.parametrize("each", ALL, ids=lambda each: str(each.name))
def test_what_others_push_is_dropped_for_its_reason(each: Garbage) -> None:
    """Item by item, without a worker; what is only about a job of nobody is as ours, until the job is looked for."""
    assert fault_of(each.item) == (None if each.reason is Reason.UNKNOWN_JOB else each.reason)


def fault_of(item: bytes) -> Reason | None:
    """What both looks together find."""
    if reason := envelope_fault(item):
        return reason
    message = a_message(item)
    return Reason.CONTENT if message.errors else message_fault(message)


def a_message(item: bytes) -> VirtualMessage:
    """As kombu makes it of an item, and as Celery's consumer lets it be decoded."""
    return VirtualMessage(json.loads(item), channel=Channel.__new__(Channel), accept={"application/json"})


@pytest.mark.parametrize("name", ["traceparent", "x-shop", "tenant"])
def test_a_header_that_means_nothing_to_celery_is_passed_on(name: str) -> None:
    """Such as a trace's, or one of a later release: texts only."""
    headers = {**good_headers("sceneshift.poll"), name: "text", f"{name}-2": {"a": 1}}
    assert header_fault(headers) is None
    assert passed_headers(headers)[name] == "text"
    assert f"{name}-2" not in passed_headers(headers)


def test_celery_gets_no_header_that_was_not_looked_at() -> None:
    """What would become an attribute of the task's request is left out, whatever Celery calls it by then."""
    passed = passed_headers(good_headers("sceneshift.poll"))
    assert set(passed) == {"task", "id", "root_id", "parent_id", "argsrepr", "kwargsrepr", "ignore_result", "lang"}


def test_nothing_that_follows_is_hidden_in_a_longer_list() -> None:
    """An empty list of callbacks is none; one with an empty member is not."""
    body = [[], good_keywords("sceneshift.poll"), {"callbacks": []}]
    assert body_fault("sceneshift.poll", body) is None
    assert body_fault("sceneshift.poll", [*body[:2], {"callbacks": [None]}]) is Reason.FOLLOW_UPS
    assert body_fault("sceneshift.poll", [*body[:2], {"delivery_info": None}]) is Reason.OPTIONS
    assert body_fault("sceneshift.poll", [*body[:2], None]) is None
