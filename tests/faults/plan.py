"""What goes wrong in a run: drawn from its seed, which decides first what can go wrong at all, and how often."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.faults.bucket import Roads
from tests.faults.message_broker import Carriage
from tests.faults.outside import Weather
from tests.faults.provider import Wire
from tests.faults.state_server import Line

POLICIES = ("hold", "fail", "resubmit(1, 5)", "probe")
ANSWERS_LOST = (
    "submit-accept-then-drop", "submit-accept-then-timeout", "submit-accept-then-500", "submit-accept-then-503",
    "submit-accept-then-504", "submit-accept-then-html", "submit-accept-then-empty", "submit-accept-then-truncated",
    "submit-accept-then-cut", "submit-accept-then-huge", "submit-accept-without-data", "submit-accept-without-key",
    "submit-accept-then-nonce-used", "submit-accept-with-two-keys",
)  # fmt: skip
NOT_ACCEPTED = (
    "submit-drop", "submit-timeout", "submit-500", "submit-html-502", "submit-redirect",
    "submit-refused-without-reason",
    "submit-throttled-retry-after",
)  # fmt: skip
QUERIES = (
    "query-drop", "query-timeout", "query-500", "query-html", "query-empty", "query-garbage", "query-truncated",
    "query-without-data", "query-without-items", "query-about-another", "query-in-utf16", "query-throttled-retry-after",
)  # fmt: skip
TASKS = ("task-failed", "task-unknown-status", "task-wavers", "task-without-results", "task-with-fewer-results",
         "task-late", "task-with-more-results", "task-content-rejected")  # fmt: skip
DOWNLOADS = ("download-expired", "download-missing", "download-500", "download-drop", "download-timeout",
             "download-truncated", "download-html", "download-wrong-type")  # fmt: skip
STORE_FAULTS = ("restart", "power cut", "stale copy", "away", "out of memory", "read-only", "loading", "disk full")
"""What may happen to the job store. A `stale copy` is a replica that had fallen behind and is promoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFault:
    """One accident of the job store, at a time after the beginning or at an effect of this number.

    Of the writes that it may lose, a power cut or a stale copy loses all with `loses_all`, and else as many as chance
    has it. Beside `STORE_FAULTS` there is `recovery`: a person declares that the store has lost something.
    """

    kind: str
    loses_all: bool = False
    at_seconds: float = 0.0
    at_effect: int = 0
    seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run: what is ordered, with which settings, and what goes wrong until `fault_seconds` have passed."""

    jobs: int = 1
    workers: int = 2
    settings: dict[str, Any] = field(default_factory=dict)
    outputs_max: int = 2
    lane: str = ""
    spread_seconds: float = 0.0
    """The orders are placed within this time."""
    fault_seconds: float = 0.0
    rules: tuple[str, ...] = ()
    """The provider's scenarios."""
    lasting_rules: tuple[str, ...] = ()
    """Those that do not end with the faults: what the provider said of a picture, it said."""
    provider: dict[str, Any] = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    carriage: Carriage = field(default_factory=Carriage)
    wire: Wire = field(default_factory=Wire)
    roads: Roads = field(default_factory=Roads)
    weather: Weather = field(default_factory=Weather)
    kill_share: float = 0.0
    """Of the effects, those at which their process dies."""
    stop_share: float = 0.0
    """Of the effects, those at which their process is stopped for a while."""
    store_faults: tuple[StoreFault, ...] = ()
    outages: tuple[tuple[str, float, float], ...] = ()
    """Who is away (`provider`, `bucket`, `receiver`), from when, for how long; and `broker`, which is flushed then."""
    cancels: tuple[tuple[int, float, bool], ...] = ()
    """Which order is cancelled, how long after it was placed, and whether its result is kept."""
    skew_seconds: float = 0.0
    """How wrong workers' own clocks may be."""
    latency_seconds: float = 0.002
    has_wait: bool = True
    restart_seconds: float = 3.0


def drawn_plan(seed: int) -> Plan:
    """The plan of this seed."""
    chance = random.Random(f"plan {seed}")
    fault_seconds = chance.choice([30.0, 120.0, 600.0])

    def share(most: float, *, exists: float = 0.4) -> float:
        """Some fault does not exist in most worlds, and in the others it is rare or frequent."""
        return most * 10 ** -chance.uniform(0, 2) if chance.random() < exists else 0.0

    def some(names: tuple[str, ...], most: float) -> list[str]:
        chosen = chance.sample(names, chance.randint(1, 3)) if chance.random() < 0.4 else []
        return [f"{name}={most * 10 ** -chance.uniform(0, 1.5):.4f}" for name in chosen]

    jobs = chance.choice([1, 1, 1, 1, 2, 3])
    settings, lasting_rules = _drawn_settings(chance), some(TASKS, 0.4)
    if any(rule.startswith(("task-late", "task-unknown-status", "task-wavers")) for rule in lasting_rules):
        # Hours of waiting for the only slot are looked at every second, and show nothing new.
        settings["max_in_flight"] = None
    return Plan(
        jobs=jobs,
        workers=chance.choice([1, 2, 2, 3]),
        settings=settings,
        spread_seconds=chance.choice([0.0, 1.0, fault_seconds / 2]),
        fault_seconds=fault_seconds,
        rules=tuple(some(ANSWERS_LOST, 0.5) + some(NOT_ACCEPTED, 0.5) + some(QUERIES, 0.5) + some(DOWNLOADS, 0.5)),
        lasting_rules=tuple(lasting_rules),
        provider=_drawn_provider(chance, settings),
        line=Line(lost_requests=share(0.1), lost_answers=share(0.1)),
        carriage=Carriage(
            lost=share(0.5),
            repeated=share(0.5),
            refused=share(0.3),
            delay_seconds=chance.choice([0.001, 0.05, 2.0]),
            late=share(0.2),
            returns=chance.choice([0.0, 0.5, 1.0]),
            returns_after_seconds=chance.choice([0.1, 5.0, 60.0]),
        ),
        wire=Wire(not_sent=share(0.3), lost_requests=share(0.2), lost_answers=share(0.2)),
        roads=Roads(lost_requests=share(0.2), lost_answers=share(0.2), errors=share(0.2)),
        weather=Weather(lost_requests=share(0.3), lost_answers=share(0.3), errors=share(0.3), refusals=share(0.5)),
        kill_share=share(0.05, exists=0.6),
        stop_share=share(0.01, exists=0.3),
        store_faults=_drawn_store_faults(chance, fault_seconds),
        outages=_drawn_outages(chance, fault_seconds),
        cancels=tuple(
            (number, chance.expovariate(1 / 20), chance.random() < 0.5)
            for number in range(jobs)
            if chance.random() < 0.15
        ),
        skew_seconds=chance.choice([0.0, 0.0, 30.0, 600.0]),
        latency_seconds=chance.choice([0.0, 0.002, 0.05, 1.0]),
        has_wait=chance.random() < 0.8,
        restart_seconds=chance.choice([0.5, 3.0, 40.0]),
    )


def _drawn_settings(chance: random.Random) -> dict[str, Any]:
    policy = chance.choice(POLICIES)
    return {
        "unknown_outcome": policy,
        "nonce_contract": "verified" if policy == "probe" else "unverified",
        "intent_log": chance.choice(["redis", "storage"]),
        "preflight": chance.random() < 0.3,
        "submit_rate": chance.choice([None, 0.5, 10.0]),
        "query_rate": chance.choice([None, 5.0, 30.0]),
        "max_in_flight": chance.choice([None, None, 1, 2]),
        "lease_seconds": chance.choice([5.0, 20.0]),
    }


def _drawn_provider(chance: random.Random, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "median_seconds": chance.choice([2.0, 8.0, 60.0]),
        "nonces": "enforced" if settings["unknown_outcome"] == "probe" else chance.choice(["enforced", "ignored"]),
        "gateway": chance.choice(["classic", "vpc"]),
        "reading": chance.choice(["A", "B"]),
        "result_lifetime_seconds": chance.choice([60.0, 3600.0]),
        "max_running": chance.choice([None, None, None, 1]),
    }


def _drawn_store_faults(chance: random.Random, fault_seconds: float) -> tuple[StoreFault, ...]:
    if chance.random() < 0.6:
        return ()
    return tuple(
        StoreFault(
            kind=chance.choice(STORE_FAULTS),
            at_seconds=chance.uniform(0, fault_seconds),
            seconds=chance.choice([0.5, 5.0, 30.0]),
        )
        for _ in range(chance.randint(1, 3))
    )


def _drawn_outages(chance: random.Random, fault_seconds: float) -> tuple[tuple[str, float, float], ...]:
    return tuple(
        (who, chance.uniform(0, fault_seconds), chance.choice([1.0, 20.0, 120.0]))
        for who in ("provider", "bucket", "receiver", "broker")
        if chance.random() < 0.15
    )
