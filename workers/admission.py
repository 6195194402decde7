"""Which due steps are published now, and which are put off: by an open breaker, a long queue, urgent jobs, or a rate.

Of copies that are due at once, those come first whose result URLs end first.

What is put off waits at the due index, where it costs nothing and where urgent jobs pass it, and its record says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sceneshift.jobs.gates import IN_FLIGHT
from sceneshift.store.due import BACKLOG, BROKER, LANE, QUERY_RATE, DueStep
from sceneshift.store.opening import Store
from workers.backlog import FRESH_SECONDS, BeginRates, admit, pause_for_backlog, pause_for_room
from workers.parking import UNLIMITED_PER_SECOND, Line, Parking, PutOff

log = logging.getLogger(__name__)

PUBLISH_RETRY_SECONDS = 2.0
LANE_SECONDS = 1.0
"""So soon a job that urgent ones or a lack of slots stopped is looked at again."""
SLOT_LOOKS_APART_SECONDS = 0.02
"""When all slots are taken, those that wait for one look one after the other."""

FILLED_SLOWLY = frozenset({"sceneshift.submit"})
"""Callers publish urgent jobs to this queue themselves: what comes from here must not stand in front of them."""

STORING = "sceneshift.finalize"
SLOWEST_COPIES_PER_SECOND = 10.0
"""Copies that found no room come back at this rate at least, however little the fleet had to do lately."""

QueueLength = Callable[[str], int]
Sorted = tuple[list[DueStep], list[PutOff]]
"""What goes on, and what does not."""


def earliest_expiry_first(steps: list[DueStep]) -> list[DueStep]:
    """The steps in the order in which their result URLs end.

    The URLs of one provider live equally long from the moment at which it has finished, so that moment orders them. It
    needs no reading of URLs, whose forms differ and which need not say when they end.
    """
    return sorted(steps, key=lambda step: step.rendered_at)


class Admission:
    """The gates of one timekeeper."""

    def __init__(
        self, *, store: Store, queue_length: QueueLength, rates: BeginRates, monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._queue_length = queue_length
        self._rates = rates
        self._monotonic = monotonic
        self._parking = Parking(store, monotonic)
        self._line = Line()
        self._broker_quiet_until = float("-inf")

    def sort(self, task: str, steps: list[DueStep]) -> Sorted:
        """The steps of one task that are published now, and those that are put off."""
        if task == "sceneshift.poll":
            steps, behind_queue = self._by_queue(task, steps)
            steps, over_rate = self._by_query_rate(steps)
            return steps, [*behind_queue, *over_rate]
        if task in FILLED_SLOWLY:
            parked = self._parking.sort(steps)
            steps, put_off = self._by_queue(task, parked.through) if parked.through else ([], [])
            return [*parked.probe, *steps], [*parked.put_off, *put_off]
        if task == STORING:
            return self._by_expiry(task, steps)
        return self._by_queue(task, steps)

    def _by_expiry(self, task: str, steps: list[DueStep]) -> Sorted:
        """Copies whose result URLs end first, as many as their queue has room for; the others come back in this order.

        What stands in the queue is taken in its order, so it is kept short: otherwise, after an outage of the store,
        URLs that live for an hour would be copied while those that live for a minute stand behind them.
        """
        length, begun_per_second = self._length(task), self._rates.per_second(task)
        lease_seconds = self._store.due.lease_seconds
        admission = admit(
            queue_length=length, begun_per_second=begun_per_second, lease_seconds=lease_seconds, filled_slowly=True
        )
        steps = earliest_expiry_first(steps)
        ready = [step for step in steps if admission.waiting or not step.waiting][: admission.fresh]
        chosen = {step.subject_id for step in ready}
        rest = [step for step in steps if step.subject_id not in chosen]
        if not rest:
            return ready, []
        pause_seconds = PUBLISH_RETRY_SECONDS
        if length is not None:
            pause_seconds = pause_for_room(length, begun_per_second, lease_seconds)
        apart_seconds = 1 / max(begun_per_second, SLOWEST_COPIES_PER_SECOND)
        why = BROKER if length is None else BACKLOG
        return ready, [PutOff(steps=rest, blocked_by=why, pause_seconds=pause_seconds, apart_seconds=apart_seconds)]

    def _by_queue(self, task: str, steps: list[DueStep]) -> Sorted:
        """What the task's queue takes: nothing twice while its first message may still be in there."""
        fresh = [step for step in steps if not step.waiting]
        waiting = [step for step in steps if step.waiting]
        filled_slowly = task in FILLED_SLOWLY
        if not waiting and not filled_slowly:
            return fresh, []
        length, begun_per_second = self._length(task), self._rates.per_second(task)
        lease_seconds = self._store.due.lease_seconds
        admission = admit(
            queue_length=length,
            begun_per_second=begun_per_second,
            lease_seconds=lease_seconds,
            filled_slowly=filled_slowly,
        )
        why = BROKER if length is None else BACKLOG
        put_off: list[PutOff] = []
        if filled_slowly:
            pause_seconds = PUBLISH_RETRY_SECONDS
            if length is not None:
                pause_seconds = pause_for_room(length, begun_per_second, lease_seconds)
            fresh, put_off = self._by_room(fresh, admission.fresh or 0, why, pause_seconds)
        if not waiting or admission.waiting:
            return [*waiting, *fresh], put_off
        pause_seconds = PUBLISH_RETRY_SECONDS
        if length is not None:
            pause_seconds = pause_for_backlog(length, begun_per_second, lease_seconds)
        return fresh, [*put_off, PutOff(steps=waiting, blocked_by=why, pause_seconds=pause_seconds)]

    def _by_room(self, fresh: list[DueStep], room: int, why: str, pause_seconds: float) -> Sorted:
        """First submissions, as many as their queue and the permits have room for.

        First come those that somebody was at before. They get their permits where they use them, each with a moment of
        its own; or they hold one already, and must be looked after because their worker is dead.
        """
        fresh = sorted(fresh, key=lambda step: step.is_new)
        fresh, excess = fresh[:room], fresh[room:]
        put_off = [self._in_line(excess, why, pause_seconds)] if excess else []
        new = [step for step in fresh if step.is_new]
        room = self._store.permits.room_for_bulk(len(new), within_seconds=FRESH_SECONDS) if new else 0
        if room < len(new):
            put_off.append(self._in_line(new[room:], LANE, LANE_SECONDS))
        return fresh[: len(fresh) - len(new) + room], put_off

    def _in_line(self, steps: list[DueStep], why: str, pause_seconds: float) -> PutOff:
        """They come back no faster than they can be used, or at least than they can be looked at."""
        limits = self._store.permits.effective()
        if why == LANE and limits.max_in_flight is not None:
            why = IN_FLIGHT if self._store.permits.in_flight() >= limits.max_in_flight else LANE
        if limits.submit_rate:
            apart_seconds = 1 / limits.submit_rate
            return PutOff(steps=steps, blocked_by=why, pause_seconds=pause_seconds, apart_seconds=apart_seconds)
        now = self._store.clock.now()
        apart_seconds = SLOT_LOOKS_APART_SECONDS if why == IN_FLIGHT else 1 / UNLIMITED_PER_SECOND
        first_at = self._line.join(len(steps), at=now + pause_seconds, apart_seconds=apart_seconds)
        return PutOff(steps=steps, blocked_by=why, pause_seconds=first_at - now, apart_seconds=apart_seconds)

    def _by_query_rate(self, steps: list[DueStep]) -> Sorted:
        """The questions that may be asked now."""
        if not steps:
            return [], []
        taken, wait_seconds = self._store.permits.take_queries(len(steps))
        if taken >= len(steps):
            return steps, []
        apart_seconds = 1 / (self._store.permits.effective().query_rate or 1.0)
        put_off = PutOff(
            steps=steps[taken:], blocked_by=QUERY_RATE, pause_seconds=wait_seconds, apart_seconds=apart_seconds
        )
        return steps[:taken], [put_off]

    def _length(self, task: str) -> int | None:
        """The queue's length as it was a moment ago, or None when the broker does not say."""
        if self._monotonic() < self._broker_quiet_until:
            return None
        try:
            return self._queue_length(task)
        except Exception as error:  # noqa: BLE001  # a broker that cannot be asked cannot be published to either
            log.warning("timekeeper.broker_away", extra={"error": type(error).__name__})
            self._broker_quiet_until = self._monotonic() + PUBLISH_RETRY_SECONDS
            return None
