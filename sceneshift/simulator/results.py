"""Result pictures: their addresses, which expire, and their bytes, which are drawn when somebody first asks.

An address carries its expiry and a seal over it, as object stores presign theirs: nothing has to be remembered.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

import anyio

from sceneshift.simulator.cache import SharedCache
from sceneshift.simulator.config import MaskKeeps
from sceneshift.simulator.rendering.composite import render_png
from sceneshift.simulator.rendering.recipe import Quality, Recipe
from sceneshift.simulator.sources import SourceImage

_KEPT_MAX_BYTES: Final = 96 * 1024 * 1024
_RENDERINGS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOrder:
    """All that a result picture depends on: equal orders give equal bytes."""

    image: SourceImage
    mask: SourceImage
    mask_keeps: MaskKeeps
    recipe: Recipe
    quality: Quality


class AddressSeal:
    """Makes and checks the query part of result addresses, with a secret that lives as long as this process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def seal(self, path: str, *, expires_at: int) -> str:
        return f"{path}?expires={expires_at}&signature={self._signature(path, str(expires_at))}"

    def opens(self, path: str, *, expires: str, signature: str, now: float) -> bool:
        """Whether this process gave out this address and its time is not over."""
        genuine = hmac.compare_digest(signature.encode(), self._signature(path, expires).encode())
        return genuine and now < int(expires)

    def _signature(self, path: str, expires: str) -> str:
        return hashlib.blake2b(f"{path}\n{expires}".encode(), key=self._secret, digest_size=16).hexdigest()


class ResultGallery:
    """Draws result pictures, a few at once, and keeps the ones fetched last."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_RENDERINGS_AT_ONCE)
        self._pictures = SharedCache(self._draw, weigh=len, max_bytes=_KEPT_MAX_BYTES)

    async def png(self, order: RenderOrder) -> bytes:
        return await self._pictures.get(order)

    async def _draw(self, order: RenderOrder) -> bytes:
        return await anyio.to_thread.run_sync(_render, order, limiter=self._limiter)


def _render(order: RenderOrder) -> bytes:
    return render_png(
        order.image.content, order.mask.content, keeps=order.mask_keeps, recipe=order.recipe, quality=order.quality
    )
