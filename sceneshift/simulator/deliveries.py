"""How an answer goes onto the wire: whole, or in one of the ways in which networks and servers fail.

These are values; `wire` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Whole:
    """As HTTP wants it."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection is closed before the first byte of an answer."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing more is sent, until the caller gives up."""


@dataclass(frozen=True, slots=True)
class CutShort:
    """The connection is closed after this share of the body, although its whole length was announced."""

    share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Dripping:
    """The body comes in pieces of this size, with pauses between them."""

    piece_bytes: int
    pause_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """The body, then zeros until so many bytes were sent; `announced` says whether their number comes first."""

    size_bytes: int
    announced: bool


Delivery = Whole | Dropped | Silent | CutShort | Dripping | Padded
