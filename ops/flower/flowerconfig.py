"""Flower's options, as plain Python: `celery -A workers.app flower --conf=ops/flower/flowerconfig.py`.

Flower takes every global name here that is one of its options. What this file sets wins over `FLOWER_*` variables, so
those that may differ from place to place are read from the same variables here; all other options (`FLOWER_PORT`,
`FLOWER_URL_PREFIX`, …) work as Flower documents them.
"""

from __future__ import annotations

import os
from pathlib import Path

from ops.flower.redaction import redacted_task


def _credentials() -> list[str]:
    """The `user:password` pairs of FLOWER_BASIC_AUTH or of the file FLOWER_BASIC_AUTH_FILE, separated by commas.

    Flower is open to everybody without one, so there is no default.
    """
    text = os.environ.get("FLOWER_BASIC_AUTH", "")
    if not text and (path := os.environ.get("FLOWER_BASIC_AUTH_FILE")):
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise SystemExit(f"flower: FLOWER_BASIC_AUTH_FILE cannot be read ({type(error).__name__})") from None
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    if not pairs or not all(user and colon and password for user, colon, password in (p.partition(":") for p in pairs)):
        raise SystemExit("flower: set FLOWER_BASIC_AUTH to user:password, or FLOWER_BASIC_AUTH_FILE to a file with it")
    return pairs


def _switch(name: str, *, default: bool) -> bool:
    text = os.environ.get(name, "").lower()
    if text not in {"", "true", "1", "yes", "false", "0", "no"}:
        raise SystemExit(f"flower: {name} is {text!r}; it may be true or false")
    return default if not text else text in {"true", "1", "yes"}


def _count(name: str, *, default: int) -> int:
    text = os.environ.get(name, "")
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise SystemExit(f"flower: {name} is {text!r}; it may be a whole number above 0")
    return int(text) if text else default


basic_auth = _credentials()

# Revoking a task or ending a worker from here would only make the timekeeper drive the step again.
read_only = _switch("FLOWER_READ_ONLY", default=True)

# kwargs hold job_id, sku and step: one search finds one job's chain.
tasks_columns = "name,uuid,state,kwargs,result,received,started,runtime,retries,worker"
format_task = redacted_task
natural_time = True

# 5 to 7 KB of memory per task: the job store is the history, Flower shows the last hours.
max_tasks = _count("FLOWER_MAX_TASKS", default=20_000)
max_workers = 500
purge_offline_workers = 3600  # seconds

# With a file, the tasks of before a restart are still shown. Each save writes the whole state.
db = os.environ.get("FLOWER_DB") or "flower"
persistent = bool(os.environ.get("FLOWER_DB"))
state_save_interval = 60_000 if persistent else 0  # milliseconds
