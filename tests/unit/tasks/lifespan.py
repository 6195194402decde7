"""A process that is killed at a chosen effect: nothing of it happens afterwards, and nothing of it is cleaned up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from sceneshift.guarded_http import GuardedClient
from sceneshift.messages import Publisher
from sceneshift.provider.protocol import Provider
from sceneshift.store.deliveries import DeliveryStore
from sceneshift.store.due import DueIndex
from sceneshift.store.jobs import JobStore
from sceneshift.store.lanes import Lanes
from sceneshift.store.permits import Permits
from storage.objects import ObjectStore
from tasks.holds import Holds
from tasks.services import Services
from tasks.spool import Spool

EFFECTS: dict[str, tuple[str, ...]] = {
    "jobs": ("load", "transition"),
    "due": ("begin", "claim", "hand_out", "postpone"),
    "deliveries": ("settle",),
    "lanes": ("enter", "leave"),
    "permits": ("reserve_submission", "room_for_bulk", "take_queries"),
    "provider": ("submit", "query"),
    "objects": ("put", "get", "head", "list", "delete"),
    "web": ("peek", "download", "post"),
    "publisher": ("publish",),
    "spool": ("keep", "settle"),
}
"""The methods of each port that reach another process."""


class KilledError(BaseException):
    """Raised in place of what a killed process would have gone on to do; no `except Exception` sees it."""


class Lifespan:
    """Counts the effects of a process, which dies at one of them: just before it took place, or just after."""

    def __init__(self, *, dies_at: int | None = None, after: bool = False) -> None:
        self.effects: list[str] = []
        self._dies_at = dies_at
        self._after = after
        self._dead = False

    def perform(self, name: str, call: Callable[[], Any]) -> Any:
        """What the call returns, as long as the process lives."""
        if self._dead:
            raise KilledError(f"dead before {name}")
        self.effects.append(name)
        self._dead = len(self.effects) == self._dies_at
        if self._dead and not self._after:
            raise KilledError(f"before {name}")
        answer = call()
        if self._dead:
            raise KilledError(f"after {name}")
        return answer


class _Mortal:
    """A port whose effects end with its process."""

    def __init__(self, name: str, port: Any, life: Lifespan) -> None:
        self._name = name
        self._port = port
        self._life = life

    def __getattr__(self, method: str) -> Any:
        member = getattr(self._port, method)
        if method not in EFFECTS[self._name]:
            return member
        name = f"{self._name}.{method}"
        return lambda *arguments, **options: self._life.perform(name, lambda: member(*arguments, **options))


def mortal(services: Services, life: Lifespan) -> Services:
    """The same services as one process has them, with steps that only this process holds."""
    store = services.store
    return replace(
        services,
        store=replace(
            store,
            jobs=cast("JobStore", _Mortal("jobs", store.jobs, life)),
            due=cast("DueIndex", _Mortal("due", store.due, life)),
            deliveries=cast("DeliveryStore", _Mortal("deliveries", store.deliveries, life)),
            lanes=cast("Lanes", _Mortal("lanes", store.lanes, life)),
            permits=cast("Permits", _Mortal("permits", store.permits, life)),
        ),
        provider=cast("Provider", _Mortal("provider", services.provider, life)),
        objects=cast("ObjectStore", _Mortal("objects", services.objects, life)),
        fetcher=cast("GuardedClient", _Mortal("web", services.fetcher, life)),
        publisher=cast("Publisher", _Mortal("publisher", services.publisher, life)),
        holds=Holds(),
        spool=cast("Spool", _Mortal("spool", Spool(services.settings.spool_path), life)),
    )
