"""The lanes: which delivery may go to its endpoint now, what an endpoint's health is, and who waits for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sceneshift.jobs.delivery_schedule import LaneResult, spread
from sceneshift.jobs.lanes import (
    LANE_KEPT_SECONDS,
    OPEN_AFTER_FAILURES,
    PROBE_FIRST_SECONDS,
    PROBE_MAX_SECONDS,
    PROBE_WITH_MISSED_SECONDS,
    QUICK_SECONDS,
    WARN_AT_PERCENT,
    EndpointWarning,
    LaneKind,
)
from sceneshift.store.due import Hold
from sceneshift.store.keys import Keys
from sceneshift.store.lane_policy import LanePolicy
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

LOOK_AGAIN_SECONDS = 3600.0
"""Who waits is woken when there is room; this is the net for a wake that was lost."""

CATCH_UP_BEHIND_SECONDS = 1.0
"""Events that come late while an endpoint catches up are made up for, so that the rate is reached, up to so much."""

LOOK_REMEMBERED_MILLISECONDS = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`go` with the lane's kind; `wait` for `disabled`, `open`, `catching_up` or `full`; or `lost`."""

    status: str
    waits_for: str = ""
    kind: LaneKind = LaneKind.QUICK
    is_probe: bool = False

    @property
    def may_go(self) -> bool:
        return self.status == "go"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOutcome:
    """What one attempt says about its endpoint. `disable` is why it gets nothing more, or empty.

    With `none` as the result nothing was learned of it. `url` is empty when it is not known any more.
    """

    lane_id: str
    result: LaneResult
    last_status: str
    latency_seconds: float
    limits: Mapping[LaneKind, int]
    url: str
    name: str = ""
    disable: str = ""
    pause_at_least_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """An endpoint's health: `closed` (it gets its events), `open` (only probes) or `disabled`.

    `disabled_by` is `failing`, `gone`, `asked` or `operator`. The last four count its deliveries: those that are being
    attempted, those that wait for the endpoint, those whose tries ended while it was away, and those that failed and
    come back by their own schedule.
    """

    id: str
    status: str
    name: str
    url: str
    failures: int
    failing_since: float | None
    last_success_at: float | None
    last_attempt_at: float | None
    last_status: str
    latency_ms: int | None
    probe_at: float | None
    is_catching_up: bool
    warned_percent: int
    disabled_at: float | None
    disabled_by: str
    running: int
    waiting: int
    missed: int
    retrying: int


class Lanes:
    """The lanes of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock, policy: LanePolicy) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self.policy = policy
        self._enter = load_script(client, "enter_lane", parts=["wake"])
        self._leave = load_script(client, "leave_lane", parts=["wake"])
        self._look = load_script(client, "look_at_lane", parts=["wake", "lane_warnings"])
        self._enable = load_script(client, "enable_lane", parts=["wake", "line_up"])
        self._disable = load_script(client, "disable_lane")
        self._take_look = load_script(client, "take_look")
        self._note_warning = load_script(client, "note_warning")

    def enter(self, hold: Hold, lane_id: str, *, occurred_at: float, limits: Mapping[LaneKind, int]) -> Entry:
        """The delivery that this worker has taken may be sent now, or it waits in the lane, as if nobody had it."""
        # To the millisecond, as due times are kept: what is due must not be too early here.
        now, policy, keys = round(self._clock.now(), 3), self.policy, self._keys
        ask = {
            "id": hold.subject_id,
            "step": hold.step,
            "fence": str(hold.fence),
            "occurred_at": occurred_at,
            "now": now,
            "lease_until": now + policy.attempt_seconds,
            "leased_until": now + policy.lease_seconds,
            "look_again_at": _look_again_at(hold, now),
            "limits": limits,
            "quick_milliseconds": QUICK_SECONDS * 1000,
            "catch_up_pause": 1 / policy.catch_up_per_second,
            "catch_up_behind": CATCH_UP_BEHIND_SECONDS,
        }
        answer: list[str] = self._enter(
            keys=[
                keys.delivery(hold.subject_id),
                keys.due,
                keys.lane(lane_id),
                keys.lane_running(lane_id),
                keys.lane_waiting(lane_id),
                keys.lane_missed(lane_id),
                keys.lane_retrying(lane_id),
            ],
            args=[json.dumps(ask)],
        )
        if answer[0] == "go":
            return Entry(status="go", kind=LaneKind(answer[1]), is_probe=answer[2] == "probe")
        return Entry(status=answer[0], waits_for=answer[1] if len(answer) > 1 else "")

    def leave(self, hold: Hold, lane_id: str, *, occurred_at: float, seconds: float) -> None:
        """The delivery that was let in is not sent after all: it waits in the lane, as if nobody had taken it.

        Whoever is the first there is looked at after so long; the others do not ask in vain meanwhile.
        """
        now, keys = self._clock.now(), self._keys
        self._leave(
            keys=[
                keys.delivery(hold.subject_id),
                keys.due,
                keys.lane_running(lane_id),
                keys.lane_waiting(lane_id),
                keys.lane_missed(lane_id),
                keys.lane_retrying(lane_id),
            ],
            args=[
                *(hold.subject_id, hold.step, hold.fence, occurred_at, f"{now + seconds:.3f}"),
                *(_look_again_at(hold, now), f"{now + self.policy.lease_seconds:.3f}"),
            ],
        )

    def settling(self, outcome: LaneOutcome, *, now: float, seed: str) -> dict[str, Any]:
        """What the script that settles an attempt must know to settle its lane with it."""
        known = {"url": outcome.url, "name": outcome.name} if outcome.url else {}
        learned = {
            **known,
            "last_attempt_at": f"{now:.3f}",
            "last_status": outcome.last_status,
            "latency_ms": str(int(outcome.latency_seconds * 1000)),
        }
        return {
            "id": outcome.lane_id,
            "result": outcome.result,
            "disable": outcome.disable,
            "set": learned if outcome.result != "none" else known,
            "leased_until": now + self.policy.lease_seconds,
            "limits": outcome.limits,
            "quick_milliseconds": QUICK_SECONDS * 1000,
            "open_after": OPEN_AFTER_FAILURES,
            "probe_first": PROBE_FIRST_SECONDS,
            "probe_max": PROBE_MAX_SECONDS,
            "probe_missed": PROBE_WITH_MISSED_SECONDS,
            "probe_jitter": spread(f"probe:{seed}"),
            "pause_at_least": outcome.pause_at_least_seconds,
            "disable_after": self.policy.disable_after_seconds,
            "thresholds": WARN_AT_PERCENT,
            "ttl_milliseconds": int(LANE_KEPT_SECONDS * 1000),
        }

    def take_look(self, apart_seconds: float) -> bool:
        """Whether it is this process that looks at the lanes now: one of all does, and no sooner than so long after."""
        return bool(
            self._take_look(
                keys=[self._keys.lanes_looked_at],
                args=[f"{self._clock.now():.3f}", apart_seconds, LOOK_REMEMBERED_MILLISECONDS],
            )
        )

    def look(self, lane_id: str) -> list[EndpointWarning]:
        """The lane was looked at, whether anything is attempted there or not; returns what nobody has told of it yet.

        An endpoint that has failed for long enough is disabled. Deliveries whose jobs are forgotten are due, to be
        ended.
        """
        now, policy, keys = self._clock.now(), self.policy, self._keys
        ask = {
            "id": lane_id,
            "now": now,
            "leased_until": now + policy.lease_seconds,
            "expired_before": now - policy.retention_seconds,
            "ttl_milliseconds": int(policy.retention_seconds * 1000),
            "disable_after": policy.disable_after_seconds,
            "thresholds": WARN_AT_PERCENT,
            "probe_missed": PROBE_WITH_MISSED_SECONDS,
        }
        since, *crossed = self._look(
            keys=[
                keys.lane(lane_id),
                keys.lane_waiting(lane_id),
                keys.lane_missed(lane_id),
                keys.due,
                keys.failing_lanes,
            ],
            args=[json.dumps(ask)],
        )
        return self.warnings(lane_id, since, crossed)

    def warnings(self, lane_id: str, failing_since: str, crossed: list[int]) -> list[EndpointWarning]:
        """These thresholds of a lane, as they are announced; then `note_warning` says that it was done."""
        if not crossed:
            return []
        lane = self.get(lane_id)
        since = float(failing_since)
        return [
            EndpointWarning(
                lane_id=lane_id,
                name=lane.name,
                url=lane.url,
                percent=percent,
                failing_since=since,
                disables_at=lane.disabled_at or since + self.policy.disable_after_seconds,
                last_status=lane.last_status,
                reason=lane.disabled_by or "failing",
            )
            for percent in crossed
        ]

    def note_warning(self, warning: EndpointWarning) -> None:
        """The operators were told of this: nobody tells them again, and it is counted."""
        self._note_warning(
            keys=[self._keys.lane(warning.lane_id), self._keys.webhook_counts],
            args=[f"{warning.failing_since:.3f}", warning.percent],
        )

    def failing(self) -> list[str]:
        """The lanes that are failing, disabled or catching up, the longest first."""
        ids: list[str] = self._client.zrange(self._keys.failing_lanes, 0, -1)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return ids

    def get(self, lane_id: str) -> Lane:
        """The lane as it is; one that nobody knows is closed and was never tried."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(self._keys.lane(lane_id))
            pipeline.zcount(self._keys.lane_running(lane_id), self._clock.now(), "+inf")
            pipeline.zcard(self._keys.lane_waiting(lane_id))
            pipeline.zcard(self._keys.lane_missed(lane_id))
            pipeline.zcard(self._keys.lane_retrying(lane_id))
            fields, *lengths = pipeline.execute()
        return _lane_of(lane_id, fields, lengths)

    def enable(self, lane_id: str) -> int:
        """The endpoint is tried again and catches up in order, by itself; returns with how many events."""
        now, keys = self._clock.now(), self._keys
        count: int = self._enable(
            keys=[
                keys.lane(lane_id),
                keys.lane_waiting(lane_id),
                keys.lane_missed(lane_id),
                keys.due,
                keys.failing_lanes,
                keys.lane_retrying(lane_id),
            ],
            args=[lane_id, f"{now:.3f}", f"{now + self.policy.lease_seconds:.3f}", int(LANE_KEPT_SECONDS * 1000)],
        )
        return count

    def disable(self, lane_id: str, *, url: str, name: str = "") -> bool:
        """Nothing is sent to the endpoint until it is enabled, and its events wait; False when it was so already."""
        return bool(
            self._disable(
                keys=[self._keys.lane(lane_id), self._keys.failing_lanes],
                args=[lane_id, f"{self._clock.now():.3f}", "url", url, "name", name],
            )
        )

    def counts(self) -> dict[str, int]:
        """How many attempts and deliveries came to each result so far, and how many warnings, for metrics."""
        counts: Mapping[str, str] = self._client.hgetall(self._keys.webhook_counts)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return {name: int(count) for name, count in counts.items()}


def _look_again_at(hold: Hold, now: float) -> str:
    return f"{now + LOOK_AGAIN_SECONDS * spread(f'{hold.subject_id}:{hold.fence}'):.3f}"


def _lane_of(lane_id: str, fields: Mapping[str, str], lengths: Sequence[int]) -> Lane:
    running, waiting, missed, retrying = lengths

    def time_of(name: str) -> float | None:
        return float(fields[name]) if name in fields else None

    return Lane(
        id=lane_id,
        status=fields.get("status", "closed"),
        name=fields.get("name", ""),
        url=fields.get("url", ""),
        failures=int(fields.get("failures", "0")),
        failing_since=time_of("failing_since"),
        last_success_at=time_of("last_success_at"),
        last_attempt_at=time_of("last_attempt_at"),
        last_status=fields.get("last_status", ""),
        latency_ms=int(fields["latency_ms"]) if "latency_ms" in fields else None,
        probe_at=time_of("probe_at"),
        is_catching_up="catching_up" in fields,
        warned_percent=int(fields.get("warned", "0")),
        disabled_at=time_of("disabled_at"),
        disabled_by=fields.get("disabled_by", ""),
        running=running,
        waiting=waiting,
        missed=missed,
        retrying=retrying,
    )
