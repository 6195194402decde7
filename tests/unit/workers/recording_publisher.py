"""A publisher that keeps what it is given instead of sending it."""

from __future__ import annotations

from collections.abc import Sequence

from sceneshift.messages import StepMessage


class RecordingPublisher:
    """Says of every call that it went well, or that it did not."""

    def __init__(self, *, working: bool = True) -> None:
        self.working = working
        self.messages: list[StepMessage] = []
        self.calls: list[list[StepMessage]] = []

    def publish(self, messages: Sequence[StepMessage]) -> bool:
        self.calls.append(list(messages))
        self.messages += messages
        return self.working

    @property
    def task_ids(self) -> list[str]:
        return [message.task_id for message in self.messages]
