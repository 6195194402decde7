"""The log of events: what happened to all jobs, in one order, for whoever would rather ask than be told.

`advance.lua` writes it together with the change that an event tells of, whether or not anybody gets a webhook. An entry
is named by its moment and its number, and that name is the cursor of whoever has read so far. Numbers have no gaps, so
a reader who was away for too long is told so instead of missing events in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sceneshift import identifiers
from sceneshift.errors import CursorExpiredError, InvalidRequestError, UnknownRecordError
from sceneshift.jobs.change import EventDraft
from sceneshift.jobs.record import JobFault
from sceneshift.store.keys import Keys
from sceneshift.webhooks import timestamp_text

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

PAGE = 200
"""So many entries are read with one round trip by who looks back."""

_CURSOR = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")
_Row = tuple[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One event of a job, as it was at its moment; `cursor` is where a reader goes on after it."""

    cursor: str
    job_id: str
    type: str
    sequence: int
    state: str
    occurred_at: float
    error: JobFault | None

    @property
    def event_id(self) -> str:
        return identifiers.event_id(self.job_id, self.sequence)


class _Place(NamedTuple):
    milliseconds: int
    number: int


def log_fields(event: EventDraft, job_id: str) -> list[str]:
    """The entry of an event, as the alternating fields and values that the script stores."""
    fields = {"job": job_id, "type": event.type, "sequence": str(event.sequence), "state": str(event.state)}
    if event.error:
        fields["error"] = event.error.to_text()
    return [part for pair in fields.items() for part in pair]


class EventLog:
    """The events of all jobs, for as long as finished jobs are kept."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock, *, retention_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._retention_seconds = retention_seconds

    def read(self, after: str | None, *, limit: int) -> list[LogEntry]:
        """The events that follow this cursor, at most so many; without a cursor, the oldest that are still there.

        Raises:
            InvalidRequestError: this is no cursor.
        UnknownRecordError: a later release wrote one of them in another form.
            CursorExpiredError: events that followed it are gone, or this store has never had it.
        """
        if after is None:
            return [_entry_of(row) for row in self._rows(self._oldest(), limit)]
        place = _place_of(after)
        rows = self._rows(after, limit + 1)
        if rows and rows[0][0] == after:
            following = rows[1:]
        elif rows and _place_of(rows[0][0]).number == place.number + 1:
            following = rows[:limit]
        else:
            raise self._expired(after)
        if following and _place_of(following[0][0]).milliseconds < self._kept_since():
            raise self._expired(after)
        return [_entry_of(row) for row in following]

    def newest(self, since: float) -> Iterator[LogEntry]:
        """The events since this moment (unix seconds), the latest first; those that cannot be read are left out."""
        end, start = "+", f"{max(int(since * 1000), self._kept_since())}-0"
        while rows := self._rows_down(end, start):
            for row in rows:
                with suppress(UnknownRecordError):
                    yield _entry_of(row)
            end = f"({rows[-1][0]}"

    def _rows_down(self, end: str, start: str) -> list[_Row]:
        rows: list[_Row] = self._client.xrevrange(self._keys.events, end, start, count=PAGE)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return rows

    def _kept_since(self) -> int:
        """Unix milliseconds. What is older may be there, because whole blocks are dropped, but its job may not."""
        return max(int((self._clock.now() - self._retention_seconds) * 1000), 0)

    def _oldest(self) -> str:
        return f"{self._kept_since()}-0"

    def _rows(self, start: str, limit: int) -> list[_Row]:
        rows: list[_Row] = self._client.xrange(self._keys.events, start, "+", count=limit)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return rows

    def _expired(self, after: str) -> CursorExpiredError:
        oldest = self._rows(self._oldest(), 1)
        if not oldest:
            return CursorExpiredError(f"the events that followed {after} are gone, and none has happened since")
        milliseconds, number = _place_of(oldest[0][0])
        cursor = f"{milliseconds}-{number - 1}"
        return CursorExpiredError(
            f"the events that followed {after} are gone: the oldest that is still there is of "
            f"{timestamp_text(milliseconds / 1000)}. Go on without a cursor, or from {cursor}, and ask for the "
            f"jobs that you have missed",
            oldest_cursor=cursor,
        )


def _place_of(cursor: str) -> _Place:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidRequestError(f"{cursor[:40]!r} is not a cursor that came with an event", param="after")
    return _Place(int(found[1]), int(found[2]))


def _entry_of(row: _Row) -> LogEntry:
    cursor, fields = row
    try:
        return LogEntry(
            cursor=cursor,
            job_id=fields["job"],
            type=fields["type"],
            sequence=int(fields["sequence"]),
            state=fields["state"],
            occurred_at=int(fields.get("at") or cursor.partition("-")[0]) / 1000,
            error=JobFault.from_text(fields.get("error")),
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"a part of another form ({type(error).__name__})"
        text = f"this release does not understand the event {cursor}: it has {what}"
        raise UnknownRecordError(text, job_id=fields.get("job"), what=what) from error
