"""Moments and spans as people type them: a date, a time, how long ago, or for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _span_seconds(text: str) -> float | None:
    span = re.fullmatch(r"(\d{1,9})([smhd])", text)
    return float(int(span[1]) * _SECONDS[span[2]]) if span else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment in unix seconds, or so many seconds before whatever is now."""

    at: float | None = None
    age_seconds: float = 0.0

    def seconds(self, now: float) -> float:
        """The moment in unix seconds."""
        return now - self.age_seconds if self.at is None else self.at


class SpanType(click.ParamType[float]):
    """A span of time such as `90m`, `24h` and `7d`, in seconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """What was typed, in seconds."""
        seconds = _span_seconds(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a span of time such as 90m, 24h or 7d", param, ctx)
        return seconds


class MomentType(click.ParamType[Moment]):
    """`2026-11-23`, `2026-11-23T10:30` (UTC where no zone is named), or an age such as `90m`, `24h` and `7d`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """What was typed, as a value."""
        text = str(value)
        if (age_seconds := _span_seconds(text)) is not None:
            return Moment(age_seconds=age_seconds)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither a time such as 2026-11-23T10:30 nor an age such as 24h", param, ctx)
        return Moment(at=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
