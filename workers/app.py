"""The Celery app: `celery -A workers.app worker`. What runs where is in `workers/config.py`."""

from __future__ import annotations

from pathlib import Path

from celery.signals import setup_logging, worker_init

import storage
import tasks
from sceneshift.celery_app import SceneshiftCelery
from sceneshift.messages import TASKS
from sceneshift.settings import current_settings
from workers import broker_guard, message_guard
from workers.bootsteps import TimekeeperStep
from workers.config import worker_settings
from workers.control_guard import GuardedControl
from workers.logging import configure_logging

ROOT = Path(__file__).resolve().parent.parent

# `tasks` and `storage` are common names. A stray distribution that ships its own would be imported in our place, so
# refuse to start instead of half-working.
for package in (storage, tasks):
    if package.__file__ is None or ROOT not in Path(package.__file__).resolve().parents:
        raise ImportError(
            f"{package.__name__!r} was imported from {package.__file__}, not from {ROOT}: "
            f"start the worker with PYTHONPATH={ROOT}"
        )

broker_guard.install()

app = SceneshiftCelery(
    "sceneshift", include=[name.replace("sceneshift.", "tasks.") for name in TASKS], control=GuardedControl
)
app.conf.update(worker_settings(current_settings()))
app.steps["worker"].add(TimekeeperStep)


@worker_init.connect
def _guard_messages(**_arguments: object) -> None:
    # In workers only: Flower and Celery's commands import this app too, and take messages of other kinds.
    message_guard.install()


@setup_logging.connect
def _set_up_logging(**_arguments: object) -> None:
    settings = current_settings()
    configure_logging(log_format=settings.log_format, log_level=settings.log_level)
