"""What a webhook waits for, in one sentence for the person who asks why it has not arrived."""

from __future__ import annotations

import math
from collections.abc import Callable

ClockTime = Callable[[float], str]
"""Unix seconds as a text."""


def waiting_text(  # one sentence for each way of waiting
    status: str,
    *,
    due_at: float | None,
    now: float,
    is_in_line: bool,
    lane_status: str,
    probe_at: float | None,
    clock_time: ClockTime,
) -> str:
    """The sentence; empty for a webhook that waits for nothing because it has ended."""
    if status == "missed" or (status == "pending" and is_in_line):
        if lane_status == "disabled":
            return "its endpoint is disabled; it goes out when somebody enables that"
        if lane_status == "open":
            asked = f"; it is asked again at {clock_time(probe_at)}" if probe_at else ""
            return f"its endpoint is down{asked}"
        return "its turn: its endpoint takes others first"
    if status != "pending":
        return ""
    if due_at is None or math.isinf(due_at):
        return "a worker that looks after it"
    return f"the next try at {clock_time(due_at)}" if due_at > now else "a worker: it is due"
