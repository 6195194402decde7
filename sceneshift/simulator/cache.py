"""A bounded cache for values that take a thread to make: each is made once, however many ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SharedCache(Generic[K, V]):
    """Keeps the values used last, up to `max_bytes` as `weigh` counts them. Failures are not kept."""

    def __init__(self, make: Callable[[K], Awaitable[V]], *, weigh: Callable[[V], int], max_bytes: int) -> None:
        self._make = make
        self._weigh = weigh
        self._max_bytes = max_bytes
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._kept_bytes = 0
        self._making: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._making:
            self._making[key] = asyncio.create_task(self._make_and_keep(key))
        # Shielded: one caller that goes away must not take the value from the others.
        return await asyncio.shield(self._making[key])

    async def _make_and_keep(self, key: K) -> V:
        try:
            value = await self._make(key)
        finally:
            del self._making[key]
        self._kept[key] = value
        self._kept_bytes += self._weigh(value)
        while self._kept_bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= self._weigh(dropped)
        return value
