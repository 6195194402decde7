"""What is remembered of one attempt at a webhook, for people who ask why it did not arrive."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

EXCERPT_BYTES = 512
"""So much of an answer is kept: enough for an error message, too little for a page."""

_QUERY = re.compile(r"(\bhttps?:(?:\\?/){2}[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: when it began (unix seconds), which one it was, what came of it, and how long it took.

    `outcome` is the status code, or a word for what went wrong; `answer` is the beginning of what came back, as text.
    """

    at: float
    number: int
    outcome: str
    latency_ms: int
    answer: str = ""

    def to_json(self) -> str:
        """One line for the store."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Attempt:
        """The attempt of a stored line; what a later release has added is left out.

        Raises:
            ValueError: this is no such line.
        """
        try:
            stored = json.loads(text)
            return cls(
                at=float(stored["at"]),
                number=int(stored["number"]),
                outcome=str(stored["outcome"]),
                latency_ms=int(stored["latency_ms"]),
                answer=str(stored.get("answer", "")),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not the line of an attempt") from error


def excerpt(body: bytes) -> str:
    """The first bytes of an answer as text that a terminal and a log can show.

    What is no UTF-8 is replaced, control characters are escaped, and URLs lose their queries, which may be signatures.
    """
    # Cut after the URLs were cleaned: a cut in the middle of a query must not leave a half of it.
    text = _QUERY.sub(r"\1", body[: 4 * EXCERPT_BYTES].decode(errors="replace"))
    shown = text.encode()[:EXCERPT_BYTES].decode(errors="ignore")
    return "".join(character if character.isprintable() else _escaped(character) for character in shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
