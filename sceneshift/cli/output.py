"""How commands print: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from sceneshift.errors import SceneshiftError
from sceneshift.snapshots import JobSnapshot


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_table(rows: Sequence[Sequence[object]], headings: Sequence[str]) -> None:
    """Columns as wide as their longest cell, on standard output."""
    cells = [[str(heading) for heading in headings], *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_left_out(error: SceneshiftError) -> None:
    """One thing that a list is without, and why, on standard error."""
    click.echo(f"left out: {error}", err=True)


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def current_user() -> str:
    """Who calls, by name; in a container that knows no names, by number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def clock_time(moment: float | None) -> str | None:
    """Unix seconds as a UTC time of day with its date, for people."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


def snapshot_document(snapshot: JobSnapshot) -> dict[str, Any]:
    """A snapshot as JSON values."""
    return asdict(snapshot)
