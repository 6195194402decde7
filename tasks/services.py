"""What the steps work with, made once per process and given to them as one value."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sceneshift.clock import elapsed
from sceneshift.errors import ConfigurationError
from sceneshift.guarded_http import GuardedClient
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.unknown_outcomes import ClockReadings
from sceneshift.messages import CeleryPublisher, Publisher
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import Provider
from sceneshift.settings import Settings, current_settings
from sceneshift.store.connection import SERVICE
from sceneshift.store.opening import Store, open_job_store
from sceneshift.webhooks.signing import secret_key
from storage.decoding import ImageDecoder, open_decoder
from storage.objects import ObjectStore
from storage.opening import open_store
from tasks.holds import Holds, hang_seconds
from tasks.spill import Spill
from tasks.spool import Spool
from tasks.thread_shares import DEFAULT_THREADS, ThreadShares

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The ports of the steps: job store, provider, object store, HTTP to the outside, a decoder, and messages."""

    settings: Settings
    policy: Policy
    store: Store
    provider: Provider
    objects: ObjectStore
    fetcher: GuardedClient
    decoder: ImageDecoder
    publisher: Publisher
    holds: Holds
    spool: Spool
    spill: Spill
    shares: ThreadShares = field(default_factory=ThreadShares)
    monotonic: Callable[[], float] = elapsed
    """Seconds of this machine, for how late a request may be sent."""
    wall_clock: Callable[[], float] = time.time
    """This machine's unix time, for whether the job store's can be true."""

    def read_clocks(self) -> ClockReadings:
        """The job store's clock, read anew, and this machine's."""
        return ClockReadings(store=self.store.clock.read(), machine=self.wall_clock())


def open_services(settings: Settings, app: Celery | None = None, *, threads: int = DEFAULT_THREADS) -> Services:
    """The real services that the settings name; clients connect when they are first used. `threads` work with them.

    Raises:
        ConfigurationError: a setting that a worker needs is missing or wrong.
    """
    return Services(
        settings=settings,
        policy=Policy.from_settings(settings),
        store=open_job_store(settings, patience=SERVICE),
        provider=BgRepProvider.from_settings(settings),
        objects=open_store(settings.storage_url),
        fetcher=GuardedClient(allow_hosts=settings.allow_hosts),
        decoder=open_decoder(max_bytes=settings.result_max_bytes, max_pixels=settings.result_max_pixels),
        publisher=CeleryPublisher(settings, app),
        holds=Holds(hang_seconds(settings)),
        spool=Spool(settings.spool_path),
        spill=Spill(settings.spill_path, max_bytes=settings.spill_max_bytes),
        shares=ThreadShares(threads),
    )


_lock = threading.Lock()
_services: Services | None = None


def provide_services(services: Services) -> None:
    """The steps of this process work with these."""
    global _services  # noqa: PLW0603  # one set of connections per process is the point
    with _lock:
        _services = services


def current_services() -> Services:
    """This process's services, made from the environment on first use."""
    global _services  # noqa: PLW0603
    with _lock:
        if _services is None:
            _services = open_services(current_settings())
        return _services


def check_worker_settings(settings: Settings) -> None:
    """A worker could start with these settings.

    Raises:
        ConfigurationError: one is missing or malformed; the text names it.
    """
    for name in ("provider_url", "provider_appcode"):
        if getattr(settings, name) is None:
            raise ConfigurationError(
                f"SCENESHIFT_{name.upper()} is not set: a worker cannot reach the provider without it"
            )
    for name in ("webhook_secret", "webhook_endpoint_key"):
        for secret in getattr(settings, name):
            try:
                secret_key(secret.get_secret_value())
            except ConfigurationError as error:
                raise ConfigurationError(f"SCENESHIFT_{name.upper()}: {error.message}") from None
    open_store(settings.storage_url)
    Spool(settings.spool_path).check()
    Spill(settings.spill_path, max_bytes=settings.spill_max_bytes).check()
