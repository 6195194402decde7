"""Logs of the service: one event per line on standard error, as JSON for machines or in colour for people."""

from __future__ import annotations

import logging
import sys

import structlog
from celery import current_task

QUIET = {"httpx": logging.WARNING, "httpcore": logging.WARNING, "botocore": logging.WARNING, "urllib3": logging.WARNING,
         "celery.worker.strategy": logging.WARNING, "celery.app.trace": logging.WARNING}  # fmt: skip
"""Loggers whose INFO lines repeat what our own events say, or hold URLs."""


def configure_logging(*, log_format: str, log_level: str) -> None:
    """Every logger of this process writes one line per event, with the fields of its `extra`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(log_formatter(log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(max(level, root.level))


def log_formatter(log_format: str) -> logging.Formatter:
    """What makes a line of an event: `json`, or `console` for people."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _add_task,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [_escape_controls, structlog.dev.ConsoleRenderer()]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _escape_controls(
    _logger: logging.Logger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What others wrote moves no cursor in a terminal; tracebacks keep their lines."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)
    return event


def _add_task(_logger: logging.Logger, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if current_task:
        event.setdefault("task_id", current_task.request.id)
    return event
