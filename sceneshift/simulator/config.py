"""What can be chosen about a simulated provider, in one frozen value.

Where the provider's document is damaged, the choice between its readings is made here: a client must work with all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from sceneshift.errors import ConfigurationError
from sceneshift.simulator.rendering.recipe import Quality

MaskKeeps = Literal["white", "black"]
Reading = Literal["A", "B"]
Gateway = Literal["classic", "vpc"]
NonceCheck = Literal["enforced", "ignored", "forgotten"]
ThrottledBy = Literal["provider", "gateway"]

API_PREFIX: Final = "/api/v1/bg-rep"
"""Where the two endpoints live; the part of the provider's URL that clients configure."""

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "mask_keeps": get_args(MaskKeeps),
    "reading": get_args(Reading),
    "gateway": get_args(Gateway),
    "nonces": get_args(NonceCheck),
    "throttled_by": get_args(ThrottledBy),
    "quality": get_args(Quality),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How one simulated provider behaves; the defaults make a prompt, faultless one.

    Attributes:
        appcode: the one AppCode that the gateway accepts.
        seed: makes durations, failures, faults and drawn image seeds repeat in the order of the calls. Keys and request
            ids are always new, so that a restarted simulator never gives out a key twice.
        median_seconds: how long half of all tasks with 50 steps and one image take at the most.
        failure_rate: the share of accepted tasks that end as FAILED, from 0 to 1.
        result_lifetime_seconds: how long a result URL works after the query that gave it.
        retention_seconds: how long a `result_key` is known after its submission.
        mask_keeps: the colour that marks the product in a mask; the provider's document does not say which.
        catalogue: a directory that is served under `/catalogue/`; a text becomes a path.
        reading: which code goes with which message; in A, success itself is 23500000.
        gateway: the generation that answers; only `vpc` sends `X-Ca-Error-Code`.
        nonces: `enforced` takes each once in 15 minutes; `ignored` does not look at them; `forgotten` demands one and
            has lost its memory of those that were used, so that a repeated submission is charged again.
        credits: how many items may be accepted; None is without end.
        submit_rate: submissions per second beyond which calls are throttled; None is without limit.
        query_rate: the same for queries.
        max_running: unfinished tasks beyond which submissions are throttled; None is without limit.
        throttled_by: who says so. The provider's own answer has a body, the gateway's has headers only.
        retry_after_seconds: what a throttled answer gives as `Retry-After`; None leaves the header out.
        quality: `draft` draws plain scenes, three to seven times as fast, for load tests.
        scenarios: rules such as `submit-accept-then-drop=0.02`; see `sceneshift.simulator.scenarios.rules`.
    """

    appcode: str = "simulator-appcode"
    seed: int = 0
    median_seconds: float = 8.0
    failure_rate: float = 0.0
    result_lifetime_seconds: float = 3600.0
    retention_seconds: float = 86_400.0
    mask_keeps: MaskKeeps = "white"
    catalogue: Path | str | None = None
    reading: Reading = "B"
    gateway: Gateway = "vpc"
    nonces: NonceCheck = "enforced"
    credits: int | None = None
    submit_rate: float | None = None
    query_rate: float | None = None
    max_running: int | None = None
    throttled_by: ThrottledBy = "provider"
    retry_after_seconds: float | None = None
    quality: Quality = "full"
    scenarios: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (is_legal, what) in _LEGAL.items():
            value = getattr(self, name)
            if not (is_legal(value) or (value is None and name in _OPTIONAL)):
                raise ConfigurationError(f"{name}: {value!r} is not {what}")
        # Frozen for others: a path and a tuple, whatever was given for them.
        object.__setattr__(self, "scenarios", tuple(self.scenarios))
        if self.catalogue is not None:
            object.__setattr__(self, "catalogue", Path(self.catalogue))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any, low: float, high: float = sys.float_info.max) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_appcode(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value.isascii() and value == value.strip()


Legal = tuple[Callable[[Any], bool], str]
_OPTIONAL: Final = {"catalogue", "credits", "submit_rate", "query_rate", "max_running", "retry_after_seconds"}
_SECONDS: Final[Legal] = (lambda value: _is_number(value, 0), "a number of seconds from 0 up")
_RATE: Final[Legal] = (lambda value: _is_number(value, sys.float_info.min), "a number of calls per second above 0")
_COUNT: Final[Legal] = (lambda value: _is_whole(value) and value >= 0, "a whole number from 0 up")


def _one_of(choices: tuple[str, ...]) -> Legal:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


_LEGAL: Final[dict[str, Legal]] = {
    "appcode": (_is_appcode, "a text of ASCII characters without surrounding spaces"),
    "seed": (_is_whole, "a whole number"),
    "median_seconds": _SECONDS,
    "failure_rate": (lambda value: _is_number(value, 0, 1), "a number from 0 to 1"),
    "result_lifetime_seconds": _SECONDS,
    "retention_seconds": _SECONDS,
    "catalogue": (
        lambda value: isinstance(value, str | os.PathLike) and value != "" and Path(value).is_dir(),
        "a directory",
    ),
    "credits": _COUNT,
    "submit_rate": _RATE,
    "query_rate": _RATE,
    "max_running": _COUNT,
    "retry_after_seconds": _SECONDS,
    "scenarios": (
        lambda value: isinstance(value, list | tuple) and all(isinstance(rule, str) for rule in value),
        "a list of rules",
    ),
    **{name: _one_of(choices) for name, choices in _CHOICES.items()},
}
"""What each setting may be, and how that is called."""
