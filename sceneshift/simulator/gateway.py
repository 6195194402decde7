"""What stands before the provider: the API gateway's checks of AppCode, nonce and size.

A gateway answers for itself, with an empty body and `X-Ca-Error-…` headers; the provider never sees such a call.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

NONCE_WINDOW_SECONDS: Final = 900.0
"""A nonce may be used once within this time."""

BODY_MAX_BYTES: Final = 8 * 1024 * 1024
"""The shared gateway's limit on a request body."""

_SCHEME: Final = "APPCODE "


class GatewayRefusal(Enum):
    """An answer of the gateway itself: HTTP status, its six-character code, its message."""

    APPCODE_MISSING = (400, "A400MA", "Missing Authorization: an AppCode is required")
    APPCODE_WRONG = (400, "A400AC", "Invalid AppCode `not exists`")
    NONCE_MISSING = (400, "I400NC", "X-Ca-Nonce is required")
    NONCE_USED = (403, "S403NU", "Nonce Used")
    NOT_FOUND = (404, "I404NF", "Invalid Url")
    BODY_TOO_LARGE = (413, "I413RL", "Request Body Too Large")

    @property
    def http_status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[1]

    @property
    def message(self) -> str:
        return self.value[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The headers that the gateway looks at."""

    authorization: str | None
    nonce: str | None


class NonceMemory:
    """The nonces of the last 15 minutes, in order of use."""

    def __init__(self) -> None:
        self._used_at: dict[str, float] = {}

    def used(self, nonce: str, *, now: float) -> bool:
        used_at = self._used_at.get(nonce)
        return used_at is not None and now - used_at < NONCE_WINDOW_SECONDS

    def remember(self, nonce: str, *, now: float) -> None:
        self._used_at.pop(nonce, None)
        self._used_at[nonce] = now
        while (oldest := next(iter(self._used_at))) != nonce and now - self._used_at[oldest] >= NONCE_WINDOW_SECONDS:
            del self._used_at[oldest]


def refusal_of(
    credentials: Credentials, *, appcode: str, nonces: NonceMemory, now: float, size_bytes: int
) -> GatewayRefusal | None:
    """Why the gateway would not pass this call on; None when it would. Changes nothing."""
    given = credentials.authorization
    if given is None or not given.startswith(_SCHEME):
        return GatewayRefusal.APPCODE_MISSING
    if not hmac.compare_digest(given.removeprefix(_SCHEME).encode(), appcode.encode()):
        return GatewayRefusal.APPCODE_WRONG
    if not credentials.nonce:
        return GatewayRefusal.NONCE_MISSING
    if nonces.used(credentials.nonce, now=now):
        return GatewayRefusal.NONCE_USED
    if size_bytes > BODY_MAX_BYTES:
        return GatewayRefusal.BODY_TOO_LARGE
    return None
