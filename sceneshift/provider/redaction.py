"""Makes what a provider wrote safe to keep: its texts end up in job records, webhooks, logs and terminals."""

from __future__ import annotations

import re
from urllib.parse import unquote

_MESSAGE_LENGTH = 300
_URL = re.compile(r"(?i)\b((?:https?|s3|oss)://)(?:[^\s/?#@\"'<>]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?")

_ESCAPED = re.compile(r"\\+u00([2-7][0-9a-fA-F])")
_ENCODED_URL = re.compile(r"(?i)\b(?:https?|s3|oss)%(?:25)*3a%(?:25)*2f[^\s\"'<>]*")
_ENCODINGS_MAX = 4


class Redactor:
    """Takes this secret, URL credentials and URL queries out of texts, and everything that cannot be printed.

    Presigned URLs carry their signature in the query. A gateway may repeat the credential that it refuses.
    """

    def __init__(self, secret: str) -> None:
        self._secret = re.compile(re.escape(secret), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """The text as one line."""
        return self._secret.sub("[secret]", without_url_secrets(text))

    def lines(self, text: str, *, max_bytes: int) -> str:
        """The text with its line breaks, at most so long in UTF-8; an ellipsis shows that there was more."""
        # The secret goes before the cut, which might leave half of it.
        whole = self._secret.sub("[secret]", text)
        kept = "\n".join(self(line) for line in whole[:max_bytes].splitlines()).encode()
        if len(kept) <= max_bytes and len(whole) <= max_bytes:
            return kept.decode()
        return kept[: max_bytes - len("…".encode())].decode(errors="ignore") + "…"


def without_url_secrets(text: str) -> str:
    """The text as one line, its URLs without credentials and queries."""
    # Unprintable characters go first, and again when more have come to light: one would hide a pattern.
    return _URL.sub(r"\1\2", _printable(_decoded(_printable(text))))


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _decoded(text: str) -> str:
    """The text with the slashes and question marks of its URLs as such, however JSON or another URL writes them."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text.replace("\\/", "/"))
    for _ in range(_ENCODINGS_MAX):
        text = _ENCODED_URL.sub(lambda found: unquote(found[0]), text)
    return text


def clip(text: str, length: int = _MESSAGE_LENGTH) -> str:
    """At most this many characters; an ellipsis shows that there were more."""
    return text if len(text) <= length else text[: length - 1] + "…"
