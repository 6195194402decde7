"""What is kept of messages that no worker could use: how often each kind came, and the latest of it, cut short.

A kind is a queue and a reason, and there are few of both, so that a flood of garbage fills no store and one kind does
not drive another out. Its connection is without patience: a worker drops bad messages between good ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sceneshift.clock import Clock, RedisClock
from sceneshift.provider.redaction import without_url_secrets
from sceneshift.store.keys import Keys

if TYPE_CHECKING:
    from redis import Redis

KEPT_SECONDS = 7 * 86_400
"""All of it is forgotten so long after the last bad message."""
BEGINNING_CHARACTERS = 200
SINCE = "since"


class Reason(StrEnum):
    """Why a message was dropped."""

    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    ENVELOPE = "envelope"
    CONTENT = "content"
    UNKNOWN_TASK = "unknown_task"
    OPTIONS = "options"
    FOLLOW_UPS = "follow_ups"
    ARGUMENTS = "arguments"
    UNKNOWN_JOB = "unknown_job"
    CONTROL = "control"
    UNFORESEEN = "unforeseen"


MEANINGS: Mapping[str, str] = {
    Reason.TOO_LARGE: "It is longer than 64 KiB.",
    Reason.UNREADABLE: "It is no JSON.",
    Reason.ENVELOPE: "It is JSON, but not what Celery wraps a message in.",
    Reason.CONTENT: "What is wrapped is not plain JSON: pickled, compressed, in another coding, or damaged.",
    Reason.UNKNOWN_TASK: "It is for a task that this service does not have.",
    Reason.OPTIONS: "It asks Celery for what none of our messages asks for, such as a time to run at.",
    Reason.FOLLOW_UPS: "It wants other tasks to be sent when it is done.",
    Reason.ARGUMENTS: "An argument is missing, unknown, or not of the form that it has.",
    Reason.UNKNOWN_JOB: "It is for a job that the job store does not have.",
    Reason.CONTROL: "It is no command of remote control.",
    Reason.UNFORESEEN: "Celery could not take it, for a reason that the worker's log has.",
}
"""Each reason as a sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadMessage:
    """A message that was dropped; `queue` is a name of ours, never one that came with the message."""

    queue: str
    reason: Reason
    size_bytes: int
    beginning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadKind:
    """One kind of bad messages. `latest_at` is unix seconds; `beginning` and `size_bytes` are those of the latest.

    The reason may be one of a later release.
    """

    queue: str
    reason: str
    count: int
    latest_at: float
    size_bytes: int
    beginning: str


class BadMessages:
    """The bad messages of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock | None = None) -> None:
        """Without a clock, it is the server's, by way of this client."""
        self._client = client
        self._keys = keys
        self._clock = clock or RedisClock(client)

    def note(self, message: BadMessage) -> None:
        """The message is counted, and kept in the place of the one before it of its kind."""
        kind, now = f"{message.queue} {message.reason}", self._clock.now()
        latest = {**asdict(message), "beginning": printable(message.beginning), "latest_at": round(now, 3)}
        with self._client.pipeline() as pipeline:
            pipeline.hincrby(self._keys.bad_messages, kind, 1)
            pipeline.hsetnx(self._keys.bad_messages, SINCE, f"{now:.3f}")
            pipeline.hset(self._keys.latest_bad_messages, kind, json.dumps(latest))
            for key in (self._keys.bad_messages, self._keys.latest_bad_messages):
                pipeline.expire(key, KEPT_SECONDS)
            pipeline.execute()

    def kinds(self) -> tuple[list[BadKind], float | None]:
        """Each kind, the most frequent first, and since when they are counted (unix seconds)."""
        counts: dict[str, str] = self._client.hgetall(self._keys.bad_messages)  # type: ignore[assignment]
        latest: dict[str, str] = self._client.hgetall(self._keys.latest_bad_messages)  # type: ignore[assignment]
        since = counts.pop(SINCE, None)
        kinds = [_kind(int(count), latest[kind]) for kind, count in counts.items() if kind in latest]
        return sorted(kinds, key=lambda kind: (-kind.count, kind.queue, kind.reason)), float(since) if since else None


def printable(text: str) -> str:
    """The beginning of a text that a stranger wrote: one line of ASCII, which moves no cursor and shows no password."""
    # Cut before and after: what is behind a long beginning costs nothing, and escapes are longer than characters.
    return ascii(without_url_secrets(text[: 10 * BEGINNING_CHARACTERS]).strip())[1:-1][:BEGINNING_CHARACTERS]


def _kind(count: int, latest: str) -> BadKind:
    document: dict[str, Any] = json.loads(latest)
    return BadKind(count=count, **{name: document[name] for name in BadKind.__slots__ if name != "count"})
