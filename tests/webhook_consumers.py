"""Receivers of webhooks, one that does right and others that each make one common mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sceneshift.webhooks import Event, WebhookVerificationError, verify
from sceneshift.webhooks.events import JobEvent
from tests.webhook_material import OLD_SECRET, SECRET

FINAL = {"succeeded", "partial", "failed", "cancelled"}


@dataclass(kw_only=True)
class GoodConsumer:
    """Verifies the raw body, acts on an event once, and lets no older event overwrite a newer state."""

    secrets: Sequence[str] = (SECRET, OLD_SECRET)
    tolerance_seconds: float = 300
    seen: set[str] = field(default_factory=set)
    acts: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            event = verify(self.text_of(body), headers, self.secrets, tolerance_seconds=self.tolerance_seconds)
        except WebhookVerificationError:
            return 401
        if not self.is_duplicate(event):
            self.act_on(event)
        return 204

    def text_of(self, body: bytes) -> bytes:
        return body

    def is_duplicate(self, event: Event) -> bool:
        if event.id in self.seen:
            return True
        self.seen.add(event.id)
        return False

    def act_on(self, event: Event) -> None:
        if not isinstance(event, JobEvent):
            return
        job = event.data
        if self.is_news(job.job_id, job.sequence):
            self.sequences[job.job_id] = job.sequence
            self.states[job.job_id] = job.state
            if job.state in FINAL:
                self.acts.append(job.job_id)

    def is_news(self, job_id: str, sequence: int) -> bool:
        return sequence > self.sequences.get(job_id, 0)

    def acted(self, job_id: str) -> int:
        return self.acts.count(job_id)


class VerifiesDumpedAgain(GoodConsumer):
    """Its framework parses the body, and it dumps it again as the sender does: most bodies survive that."""

    def text_of(self, body: bytes) -> bytes:
        try:
            return json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode()
        except ValueError:
            return body


class VerifiesDumpedWithSpaces(GoodConsumer):
    """Its framework parses the body, and it dumps it again as Python does by itself: no body survives that."""

    def text_of(self, body: bytes) -> bytes:
        return json.dumps(json.loads(body)).encode()


class NeverDeduplicates(GoodConsumer):
    """Acts on every delivery."""

    def is_duplicate(self, event: Event) -> bool:  # noqa: ARG002  # that is the mistake
        return False

    def is_news(self, job_id: str, sequence: int) -> bool:
        return sequence >= self.sequences.get(job_id, 0)


class TrustsTheOrder(GoodConsumer):
    """Believes that the event that came last happened last."""

    def is_news(self, job_id: str, sequence: int) -> bool:  # noqa: ARG002  # that is the mistake
        return True
