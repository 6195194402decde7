"""Passing verified webhooks on, as they came, to the application that is being written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import click

from sceneshift.webhooks import Event
from sceneshift.webhooks.posting import Endpoint

BAD_GATEWAY = 502
_OF_ONE_CONNECTION = {"host", "connection", "keep-alive", "content-length", "transfer-encoding", "expect"}

Forward = Callable[[Event, bytes, Mapping[str, str]], int]
"""Passes a verified webhook on and returns the status to answer with."""


def forward_to(url: str) -> Forward:
    """Posts each webhook there, in the same bytes, and answers what was answered; 502 when nobody did.

    Raises:
        InvalidRequestError: the text is not a URL.
    """
    endpoint = Endpoint(url)

    def forward(event: Event, body: bytes, headers: Mapping[str, str]) -> int:
        passed_on = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        began = time.monotonic()
        try:
            answer = endpoint.post(body, passed_on)
        except OSError as error:
            click.echo(f"{url}: no answer to {event.id} ({error})", err=True)
            return BAD_GATEWAY
        click.echo(f"{url}: {answer.status} after {(time.monotonic() - began) * 1000:.0f} ms  {event.id}", err=True)
        return answer.status

    return forward


def is_wanted(event_type: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns takes this type; without patterns, every type is wanted."""
    return not patterns or any(fnmatchcase(event_type, pattern) for pattern in patterns)
