"""How our workers run: the producers' settings and what only the consuming side needs."""

from __future__ import annotations

from typing import Any

from kombu import Queue

from sceneshift.messages import TASKS, celery_settings
from sceneshift.settings import Settings

CONCURRENCY = 16
BROKER_TIMEOUT_SECONDS = 4.0


def worker_settings(settings: Settings) -> dict[str, Any]:
    """Celery's configuration for a worker.

    The work is waiting for HTTP, so threads; Celery enforces no time limits there, and every client has its own.
    """
    return {
        **celery_settings(settings, timeout_seconds=BROKER_TIMEOUT_SECONDS),
        "task_queues": [Queue(name, routing_key=name) for name in TASKS],
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_consumer": "workers.message_guard:GuardedConsumer",
        "worker_pool": "threads",
        "worker_concurrency": CONCURRENCY,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_soft_shutdown_timeout": 20.0,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_limit": CONCURRENCY + 4,
    }
