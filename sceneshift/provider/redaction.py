"""Makes what a provider wrote safe to keep: its texts end up in job records, webhooks, logs and terminals."""

from __future__ import annotations

import re
from collections.abc import Callable

Redact = Callable[[str], str]

_MESSAGE_LENGTH = 300
_URL = re.compile(r"(?i)\b((?:https?|s3|oss)://)(?:[^\s/?#@\"'<>]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?")


def redactor(secret: str) -> Redact:
    """A function that makes any text one printable line without URL credentials, URL queries and this secret.

    Presigned URLs carry their signature in the query. A gateway may repeat the credential that it refuses.
    """
    secret_pattern = re.compile(re.escape(secret), re.IGNORECASE)

    def redact(text: str) -> str:
        # Unprintable characters go first: one inside the secret would hide it from the pattern.
        line = "".join(filter(str.isprintable, " ".join(text.split())))
        return secret_pattern.sub("[secret]", _URL.sub(r"\1\2", line.replace("\\/", "/")))

    return redact


def clip(text: str, length: int = _MESSAGE_LENGTH) -> str:
    """At most this many characters; an ellipsis shows that there were more."""
    return text if len(text) <= length else text[: length - 1] + "…"
