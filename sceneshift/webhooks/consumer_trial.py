"""One receiver on trial: it is sent signed, forged and odd webhooks, and says what it answered and what it did."""

from __future__ import annotations

import base64
import json
import secrets as random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sceneshift import identifiers
from sceneshift.webhooks.payloads import API_VERSION, event_payload, timestamp_text
from sceneshift.webhooks.samples import sample_data
from sceneshift.webhooks.signing import sign

Send = Callable[[bytes, Mapping[str, str]], int]
"""A receiver: it gets the raw body and the headers of a POST, and returns the status that it answers."""

STRANGERS_SECRET = "whsec_" + base64.b64encode(b"\x03" * 32).decode("ascii")
"""Some secret that is not the receiver's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A receiver, its secrets, and two ways to look behind its answers.

    Attributes:
        send: posts to it.
        secret: the one that it knows.
        old_secret: another that it knows while one replaces the other; None when it knows one only.
        acted: how often it has acted on the end of the job with this id; None when nobody can tell.
        state: the state that it believes the job with this id to be in; None when it keeps none.
        answer_within_seconds: how long it may take to answer. A worker waits for 15 s.
    """

    send: Send
    secret: str
    old_secret: str | None = None
    acted: Callable[[str], int] | None = None
    state: Callable[[str], str | None] | None = None
    answer_within_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event to send: its id, its body, and the job that it is about."""

    id: str
    body: bytes
    job_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a receiver did with one POST: a status after some seconds, or an error instead."""

    status: int | None
    seconds: float
    error: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  # what HTTP calls success

    @property
    def is_refused(self) -> bool:
        return self.status is not None and 400 <= self.status < 500  # noqa: PLR2004  # what HTTP calls the caller's error

    def __str__(self) -> str:
        return f"the answer was {self.status}" if self.status is not None else f"it raised {self.error}"


class Trial:
    """Sends to one consumer what a check asks for, each job and each event under ids that nobody has used."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def event(self, type: str = "job.completed", *, job_id: str = "", sequence: int = 1, **changes: Any) -> Sent:  # noqa: A002 - the wire's name
        """A fresh event of a known type; `changes` replace or add fields of its data."""
        now = time.time()
        job_id = job_id or identifiers.new_job_id(now)
        data = {**sample_data(type, occurred_at=now, job_id=job_id, sequence=sequence), **changes}
        return Sent(id=fresh_id(), body=event_payload(type, occurred_at=now, data=data), job_id=job_id)

    def foreign_event(self, type: str, data: Mapping[str, Any], **more: Any) -> Sent:  # noqa: A002 - the wire's name
        """A fresh event of any type, with more fields beside its data."""
        body = {"type": type, "timestamp": timestamp_text(time.time()), "api_version": API_VERSION, "data": data}
        return Sent(id=fresh_id(), body=json.dumps(body | more, separators=(",", ":")).encode())

    def headers(self, event: Sent, *, secrets: Sequence[str] = (), age_seconds: float = 0.0) -> dict[str, str]:
        """The headers of an attempt that was signed so long ago; with the consumer's secret unless told otherwise."""
        timestamp = int(time.time() - age_seconds)
        return sign(
            event.body, webhook_id=event.id, timestamp=timestamp, secrets=secrets or [self.consumer.secret]
        )  # fmt: skip

    def send(self, event: Sent, headers: Mapping[str, str] | None = None) -> Answered:
        """What the consumer does with this event; signed now, with its own secret, unless headers are given."""
        signed = self.headers(event) if headers is None else headers
        started = time.monotonic()
        try:
            given: object = self.consumer.send(event.body, {"content-type": "application/json", **signed})
        except Exception as error:  # noqa: BLE001  # whatever the code on trial raises is what is to be told
            return Answered(status=None, seconds=time.monotonic() - started, error=f"{type(error).__name__}: {error}")
        seconds = time.monotonic() - started
        if not isinstance(given, int):
            wrong = f"TypeError: a status is to be returned, and this was a value of type {type(given).__name__}"
            return Answered(status=None, seconds=seconds, error=wrong)
        return Answered(status=given, seconds=seconds)

    def times_acted(self, event: Sent, *, unknown: int) -> int:
        """How often the consumer has acted on the event's job; `unknown` when nobody can tell."""
        return unknown if self.consumer.acted is None else self.consumer.acted(event.job_id)


def fresh_id() -> str:
    """An event id that no other event has."""
    return f"evt_trial_{random.token_hex(12)}"
