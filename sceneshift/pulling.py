"""Pulling events instead of being sent them: the same values as `verify` gives, in one order over all jobs.

For a consumer that missed everything, or cannot be reached at all. Each event comes with a cursor; who stores the last
one goes on after it, on any machine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.errors import InvalidRequestError, UnknownRecordError
from sceneshift.webhook_bodies import Links, webhook_body
from sceneshift.webhooks import EVENT_TYPES, Event
from sceneshift.webhooks.events import read_event

if TYPE_CHECKING:
    from sceneshift.jobs.record import JobRecord
    from sceneshift.store.event_log import LogEntry
    from sceneshift.store.opening import Store

log = logging.getLogger(__name__)

PULL_MAX = 1000
"""So many events at the most are given at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event of the log; `cursor` is where to go on after it."""

    cursor: str
    event: Event


def pull_events(
    store: Store, after: str | None, *, limit: int, links: Links | None, link_lifetime_seconds: float
) -> list[LoggedEvent]:
    """The events that follow this cursor, the oldest first; links are made now, where there is something to make them.

    What this release does not understand ends the list before it.

    Raises:
        InvalidRequestError: this is no cursor, or the limit is out of range.
        CursorExpiredError: events that followed the cursor are gone.
        UnknownRecordError: a later release wrote the first of them, or its job.
    """
    if not 1 <= limit <= PULL_MAX:
        raise InvalidRequestError(f"limit {limit} must be 1 to {PULL_MAX}", param="limit")
    while entries := store.event_log.read(after, limit=limit):
        if events := _events_of(store, entries, links, link_lifetime_seconds):
            return events
        after = entries[-1].cursor
    return []


def _events_of(
    store: Store, entries: Sequence[LogEntry], links: Links | None, link_lifetime_seconds: float
) -> list[LoggedEvent]:
    """The events of these entries, up to what cannot be understood; those of jobs that are not there are left out."""
    jobs, unknown = _jobs_of(store, entries)
    events: list[LoggedEvent] = []
    for entry in entries:
        if error := unknown.get(entry.job_id) or _unknown_type(entry):
            if not events:
                raise error
            break
        job = jobs.get(entry.job_id)
        if job is None:
            log.warning("events.job_missing", extra={"job_id": entry.job_id, "cursor": entry.cursor})
            continue
        body = json.loads(webhook_body(entry, job, links, link_lifetime_seconds=link_lifetime_seconds))
        events.append(LoggedEvent(cursor=entry.cursor, event=read_event(entry.event_id, body)))
    return events


def _jobs_of(
    store: Store, entries: Sequence[LogEntry]
) -> tuple[Mapping[str, JobRecord], Mapping[str | None, UnknownRecordError]]:
    """The jobs of these events by id, and those that cannot be read."""
    from sceneshift.store.selection import load_jobs  # noqa: PLC0415  # redis is loaded when it is needed

    errors: list[UnknownRecordError] = []
    ids = dict.fromkeys(entry.job_id for entry in entries)
    jobs = {job.id: job for job in load_jobs(store, ids, on_unknown=errors.append)}
    return jobs, {error.job_id: error for error in errors}


def _unknown_type(entry: LogEntry) -> UnknownRecordError | None:
    if entry.type in EVENT_TYPES:
        return None
    what = f"type {entry.type!r}"
    return UnknownRecordError(
        f"this release does not understand an event: it has {what}", job_id=entry.job_id, what=what
    )
