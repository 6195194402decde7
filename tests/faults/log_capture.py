"""What the code of a simulated world logs: kept line by line as a worker writes it, or not made at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from workers.logging import QUIET, log_formatter


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(log_formatter("json"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def logged(lines: list[str] | None) -> Iterator[None]:
    """Inside, every event of a worker's usual level becomes a line of `lines`; with None, nobody takes that time."""
    root = logging.getLogger()
    if lines is None:
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
        return
    loggers = {name: logging.getLogger(name) for name in QUIET}
    levels, level = {name: logger.level for name, logger in loggers.items()}, root.level
    handler = _Lines(lines)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name, logger in loggers.items():
        logger.setLevel(QUIET[name])
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for name, logger in loggers.items():
            logger.setLevel(levels[name])
