"""Celery's settings: what the promises rest on cannot be lost in an edit."""

from __future__ import annotations

import pytest

from sceneshift.messages import TASKS, celery_settings
from sceneshift.settings import Settings
from workers.config import BROKER_TIMEOUT_SECONDS, worker_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("task_ignore_result", True),
        ("worker_prefetch_multiplier", 1),
        ("worker_pool", "threads"),
        ("worker_send_task_events", True),
        ("accept_content", ["json"]),
        ("task_create_missing_queues", False),
        ("broker_connection_max_retries", None),
    ],
)
def test_a_worker_keeps_its_messages_until_they_are_done(name: str, value: object) -> None:
    """Late acknowledgement, no prefetching, JSON only, and a broker that is waited for as long as it takes."""
    assert worker_settings(Settings())[name] == value


def test_there_is_a_queue_per_task() -> None:
    """Named like its task, and no others."""
    assert [(queue.name, queue.routing_key) for queue in worker_settings(Settings())["task_queues"]] == [
        (name, name) for name in TASKS
    ]


def test_a_worker_agrees_with_its_producers() -> None:
    """Whatever a producer is told, a worker is told the same."""
    settings = Settings(redis_url="redis://h/3")
    producer, worker = celery_settings(settings, timeout_seconds=BROKER_TIMEOUT_SECONDS), worker_settings(settings)
    assert {name: worker[name] for name in producer} == producer


def test_a_message_comes_back_later_than_a_lease_ends() -> None:
    """The due index is quicker than the broker's own redelivery, so that the one does not race the other."""
    longest = Settings(lease_seconds=600.0)
    options = worker_settings(longest)["broker_transport_options"]
    assert options["visibility_timeout"] >= longest.lease_seconds


@pytest.mark.parametrize("url", ["redis://h/3", "rediss://h/3", "redis+socket:///run/redis.sock"])
@pytest.mark.parametrize("seconds", [0.7, 4.0])
def test_a_silent_broker_is_waited_for_as_long_as_was_said(url: str, seconds: float) -> None:
    """A caller's patience is short and a worker's is not, over TCP, TLS and a socket alike."""
    options = celery_settings(Settings(broker_url=url), timeout_seconds=seconds)["broker_transport_options"]
    assert options["socket_timeout"] == seconds
