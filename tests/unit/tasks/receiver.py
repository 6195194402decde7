"""A receiver of webhooks that is down for as long as a test says, and the days that pass meanwhile, without waiting."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import pytest

from sceneshift import identifiers
from sceneshift.fetch_errors import FetchFailedError
from sceneshift.guarded_http import Answer
from sceneshift.jobs.record import JobRecord
from sceneshift.messages import message_for_due
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.tasks.ports import Post, answer
from tests.unit.tasks.workshop import Workshop
from workers.lane_keeper import LaneKeeper

LOOK_SECONDS = 3600.0
"""A keeper looks more often; what is told does not depend on it."""


@dataclass
class Receiver:
    """The endpoint of a workshop: down until `up_from`, then it takes everything; `arrived` has what it took."""

    work: Workshop
    up_from: float
    arrived: list[tuple[float, Post]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work.web.on_post = self._react
        self._keeper = LaneKeeper(self.work.services)

    def _react(self, post: Post) -> Answer:
        now = self.work.clock.now()
        if now < self.up_from:
            raise FetchFailedError("shop.example: nobody is there")
        self.arrived.append((now, post))
        return answer(204)

    @property
    def event_ids(self) -> list[str]:
        """What arrived, in its order."""
        return [post.headers["webhook-id"] for _, post in self.arrived]

    def event(self) -> str:
        """Something happens to a job now; returns the event's id."""
        job_id = identifiers.new_job_id(self.work.clock.now())
        job = place(self.work.store, replaced(SITUATIONS["rendering"], job_id))
        change = self.work.store.jobs.transition(job, EVENTS["rendering failed"])
        assert change is not None
        return change.deliveries[0].event_id

    def run(self, seconds: float) -> None:
        """So much time passes: whatever falls due is done, and a keeper looks now and then."""
        clock, store = self.work.clock, self.work.store
        end = clock.now() + seconds
        while clock.now() < end:
            until = min(end, clock.now() + LOOK_SECONDS)
            while (due_at := self._next_due()) <= until:
                clock.advance(max(0.0, due_at - clock.now()))
                for step in store.due.hand_out(store.due.claim(100)):
                    self.work.run(message_for_due(step))
            clock.advance(until - clock.now())
            self._keeper.look()

    def _next_due(self) -> float:
        entries = self.work.store.client.zrange(self.work.store.keys.due, 0, 0, withscores=True)
        return float(entries[0][1]) if entries else float("inf")


def replaced(job: JobRecord, job_id: str) -> JobRecord:
    """The same job under another id."""
    return replace(job, id=job_id)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    """What the operators were told of failing endpoints, in its order."""
    return [
        (record.getMessage().removeprefix("webhook.endpoint_"), record.__dict__["percent"])
        for record in caplog.records
        if record.getMessage().startswith("webhook.endpoint_") and record.levelno >= logging.WARNING
    ]
