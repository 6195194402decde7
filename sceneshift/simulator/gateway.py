"""What stands before the provider: the API gateway's checks of AppCode, nonce, size and rate.

A gateway answers for itself, with an empty body and `X-Ca-Error-…` headers; the provider never sees such a call.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sceneshift.simulator.config import Gateway, SimulatorConfig
from sceneshift.simulator.gateway_forms import FORMS, GatewayForm

NONCE_WINDOW_SECONDS: Final = 900.0
"""A nonce may be used once within this time."""

BODY_MAX_BYTES: Final = 8 * 1024 * 1024
"""The shared gateway's limit on a request body."""

_SCHEME: Final = "APPCODE "


class Refusal(Enum):
    """Why the gateway does not pass a call on: its form on classic instances, and on newer ones."""

    APPCODE_MISSING = ("classic-unauthorized", "vpc-a400ma")
    APPCODE_WRONG = ("classic-invalid-appcode", "vpc-a400ac")
    NONCE_MISSING = ("classic-nonce-missing", "vpc-i400nc")
    NONCE_USED = ("classic-nonce-used", "vpc-s403nu")
    NOT_FOUND = ("classic-invalid-url", "vpc-i404nf")
    BODY_TOO_LARGE = ("classic-invalid-body", "vpc-i413rl")
    THROTTLED = ("classic-throttled-by-app", "vpc-t429pa")

    def form(self, gateway: Gateway) -> GatewayForm:
        classic, vpc = self.value
        return FORMS[classic if gateway == "classic" else vpc]


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

    def forget(self) -> None:
        """As after a restart of the gateway."""
        self._used_at.clear()


class FrontDoor:
    """The checks before a call is worked on, in the gateway's order; a call that passes has used up its nonce."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.nonces = NonceMemory()
        self._appcode = config.appcode
        self._check = config.nonces

    def refusal(self, given: Credentials, *, now: float, size_bytes: int) -> Refusal | None:
        """Why this call goes no further; None when it does."""
        if given.authorization is None or not given.authorization.startswith(_SCHEME):
            return Refusal.APPCODE_MISSING
        if not hmac.compare_digest(given.authorization.removeprefix(_SCHEME).encode(), self._appcode.encode()):
            return Refusal.APPCODE_WRONG
        if size_bytes > BODY_MAX_BYTES:
            return Refusal.BODY_TOO_LARGE
        return self._nonce_refusal(given.nonce, now)

    def _nonce_refusal(self, nonce: str | None, now: float) -> Refusal | None:
        if self._check == "ignored":
            return None
        if not nonce:
            return Refusal.NONCE_MISSING
        if self._check == "enforced":
            if self.nonces.used(nonce, now=now):
                return Refusal.NONCE_USED
            self.nonces.remember(nonce, now=now)
        return None
