"""The broker in a simulation: messages as Celery writes them, which are lost, repeated, delayed and reordered.

Only the last step is ours: what Celery would hand to its transport is put into a heap, and what a worker would take
from there is given to Celery's own tracer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import Celery
from celery.app.trace import build_tracer
from kombu.exceptions import OperationalError
from kombu.serialization import dumps, loads

import tasks.finalize
import tasks.notify
import tasks.poll
import tasks.submit
from sceneshift.celery_app import SceneshiftCelery
from sceneshift.messages import TASKS
from sceneshift.settings import Settings
from tests.faults.kernel import Kernel, KilledError, Process
from workers.config import worker_settings

MODULES = (tasks.submit, tasks.poll, tasks.finalize, tasks.notify)
AT_ONCE_MAX = 6
"""So many tasks run in one worker at a time."""
NOBODY_SECONDS = 0.5
"""When no worker can take a message, it is offered again so much later."""


@dataclass(slots=True)
class Carriage:
    """How messages travel: shares from 0 to 1, and seconds."""

    lost: float = 0.0
    repeated: float = 0.0
    refused: float = 0.0
    """The broker does not take it, and the publisher hears so."""
    delay_seconds: float = 0.0
    """The mean time on the way."""
    late: float = 0.0
    """The share that takes a hundred times as long."""
    returns: float = 1.0
    """What a killed worker was at is handed out again, or lost."""
    returns_after_seconds: float = 5.0


@dataclass(slots=True, eq=False)
class Broker:
    """All queues of one deployment."""

    kernel: Kernel
    settings: Settings
    carriage: Carriage = field(default_factory=Carriage)
    workers: Callable[[], list[Process]] = list
    before_task: Callable[[Process], None] = lambda _process: None
    waiting: Counter[str] = field(default_factory=Counter)
    captured: list[bytes] = field(default_factory=list)
    """Every message as it lay in a queue."""
    app: Celery = field(init=False)
    _flushes: int = 0

    def __post_init__(self) -> None:
        self.app = simulated_app(self)

    def take(self, name: str, message: Any, **_options: Any) -> None:
        """Celery has something to send."""
        self.kernel.effect(f"broker {name}", lambda: self._put(name, message))

    def _put(self, name: str, message: Any) -> None:
        headers, _properties, body, _event = message
        chance, carriage = self.kernel.random, self.carriage
        if chance.random() < carriage.refused:
            self.kernel.counts["message refused"] += 1
            raise OperationalError("the simulated broker is away")
        content_type, encoding, text = dumps(body, serializer="json")
        envelope = json.dumps({"headers": headers, "body": text}, default=str)
        self.captured.append(envelope.encode())
        copies = 1
        if chance.random() < carriage.lost:
            self.kernel.counts["message lost"] += 1
            copies = 0
        elif chance.random() < carriage.repeated:
            self.kernel.counts["message repeated"] += 1
            copies = chance.randint(2, 4)
        for _ in range(copies):
            self._send(name, (json.loads(envelope)["headers"], text, content_type, encoding), self._travel_seconds())

    def _travel_seconds(self) -> float:
        mean, chance = self.carriage.delay_seconds, self.kernel.random
        if not mean:
            return 0.0
        seconds = chance.expovariate(1 / mean)
        if chance.random() < self.carriage.late:
            self.kernel.counts["message late"] += 1
            seconds *= 100
        return seconds

    def _send(self, name: str, letter: tuple[dict[str, Any], str, str, str], seconds: float) -> None:
        self.waiting[name] += 1
        flushes = self._flushes

        def arrive() -> None:
            if flushes != self._flushes:
                return
            ready = [worker for worker in self.workers() if worker.activities < AT_ONCE_MAX]
            if not ready:
                self.kernel.at(self.kernel.now + NOBODY_SECONDS, arrive)
                return
            self.waiting[name] -= 1
            worker = self.kernel.random.choice(ready)
            self.kernel.start(worker, lambda: self._execute(worker, name, letter))

        self.kernel.at(self.kernel.now + seconds, arrive)

    def _execute(self, worker: Process, name: str, letter: tuple[dict[str, Any], str, str, str]) -> None:
        headers, text, content_type, encoding = letter
        arguments, keywords, _embedded = loads(text, content_type, encoding, accept={"json", content_type})
        task_id = str(headers["id"])
        self.kernel.note(f"{worker.name} takes {task_id}")
        self.before_task(worker)
        try:
            self._tracers[name](task_id, arguments, keywords, request_of(headers, arguments, keywords))
        except KilledError:
            if self.kernel.random.random() < self.carriage.returns:
                self._send(name, letter, self.carriage.returns_after_seconds)
            else:
                self.kernel.counts["message lost with its worker"] += 1
            raise

    @property
    def _tracers(self) -> Mapping[str, Any]:
        return TRACERS

    def flush(self) -> None:
        """Whatever was on its way is gone."""
        self.kernel.counts["broker flushed"] += 1
        self.kernel.note("broker flushed")
        self._flushes += 1
        self.waiting.clear()


def request_of(headers: Mapping[str, Any], arguments: Any, keywords: Any) -> dict[str, Any]:
    """What a worker knows of a message that it takes."""
    return {
        **headers,
        "args": arguments,
        "kwargs": keywords,
        "delivery_info": {"routing_key": headers["task"], "exchange": "", "priority": 0, "redelivered": False},
        "reply_to": "",
        "correlation_id": headers["id"],
        "hostname": "simulated",
        "called_directly": False,
    }


class _Hub:
    """Where the one Celery app of all simulations sends its messages: to the broker of the world that is running."""

    current: Broker | None = None


HUB = _Hub()
TRACERS: dict[str, Any] = {}
_APPS: dict[str, Celery] = {}


def simulated_app(broker: Broker) -> Celery:
    """The workers' app, made once, whose messages go to this broker from now on."""
    if not _APPS:
        app = SceneshiftCelery("simulated", set_as_current=False)
        configuration = worker_settings(broker.settings)
        configuration.update(broker_url="memory://", broker_transport_options={}, task_send_sent_event=False)
        app.conf.update(configuration)
        app.finalize()
        app.amqp.send_task_message = _send  # type: ignore[misc]  # the one step that is simulated
        for name in TASKS:
            TRACERS[name] = build_tracer(name, app.tasks[name], app=app)
        _APPS["workers"] = app
    HUB.current = broker
    return _APPS["workers"]


def _send(_producer: Any, name: str, message: Any, **options: Any) -> None:
    assert HUB.current is not None, "a world is running"
    HUB.current.take(name, message, **options)
