"""The doctor's look at messages that were dropped: who else writes into our queues, and what?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

import click

from sceneshift.cli.findings import Finding, fine, warning
from sceneshift.cli.output import clock_time, print_table
from sceneshift.settings import Settings
from sceneshift.store.bad_messages import MEANINGS, BadKind, BadMessages
from sceneshift.store.connection import CALLER, connect
from sceneshift.store.keys import Keys

LATER = "A later release knows."
REMEDY = "docs/how-to/bad-messages.md"


def bad_messages(settings: Settings) -> tuple[list[Finding], list[dict[str, Any]]]:
    """What was dropped of late; nothing when the job store does not answer, which is a finding of its own."""
    try:
        with closing(connect(settings.redis_url.get_secret_value(), CALLER)) as client:
            kinds, since = BadMessages(client, Keys(settings.key_prefix)).kinds()
    except Exception:  # noqa: BLE001  # whatever is wrong with the store, the check of the store says it
        return [], []
    documents = [{**asdict(kind), "meaning": MEANINGS.get(kind.reason, LATER)} for kind in kinds]
    return [messages_finding(kinds, since)], documents


def messages_finding(kinds: Sequence[BadKind], since: float | None) -> Finding:
    """Whether anything but ours came through the queues."""
    if not kinds:
        return fine("messages", "none was dropped of late")
    count, latest = sum(kind.count for kind in kinds), max(kind.latest_at for kind in kinds)
    text = f"{count} dropped since {clock_time(since)} UTC, the latest at {clock_time(latest)} UTC"
    return warning("messages", text, f"find out who writes into the queues: {REMEDY}")


def print_messages(documents: Sequence[Mapping[str, Any]]) -> None:
    """A table of what `bad_messages` found, for people."""
    rows = [(each["count"], each["queue"], each["reason"], each["meaning"]) for each in documents]
    print_table(rows, ("COUNT", "QUEUE", "REASON", "MEANING"))
    click.echo()
    print_table([(each["reason"], each["beginning"]) for each in documents], ("REASON", "THE LATEST BEGINS"))
