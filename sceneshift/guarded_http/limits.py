"""What one exchange may take: its time, its bytes on the wire, and how slowly they may come.

All three are kept where the bytes arrive, below the HTTP parser, so that it does not matter whether a server spins out
its headers, its interim answers, the frames between the chunks of a body, or the body itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

HEAD_MAX_BYTES = 256 * 1024
"""What may come before the body: interim answers and headers. httpcore allows 100 KiB for the headers alone."""

FRAMING_MAX_BYTES = 64 * 1024
FRAMING_RATIO = 2
"""A body may take so many times its limit on the wire, and the bytes above more: chunks of a few bytes do not fit."""

SLOW_WINDOW_SECONDS = 30.0
"""Long enough to connect, to wait for a server that thinks for as long as one read may take, and to begin."""

SLOWEST_BYTES_PER_SECOND = 1000.0
"""Over each such window. An image of 2 MB that comes in the default 120 seconds comes seventeen times as fast."""


class WireLimitError(OSError):
    """Raised when more came than the answer's limit allows on the wire."""


class ExchangeTime:
    """What is left of the time of the exchange that this thread has started."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._thread = threading.local()

    def start(self, seconds: float) -> None:
        """A new exchange has so many seconds in all."""
        self._thread.ends_at = self._monotonic() + seconds

    def left(self, at_most: float | None) -> float:
        """Seconds until the exchange must be over, bounded by the limit of one step.

        Raises:
            TimeoutError: it must be over by now.
        """
        left: float = self._thread.ends_at - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left if at_most is None else min(left, at_most)


@dataclass(slots=True)
class _Flow:
    bytes_left: int
    window_began_at: float
    window_bytes: int = 0


class ExchangeLimits(ExchangeTime):
    """What is left of the time and the bytes of the exchange that this thread has started, and how fast they come."""

    def start(self, seconds: float) -> None:
        """A new exchange has so many seconds in all, and the bytes of a head."""
        super().start(seconds)
        self._thread.flow = _Flow(bytes_left=HEAD_MAX_BYTES, window_began_at=self._monotonic())

    def expect_body(self, max_bytes: int) -> None:
        """The head is in: a body of this limit may follow, with what frames it."""
        self._thread.flow.bytes_left += FRAMING_RATIO * max_bytes + FRAMING_MAX_BYTES

    def received(self, size_bytes: int) -> None:
        """So many bytes have come.

        Raises:
            WireLimitError: they are too many.
            TimeoutError: over the last window they were too few.
        """
        flow: _Flow = self._thread.flow
        if not size_bytes:
            # The other side has ended, and whether that was too early is for the parser to say.
            return
        flow.bytes_left -= size_bytes
        if flow.bytes_left < 0:
            raise WireLimitError(0, "more bytes than the answer may have")
        flow.window_bytes += size_bytes
        now = self._monotonic()
        elapsed_seconds = now - flow.window_began_at
        if elapsed_seconds >= SLOW_WINDOW_SECONDS:
            if flow.window_bytes < SLOWEST_BYTES_PER_SECOND * elapsed_seconds:
                raise TimeoutError
            flow.window_began_at, flow.window_bytes = now, 0
