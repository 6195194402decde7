"""What can be chosen about a simulated provider, in one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sceneshift.errors import ConfigurationError

MaskKeeps = Literal["white", "black"]

API_PREFIX: Final = "/api/v1/bg-rep"
"""Where the two endpoints live; the part of the provider's URL that clients configure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How one simulated provider behaves; the defaults make a prompt, faultless one.

    Attributes:
        appcode: the one AppCode that the gateway accepts.
        seed: makes durations, failures and drawn image seeds repeat in the order of submission. Keys and request ids
            are always new, so that a restarted simulator never gives out a key twice.
        median_seconds: how long half of all tasks with 50 steps and one image take at the most.
        failure_rate: the share of accepted tasks that end as FAILED, from 0 to 1.
        result_lifetime_seconds: how long a result URL works after the query that gave it.
        retention_seconds: how long a `result_key` is known after its submission.
        mask_keeps: the colour that marks the product in a mask; the provider's document does not say which.
        catalogue: a directory that is served under `/catalogue/`.
    """

    appcode: str = "simulator-appcode"
    seed: int = 0
    median_seconds: float = 8.0
    failure_rate: float = 0.0
    result_lifetime_seconds: float = 3600.0
    retention_seconds: float = 86_400.0
    mask_keeps: MaskKeeps = "white"
    catalogue: Path | None = None

    def __post_init__(self) -> None:
        if not self.appcode or not self.appcode.isascii() or self.appcode != self.appcode.strip():
            raise ConfigurationError("appcode: give ASCII characters without surrounding spaces")
        for name in ("median_seconds", "result_lifetime_seconds", "retention_seconds"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigurationError(f"{name}: {getattr(self, name)} is not a number of seconds from 0 up")
        if not 0 <= self.failure_rate <= 1:
            raise ConfigurationError(f"failure_rate: {self.failure_rate} is not between 0 and 1")
        if self.mask_keeps not in {"white", "black"}:
            raise ConfigurationError(f"mask_keeps: {self.mask_keeps!r} is neither white nor black")
        if self.catalogue is not None and not self.catalogue.is_dir():
            raise ConfigurationError(f"catalogue: {self.catalogue} is not a directory")
