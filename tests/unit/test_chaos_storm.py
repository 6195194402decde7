"""The pure parts of a storm: its schedule, its limit, its page, and what it reads out of records and logs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from random import Random
from typing import Any

import pytest

from sceneshift.jobs.states import JobState
from tests.chaos.aftermath import Calm
from tests.chaos.charts import TimeAxis, fault_lanes, nice_top, state_areas
from tests.chaos.consumer import drawn_treatment
from tests.chaos.page import page
from tests.chaos.recoveries import decisions, held, recoveries, started_again
from tests.chaos.schedule import Fault, Rhythm, rhythms, schedule
from tests.unit.flawless_evidence import DONE, HELD, an_evidence

PARTS = rhythms(kill_every_seconds=2.0, lease_seconds=4.0)


@pytest.mark.parametrize("seconds", [30, 60, 180, 600, 3600])
def test_every_fault_strikes_in_every_storm_and_is_over_before_it(seconds: float) -> None:
    """However short it is, each kind is there; none begins before the storm or lasts beyond it."""
    strikes = schedule(7, seconds, PARTS)
    assert {strike.fault for strike in strikes} == set(Fault)
    assert all(0 <= strike.at_seconds <= seconds - strike.lasts_seconds for strike in strikes)
    assert strikes == sorted(strikes, key=lambda strike: strike.at_seconds)


def test_the_same_seed_is_the_same_storm() -> None:
    """Faults and times repeat with the seed, and another seed has other times."""
    assert schedule(7, 180, PARTS) == schedule(7, 180, PARTS)
    assert schedule(7, 180, PARTS) != schedule(8, 180, PARTS)


def test_kills_come_as_often_as_was_said() -> None:
    """In ten minutes 300 workers are killed, and each server ten times, in turns."""
    counts = Counter(strike.fault for strike in schedule(1, 600, PARTS))
    assert counts[Fault.WORKER_KILLED] == 300
    assert counts[Fault.STATE_KILLED] == counts[Fault.BROKER_KILLED] == 10
    turns = [
        strike.fault for strike in schedule(1, 600, PARTS) if strike.fault in {Fault.STATE_KILLED, Fault.BROKER_KILLED}
    ]
    assert turns == [Fault.STATE_KILLED, Fault.BROKER_KILLED] * 10


def test_a_worker_is_frozen_for_longer_than_its_lease() -> None:
    """Or it would come back to a lease that is still its own."""
    frozen = [strike for strike in schedule(3, 600, PARTS) if strike.fault is Fault.WORKER_FROZEN]
    assert frozen
    assert all(strike.lasts_seconds > 4.0 for strike in frozen)


def test_a_storm_is_spread_over_its_time() -> None:
    """Each part of the storm has its strike, so that no seed leaves half of it calm."""
    strikes = Rhythm(faults=[Fault.BROKER_FLUSHED], every_seconds=10.0).strikes(100.0, Random(1))
    assert [int(strike.at_seconds // 10) for strike in strikes] == list(range(10))


def a_calm(**values: Any) -> Calm:
    defaults: dict[str, Any] = {
        "open_jobs": 20,
        "longest_wait_seconds": 3.0,
        "rendering_seconds": 2.0,
        "jobs_per_second": 10.0,
        "lease_seconds": 4.1,
        "jobs_seconds": 9.0,
        "webhooks_seconds": 1.0,
        "rest_seconds": 1.0,
    }
    return Calm(**{**defaults, **values})


def test_the_limit_is_two_leases_and_the_work() -> None:
    """Twice a lease, the longest wait, what the provider still has to do, and the backlog at the pace of the storm."""
    assert a_calm().limit_seconds == pytest.approx(2 * 4.1 + 3.0 + 2.0 + 20 / 10.0)
    assert a_calm(jobs_per_second=0.0).limit_seconds == pytest.approx(2 * 4.1 + 3.0 + 2.0)
    assert a_calm().problems() == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"jobs_seconds": 15.3}, "it took 15.3 s until every job was final or held, and 15.2 s is the limit"),
        ({"jobs_seconds": None}, "jobs still moved 300 s after the faults had ended"),
        ({"webhooks_seconds": None}, "webhooks were still to be delivered 90 s after the jobs had ended"),
        (
            {"rest_seconds": None},
            "slots or spooled keys were left after everything else had ended, and their time was over",
        ),
    ],
)
def test_whatever_does_not_come_to_rest_is_a_problem(values: dict[str, Any], problem: str) -> None:
    """Each in its own sentence."""
    assert a_calm(**values).problems() == [problem]


def test_the_shop_treats_webhooks_as_the_seed_says() -> None:
    """Some of each kind are among a thousand, most are taken, and the same number is treated the same again."""
    treatments = [drawn_treatment(5, number) for number in range(1000)]
    assert treatments == [drawn_treatment(5, number) for number in range(1000)]
    counts = Counter(treatments)
    assert set(counts) == {"taken", "answered with 500", "dropped", "slow", "too slow"}
    assert 850 < counts["taken"] < 970


def test_steps_that_were_begun_more_often_than_they_ended_were_started_again() -> None:
    """One submission, one copy and three webhooks have ended; whatever was begun beyond that was made again."""
    timelines = {
        DONE.id: [
            {"state": "queued", "event": "submission_delayed"},
            {"state": "rendering", "event": "accepted"},
            {"state": "storing", "event": "rendered"},
            {"state": "storing", "event": "storing_delayed"},
            {"state": "succeeded", "event": "succeeded"},
        ],
        HELD.id: [{"state": "needs_attention", "event": "needs_attention", "step": "submit-1"}],
    }
    evidence = replace(an_evidence(), timelines=timelines)
    ended = {"sceneshift.submit": 3, "sceneshift.finalize": 2, "sceneshift.notify": 3}
    assert started_again(evidence, ended) == 0
    assert started_again(evidence, {**ended, "sceneshift.submit": 5, "sceneshift.finalize": 3}) == 3


def test_the_log_is_counted_by_what_it_says() -> None:
    """Events by their meaning; lines that are no events, such as tracebacks, are passed over."""
    log = b"\n".join(
        [b'{"event": "lease.lost"}', b"Traceback", b'{"event": "lease.lost"}', b"MemoryError", b'{"event": "other"}']
    )
    found = recoveries(an_evidence(), {}, log)
    assert found["leases lost to another worker"] == 2
    assert found["out-of-memory errors in a squeezed worker"] == 1
    assert "other" not in found


def test_held_jobs_are_counted_by_their_reasons() -> None:
    """One is held, because its answer was lost; nobody has decided anything."""
    assert held(an_evidence()) == {"outcome_unknown: the answer was lost": 1}
    assert decisions(an_evidence(), []) == {}


def a_report(**values: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "began_at": "2026-11-23T10:00:00+00:00",
        "seconds": 200.0,
        "seed": 7,
        "plan": {"seconds": 60.0, "rate": 10.0, "workers": 4, "unknown_outcome": "hold"},
        "jobs": 600,
        "states": {"succeeded": 590, "needs_attention": 10},
        "faults": {str(fault): 1 for fault in Fault},
        "sigkills": 32,
        "provider_faults": {"query-500": 3},
        "webhooks": {"taken": 600},
        "calls_repeated": {},
        "cancelled": {"free": 3},
        "recoveries": {"steps started again": 12},
        "held": {"outcome_unknown: the answer was lost": 10},
        "decisions": {},
        "bill": {"charged, says the provider": 595, "most charges of one job": 1},
        "calm": a_calm().as_json(),
        "stopping": {"workers told to stop": 8, "slowest_seconds": 1.2},
        "pictures_compared": 400,
        "searched_bytes": {"the workers' log": 123},
        "incidents": [
            {"fault": "worker killed", "at": 3.0, "until": None, "detail": "worker-1"},
            {"fault": "job store killed", "at": 20.0, "until": 21.5, "detail": ""},
        ],
        "samples": [
            {"at": 0.0, **{str(state): 0 for state in JobState}},
            {"at": 60.0, **{str(state): 3 for state in JobState}},
        ],
        "checks": [{"check": "nothing is lost", "promise": "Accepted orders are final or held.", "problems": []}],
        "problems": [],
    }
    return {**defaults, **values}


class Outline(HTMLParser):
    """The text of a page, and every address in it; raises when its tags do not close."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        assert self.tags == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """It closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_says_that_all_is_well() -> None:
    """The verdict, the promise and every fault's name are there; nothing is fetched from anywhere."""
    outline = Outline(page(a_report()))
    text = " ".join(outline.words)
    assert "Every promise was kept" in text
    assert "Nothing is lost" in text
    assert all(str(fault) in text for fault in Fault)
    assert outline.addresses == []
    assert "url(" not in page(a_report())
    assert "@import" not in page(a_report())


def test_the_page_names_what_went_wrong_and_escapes_it() -> None:
    """Whatever a run has brought to light is shown as text, and nothing of it becomes part of the page."""
    evil = "<script>alert(1)</script>\"'&"
    checks = [{"check": evil, "promise": evil, "problems": [evil] * 25}]
    incidents = [{"fault": "worker killed", "at": 3.0, "until": None, "detail": evil}]
    named: dict[str, Any] = {
        name: {evil: 1} for name in ("states", "recoveries", "held", "decisions", "provider_faults", "searched_bytes")
    }
    report = a_report(problems=[evil], checks=checks, incidents=incidents, **named)
    text = page(report)
    assert "<script" not in text
    outline = Outline(text)
    assert "1 thing went wrong" in " ".join(outline.words)
    assert "and 5 more" in " ".join(outline.words)


def test_a_run_without_an_end_is_shown_too() -> None:
    """Jobs that never came to rest, and a storm of which nothing was seen, make a page like any other."""
    report = a_report(samples=[], incidents=[], calm=a_calm(jobs_seconds=None, rest_seconds=None).as_json())
    assert "until no job moved" in page(report)


def test_a_report_is_json() -> None:
    """What is written for programs is what the page is made from."""
    assert page(json.loads(json.dumps(a_report()))) == page(a_report())


def test_faults_lie_where_they_happened() -> None:
    """An instant is a mark of its own width, a span is as long as it lasted, on the lane of its fault."""
    axis = TimeAxis(100.0, 100.0)
    incidents = [
        {"fault": "a", "at": 50.0, "until": None, "detail": ""},
        {"fault": "b", "at": 0.0, "until": 100.0, "detail": ""},
    ]
    drawn = fault_lanes(incidents, ["a", "b"], axis)
    middle, left, right = axis.x(50.0), axis.x(0.0), axis.x(100.0)
    assert f'x="{middle}" y="5" width="2.0"' in drawn
    assert f'x="{left}" y="29" width="{round(right - left, 1)}"' in drawn


def test_areas_stand_on_top_of_each_other() -> None:
    """The second state begins where the first one ends; one that never was is not drawn."""
    drawn = state_areas(
        "jobs", [{"at": 0.0, "a": 1, "b": 1}, {"at": 10.0, "a": 1, "b": 1}], ["a", "b", "c"], TimeAxis(10.0, 10.0)
    )
    assert drawn.count("<polygon") == 2
    assert "var(--c)" not in drawn


@pytest.mark.parametrize(("most", "top"), [(0, 2), (3, 4), (9, 10), (11, 20), (41, 60), (511, 600), (5000, 6000)])
def test_an_axis_ends_at_a_round_number(most: int, top: int) -> None:
    """And everything fits below it."""
    assert nice_top(most) == top
