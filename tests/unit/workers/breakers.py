"""A breaker that a test opens and closes."""

from __future__ import annotations

from dataclasses import replace

from sceneshift.store.breaker import CLOSED, Breaker, BreakerState
from tests.unit.workers.office import Office


class ScriptedBreaker(Breaker):
    """In the state that the test has set."""

    def __init__(self, office: Office) -> None:
        store = office.store
        super().__init__(store.client, store.keys, store.clock)
        self.current = CLOSED
        self.looks = 0
        office.employ(replace(store, breaker=self))

    def state(self) -> BreakerState:
        self.looks += 1
        return self.current

    def opens(self, *, until: float | None = None, lets_one_through: bool = False) -> None:
        self.current = BreakerState(
            is_open=True,
            blocked_by="provider_unavailable",
            until=until,
            since=0.0,
            lets_one_through=lets_one_through,
        )

    def closes(self) -> None:
        self.current = CLOSED
