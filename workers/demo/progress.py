"""The demonstration's live progress: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_EVERY_SECONDS = 2.0
PHASES = ("submitted", "rendered", "stored", "notified")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs have come through each phase."""

    submitted: int = 0
    rendered: int = 0
    stored: int = 0
    notified: int = 0


class Display(Protocol):
    """Shows progress."""

    def say(self, text: str) -> None:
        """A sentence stands on standard error."""
        ...

    def show(self, counts: Counts) -> None:
        """The progress stands on standard error."""
        ...


class Bars:
    """One bar per phase."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {phase: progress.add_task(phase, total=total) for phase in PHASES}

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, counts: Counts) -> None:
        for phase, bar in self._bars.items():
            self._progress.update(bar, completed=getattr(counts, phase))


class Lines:
    """A line when something has changed, at most every two seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._last = Counts()
        self._next_at = 0.0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # this is what the command is for

    def show(self, counts: Counts) -> None:
        finished = counts.notified == self._total
        if counts == self._last or (time.monotonic() < self._next_at and not finished):
            return
        self._last, self._next_at = counts, time.monotonic() + PLAIN_EVERY_SECONDS
        parts = ", ".join(f"{phase} {getattr(counts, phase)}" for phase in PHASES)
        self.say(f"  of {self._total}: {parts}")


@contextmanager
def display(total: int) -> Iterator[Display]:
    """Bars when standard error is a terminal, lines when it is not."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(total)
        return
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield Bars(progress, total)
