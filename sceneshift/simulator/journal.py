"""The latest exchanges, for the page that a developer looks at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TEXT_MAX_CHARACTERS: Final = 256
"""What is shown of a key or an address: whole keys are shorter, and foreign texts may be of any length."""

_KEPT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One call, and what it was told.

    Attributes:
        number: counts all calls, so that a reader can tell which are new.
        time: unix seconds on the simulator's clock.
        exchange: `submit`, `query` or `download`.
        http_status: 0 when the caller got no status.
        said: the code and text of an error, the tasks' statuses, the type of what is no envelope, or `nothing`.
        result_key: which one it was about, if any, shortened.
        scenario: which one it met, if any.
    """

    number: int
    time: float
    exchange: str
    http_status: int
    said: str
    result_key: str | None
    scenario: str | None


def shortened(text: str) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= TEXT_MAX_CHARACTERS else f"{text[: TEXT_MAX_CHARACTERS - 1]}…"


class Journal:
    """Keeps the last 200 entries."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=_KEPT)
        self._count = 0

    def write(
        self, *, time: float, exchange: str, http_status: int, said: str, result_key: str | None, scenario: str | None
    ) -> None:
        self._count += 1
        self._entries.append(
            JournalEntry(
                number=self._count,
                time=time,
                exchange=exchange,
                http_status=http_status,
                said=said,
                result_key=result_key and shortened(result_key),
                scenario=scenario,
            )
        )

    def latest(self) -> Iterator[JournalEntry]:
        """The newest first."""
        return reversed(self._entries)
