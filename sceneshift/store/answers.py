"""What is kept of the provider's odd answers: how often each came, and the text of the last that nobody could read.

Its connection is without patience where the store's own has some: none of this is worth holding up a step.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import TYPE_CHECKING

from sceneshift.provider.protocol import Endpoint, NotedAnswer
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

DISTINCT_MAX = 200
"""So many different answers are counted apart; a provider that puts an id into each of its messages fills no store."""
OTHERS = "other"


class AnswerStore:
    """The odd answers of one deployment."""

    def __init__(self, client: Redis, keys: Keys, *, retention_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._retention_seconds = retention_seconds
        self._count = load_script(client, "count_answer")

    def keep(self, job_id: str, text: str) -> None:
        """This is the job's unreadable answer now, for as long as a finished job is kept."""
        self._client.set(self._keys.answer(job_id), text, px=int(self._retention_seconds * 1000))

    def kept(self, job_id: str) -> str | None:
        """The job's last unreadable answer, or None when there is none (any more)."""
        return self._client.get(self._keys.answer(job_id))  # type: ignore[return-value]  # redis-py: maybe awaitable

    def count(self, answer: NotedAnswer) -> bool:
        """The answer is counted; returns whether it has never been seen before."""
        entry = json.dumps(astuple(answer), ensure_ascii=False, separators=(",", ":"))
        return bool(self._count(keys=[self._keys.provider_answers], args=[entry, OTHERS, DISTINCT_MAX]))

    def counts(self) -> tuple[dict[NotedAnswer, int], int]:
        """How often each answer came, the most frequent first; and how often all those that are not counted apart."""
        entries: dict[str, str] = self._client.hgetall(self._keys.provider_answers)  # type: ignore[assignment]
        others = int(entries.pop(OTHERS, "0"))
        counts = {_answer_of(entry): int(count) for entry, count in entries.items()}
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], astuple(pair[0])))), others


def _answer_of(entry: str) -> NotedAnswer:
    endpoint, http_status, code, message = json.loads(entry)
    return NotedAnswer(endpoint=Endpoint(endpoint), http_status=http_status, code=code, message=message)
