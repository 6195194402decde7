"""The steps that this process is at, so that the timekeeper can renew their leases while they run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sceneshift.store.due import Hold


class Holds:
    """A set of held steps that several threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Hold] = set()

    @contextmanager
    def keeping(self, hold: Hold) -> Iterator[None]:
        """The step's lease is renewed as long as this context lasts."""
        with self._lock:
            self._held.add(hold)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(hold)

    def current(self) -> list[Hold]:
        """The steps held at this moment."""
        with self._lock:
            return list(self._held)
