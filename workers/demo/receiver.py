"""The shop's end of the demonstration: a webhook receiver that verifies every signature and counts what it saw."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sceneshift.cli.webhooks.listen import webhook_server
from sceneshift.errors import WebhookVerificationError
from sceneshift.webhooks import Event


@dataclass(slots=True)
class Received:
    """What arrived, by job: verified events by type, and how many requests could not be verified."""

    port: int = 0
    refused: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    events: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, event: Event | None, _error: WebhookVerificationError | None) -> None:
        """One request was made."""
        with self._lock:
            if event is None:
                self.refused += 1
                return
            data = event.raw.get("data", {})
            self.requests[event.id] += 1
            self.events.setdefault(data.get("job_id", ""), {})[event.type] = data

    def of_job(self, job_id: str) -> dict[str, dict[str, Any]]:
        """The verified events of a job, by type."""
        with self._lock:
            return dict(self.events.get(job_id, {}))


@contextmanager
def receiving(secrets: list[str]) -> Iterator[Received]:
    """A receiver on a free port of 127.0.0.1, for as long as the context lasts."""
    received = Received()
    with webhook_server("127.0.0.1", 0, secrets, received.note) as server:
        received.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, name="webhook-receiver", daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
