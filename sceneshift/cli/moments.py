"""Moments as people type them: a date, a time, or how long ago."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment in unix seconds, or so many seconds before whatever is now."""

    at: float | None = None
    age_seconds: float = 0.0

    def seconds(self, now: float) -> float:
        """The moment in unix seconds."""
        return now - self.age_seconds if self.at is None else self.at


class MomentType(click.ParamType[Moment]):
    """`2026-11-23`, `2026-11-23T10:30` (UTC where no zone is named), or an age such as `90m`, `24h` and `7d`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """What was typed, as a value."""
        text = str(value)
        if age := re.fullmatch(r"(\d{1,9})([smhd])", text):
            return Moment(age_seconds=float(int(age[1]) * _SECONDS[age[2]]))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither a time such as 2026-11-23T10:30 nor an age such as 24h", param, ctx)
        return Moment(at=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
