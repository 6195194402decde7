"""`sceneshift webhooks events`: the log of events, for consumers who pull, and for a look at what was told."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import click

from sceneshift.cli.output import clock_time
from sceneshift.client import Client, current_client
from sceneshift.pulling import LoggedEvent

PAGE = 200
PAUSE_SECONDS = 1.0
"""How long `--follow` waits before it asks again."""


@click.command("events")
@click.option("--after", help="The cursor of the last event that was dealt with; without it, from the oldest.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per event on standard output.")
def events(after: str | None, *, follow: bool, as_json: bool) -> None:
    """Print the events of all jobs in their order, each with the cursor that is where to go on after it."""
    if follow:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for logged in _events(current_client(), after, follow=follow):
            click.echo(json.dumps(_document(logged), ensure_ascii=False) if as_json else _line(logged))
    except KeyboardInterrupt:
        if not follow:
            raise


def _events(client: Client, after: str | None, *, follow: bool) -> Iterator[LoggedEvent]:
    while True:
        page = client.events(after=after, limit=PAGE)
        yield from page
        if page:
            after = page[-1].cursor
        elif follow:
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _document(logged: LoggedEvent) -> dict[str, Any]:
    return {"cursor": logged.cursor, "id": logged.event.id, **logged.event.raw}


def _line(logged: LoggedEvent) -> str:
    event, data = logged.event, logged.event.raw["data"]
    moment = clock_time(event.timestamp.timestamp())
    return f"{logged.cursor}  {moment}  {event.type}  {data['job_id']}  {data.get('sku') or ''}".rstrip()
