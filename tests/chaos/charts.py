"""The charts of a storm's page, as SVG text: faults on their lanes, and jobs by state, over the same seconds.

Colours are CSS variables of the page, so that they follow its light and dark mode. All text is escaped here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH = 960
LEFT = 172
RIGHT = 14
LANE = 24
PLOT_HEIGHT = 190
AXIS_HEIGHT = 26
TICKS_MAX = 12
MARK_WIDTH_MIN = 2.0
_STEPS_SECONDS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Seconds across the width of a chart, and when the storm ended."""

    seconds: float
    storm_seconds: float

    def x(self, at: float) -> float:
        """Where this moment is."""
        share = min(max(at / self.seconds, 0.0), 1.0) if self.seconds > 0 else 0.0
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def ticks(self) -> list[int]:
        """The seconds that are named, a dozen at the most."""
        step = next((each for each in _STEPS_SECONDS if self.seconds / each <= TICKS_MAX), 3600)
        return list(range(0, int(self.seconds) + 1, step))

    def svg(self, height: float) -> str:
        """The lines through a plot of this height, and the times under it."""
        parts = []
        for tick in self.ticks():
            x = self.x(tick)
            parts.append(f'<line class="grid" x1="{x}" y1="0" x2="{x}" y2="{height:g}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{height + 17:g}" text-anchor="middle">{moment(tick)}</text>')
        if self.storm_seconds < self.seconds:
            x = self.x(self.storm_seconds)
            parts.append(
                f'<line class="end" x1="{x}" y1="0" x2="{x}" y2="{height:g}"><title>the storm ends</title></line>'
            )
        return "".join(parts)


def moment(seconds: float) -> str:
    """Seconds as minutes and seconds, for people."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def fault_lanes(incidents: Sequence[Mapping[str, Any]], lanes: Sequence[str], axis: TimeAxis) -> str:
    """Each incident on the lane of its fault: a mark where it happened, as long as it lasted."""
    height = LANE * len(lanes)
    counts = {lane: sum(each["fault"] == lane for each in incidents) for lane in lanes}
    rows = [
        f'<text class="lane" x="0" y="{LANE * row + 16}">{escape(lane)}</text>'
        f'<text class="count" x="{LEFT - 12}" y="{LANE * row + 16}" text-anchor="end">{counts[lane]}</text>'
        f'<line class="rule" x1="{LEFT}" y1="{LANE * row + LANE}" x2="{WIDTH - RIGHT}" y2="{LANE * row + LANE}"/>'
        for row, lane in enumerate(lanes)
    ]
    marks = [_mark(axis, each, lanes.index(each["fault"])) for each in incidents if each["fault"] in lanes]
    return _svg("Faults over time", height + AXIS_HEIGHT, axis.svg(height), *rows, *marks)


def _mark(axis: TimeAxis, incident: Mapping[str, Any], row: int) -> str:
    until = incident["at"] if incident["until"] is None else incident["until"]
    left = axis.x(incident["at"])
    width = max(MARK_WIDTH_MIN, round(axis.x(until) - left, 1))
    span = f"{moment(incident['at'])}" + (f" to {moment(until)}" if incident["until"] is not None else "")
    about = ", ".join(filter(None, [f"{incident['fault']} at {span}", str(incident["detail"])]))
    return (
        f'<rect class="mark" x="{left}" y="{LANE * row + 5}" width="{width}" height="{LANE - 9}" rx="1.5">'
        f"<title>{escape(about)}</title></rect>"
    )


def state_areas(name: str, samples: Sequence[Mapping[str, Any]], states: Sequence[str], axis: TimeAxis) -> str:
    """How many jobs were in each of these states, one on top of the other; a gap in the samples is drawn across."""
    heights = [[int(sample.get(state, 0)) for state in states] for sample in samples]
    top = nice_top(max((sum(each) for each in heights), default=0))
    parts = [_level(level, top) for level in sorted({0, top // 2, top})]
    xs, below = [axis.x(sample["at"]) for sample in samples], [0] * len(samples)
    for number, state in enumerate(states):
        above = [base + each[number] for base, each in zip(below, heights, strict=True)]
        if any(each[number] for each in heights):
            parts.append(_area(xs, below, above, top=top, state=state))
        below = above
    return _svg(name, PLOT_HEIGHT + AXIS_HEIGHT, axis.svg(PLOT_HEIGHT), *parts)


def nice_top(most: int) -> int:
    """The end of an axis on which so many fit, and whose half is a whole number: 2, 4, 6, 8, 10, 20, 40, ..."""
    tops = (step * int(10**power) for power in itertools.count() for step in (2, 4, 6, 8, 10))
    return next(top for top in tops if top >= most)


def _level(level: int, top: int) -> str:
    y = _y(level, top)
    return (
        f'<line class="rule" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{level:,}</text>'
    )


def _area(xs: Sequence[float], below: Sequence[int], above: Sequence[int], *, top: int, state: str) -> str:
    upper = [f"{x},{_y(value, top)}" for x, value in zip(xs, above, strict=True)]
    lower = [f"{x},{_y(value, top)}" for x, value in zip(xs, below, strict=True)]
    points = " ".join([*upper, *reversed(lower)])
    return f'<polygon class="area" style="fill:var(--{escape(state)})" points="{points}"/>'


def _y(value: float, top: int) -> float:
    return round(10 + (PLOT_HEIGHT - 10) * (1 - value / top), 1)


def _svg(name: str, height: float, *parts: str) -> str:
    return (
        f'<div class="chart"><svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(name)}">'
        f"{''.join(parts)}</svg></div>"
    )
