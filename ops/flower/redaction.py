"""What Flower shows of a task, without URLs and secrets.

Task arguments are ids, SKU and step only, so there should be nothing to hide: this is the second lock, for exceptions
and tracebacks of libraries, and for tasks that somebody else puts on the same broker.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

SHOWN_FIELDS = ("args", "kwargs", "result", "exception", "traceback")
LENGTH_MAX_CHARACTERS = 4000

# Order matters: a URL goes as a whole, before the patterns below find pieces of it.
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>]+", re.IGNORECASE), "[URL]"),
    (re.compile(r"\bdata:[\w./+-]+;base64,[\w+/=-]+", re.IGNORECASE), "[data]"),
    (re.compile(r"\bwhsec_[\w+/=-]+"), "[secret]"),
    (re.compile(r"\b(APPCODE|Bearer|Basic)\s+[\w.+/=~-]+", re.IGNORECASE), r"\1 [secret]"),
    (
        re.compile(
            r"([\w-]{0,40}(?:password|passwd|secret|token|app_?code|authorization|signature|api_?key|credentials?)[\w-]{0,40}"
            r"['\"]?\s*[:=]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;&)}\]]+)",
            re.IGNORECASE,
        ),
        r"\1[secret]",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "[secret]"),
    (re.compile(r"\b[0-9a-f]{32,}\b", re.IGNORECASE), "[hex]"),
    (re.compile(r"[A-Za-z0-9+/=]{40,}"), "[data]"),
)

Task = TypeVar("Task")


def redacted(text: str) -> str:
    """The text without URLs, secrets and long encoded data.

    Of a text longer than `LENGTH_MAX_CHARACTERS` the beginning remains, up to the end of a word: half a secret would
    not be recognised.
    """
    cut = len(text) > LENGTH_MAX_CHARACTERS
    if cut:
        text = " ".join(text[:LENGTH_MAX_CHARACTERS].split(" ")[:-1])
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return f"{text[: LENGTH_MAX_CHARACTERS - 4]} […]" if cut else text


def redacted_task(task: Task) -> Task:
    """The same task with its texts redacted. Flower hands over a copy, so what it searches stays as it was."""
    for field in SHOWN_FIELDS:
        value: Any = getattr(task, field, None)
        if value is not None:
            setattr(task, field, redacted(value if isinstance(value, str) else repr(value)))
    return task
