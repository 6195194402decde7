"""A Celery app that takes its broker from our settings, and from nowhere else.

Celery lets `CELERY_BROKER_URL` (and its `_READ_` and `_WRITE_` forms) win over an app's own configuration. A shop has
that variable for its own Celery, and our messages would go where nobody waits for them.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Connection


class SceneshiftCelery(Celery):
    """Celery, connected to the broker that its configuration names, whatever the environment says."""

    def connection_for_read(self, url: str | None = None, **options: Any) -> Connection:
        return super().connection_for_read(url or self._configured_broker(), **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        return super().connection_for_write(url or self._configured_broker(), **options)

    def _configured_broker(self) -> str:
        return str(self.conf["broker_url"])
