"""What is kept of the provider's odd answers: how often each came, and the texts of those that nobody could read.

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
KEPT_MAX = 500
"""So many jobs have an unreadable answer of one call kept: 32 MB of submissions' and 1 MB of queries' at the most."""
QUERY_ANSWER_SECONDS = 86_400.0
OTHERS = "other"


class AnswerStore:
    """The odd answers of one deployment."""

    def __init__(self, client: Redis, keys: Keys, *, retention_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._retention_seconds = retention_seconds
        self._keep = load_script(client, "keep_answer")
        self._count = load_script(client, "count_answer")

    def keep(self, job_id: str, text: str, endpoint: Endpoint = Endpoint.SUBMIT) -> None:
        """The unreadable answer is kept, among those of `KEPT_MAX` jobs.

        A submission's, which may hold a paid key, takes the place of an older one, for as long as a finished job is
        kept. A query's takes nobody's, and stays for a day.
        """
        of_query = endpoint is Endpoint.QUERY
        seconds = min(self._retention_seconds, QUERY_ANSWER_SECONDS) if of_query else self._retention_seconds
        self._keep(
            keys=[self._keys.answer(job_id, endpoint), self._keys.kept_answers(endpoint)],
            args=[text, int(seconds * 1000), KEPT_MAX, "first" if of_query else "newest"],
        )

    def kept(self, job_id: str) -> str | None:
        """The job's unreadable answer, a submission's before a query's; None when there is none (any more)."""
        texts: list[str | None] = self._client.mget([self._keys.answer(job_id, each) for each in Endpoint])  # type: ignore[assignment]  # redis-py: maybe awaitable
        return next((text for text in texts if text is not None), None)

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
