"""Webhooks of one endpoint, taken and settled by hand, on a clock that stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from sceneshift import identifiers
from sceneshift.clock import ManualClock
from sceneshift.jobs.attempts import Attempt
from sceneshift.jobs.delivery_schedule import AttemptOutcome, judge
from sceneshift.jobs.lanes import LaneKind, in_flight_limits
from sceneshift.store.deliveries import Delivery, Settled, Settlement, delivery_of
from sceneshift.store.due import Hold
from sceneshift.store.lanes import Entry, LaneOutcome
from sceneshift.store.opening import Store
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place

LANE = "url_0123456789abcdef"
URL = "https://shop.example/hooks"

TAKEN = AttemptOutcome(summary="204", status=204)
REFUSED = AttemptOutcome(summary="500", status=500)
BUSY = AttemptOutcome(summary="503", status=503)
SILENT = AttemptOutcome(summary="fetch_timeout", unreachable=True)
GONE = AttemptOutcome(summary="410", status=410)


@dataclass
class Outbox:
    """The outbox of one endpoint; `taken_at` has each delivery that was let in, in its order."""

    store: Store
    threads: int = 16
    lane_id: str = LANE
    holds: dict[str, Hold] = field(default_factory=dict)

    @property
    def clock(self) -> ManualClock:
        return cast("ManualClock", self.store.clock)

    def event(self) -> str:
        """Something has happened to a job just now; returns the delivery's id."""
        job = place(self.store, SITUATIONS["rendering"].evolve(id=identifiers.new_job_id(self.clock.now())))
        change = self.store.jobs.transition(job, EVENTS["rendering failed"])
        assert change is not None
        return change.deliveries[0].id

    def events(self, count: int) -> list[str]:
        """So many events, each a second after the one before it."""
        ids = []
        for _ in range(count):
            ids.append(self.event())
            self.clock.advance(1.0)
        return ids

    def load(self, delivery_id: str) -> Delivery:
        """The delivery as it is stored."""
        return delivery_of(self.store.client.hgetall(self.store.keys.delivery(delivery_id)))  # type: ignore[arg-type]  # redis-py: maybe awaitable

    def take(self, delivery_id: str) -> Hold:
        """A worker has taken the delivery's current step."""
        step = self.load(delivery_id).step
        self.store.client.hincrby(self.store.keys.delivery(delivery_id), "fence", 1)
        taken = self.store.due.begin(delivery_id, step, "sceneshift.notify")
        assert taken.is_taken
        return Hold(subject_id=delivery_id, step=step, fence=int(taken.fields["fence"]))

    def enter(self, delivery_id: str) -> Entry:
        """A worker has taken it and asks its lane."""
        hold = self.holds[delivery_id] = self.take(delivery_id)
        occurred_at = self.load(delivery_id).occurred_at
        limits: dict[LaneKind, int] = in_flight_limits(self.threads)
        return self.store.lanes.enter(hold, self.lane_id, occurred_at=occurred_at, limits=limits)

    def settle(self, delivery_id: str, outcome: AttemptOutcome = TAKEN, *, seconds: float = 0.1) -> Settled:
        """The attempt that took so long has come to this."""
        delivery, now = self.load(delivery_id), self.clock.now()
        restarts = delivery.status == "missed" and self.store.lanes.get(self.lane_id).status == "closed"
        verdict = judge(delivery_id, 0 if restarts else delivery.tries, outcome)
        settlement = Settlement(
            status=verdict.status,
            attempt=Attempt(at=now, number=delivery.attempts + 1, outcome=outcome.summary, latency_ms=100),
            counted_as=outcome.counted_as,
            due_at=None if verdict.pause_seconds is None else now + verdict.pause_seconds,
            tries_used_up=verdict.tries_used_up,
            restarts=restarts,
        )
        lane = LaneOutcome(
            lane_id=self.lane_id,
            result=outcome.lane_result,
            last_status=outcome.summary,
            latency_seconds=seconds,
            limits=in_flight_limits(self.threads),
            url=URL,
            disable=outcome.disables,
        )
        settled = self.store.deliveries.settle(delivery, settlement, lane)
        assert settled is not None
        return settled

    def attempt(self, delivery_id: str, outcome: AttemptOutcome = TAKEN, *, seconds: float = 0.1) -> Settled:
        """It is let in, and comes to this."""
        entry = self.enter(delivery_id)
        assert entry.may_go, entry
        return self.settle(delivery_id, outcome, seconds=seconds)

    def waits(self, delivery_id: str) -> str:
        """What it waits for when it asks now; empty when it is let in."""
        return self.enter(delivery_id).waits_for

    def due_in(self, delivery_id: str) -> float:
        """The seconds until it is looked at; infinite when by nobody."""
        due_at = self.store.due.due_at(delivery_id)
        assert due_at is not None
        return due_at - self.clock.now()

    def open(self) -> list[str]:
        """Three events have failed, so that the endpoint is only probed from now on; returns them.

        By their own schedule they come back after a minute.
        """
        ids = []
        for _ in range(3):
            ids.append(self.event())
            self.attempt(ids[-1], BUSY)
            self.clock.advance(1.0)
        assert self.store.lanes.get(self.lane_id).status == "open"
        return ids
