"""What the provider lends only so much of, and how it says that it is used up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.simulator import SimulatorConfig
from sceneshift.simulator.config import Gateway, Reading
from sceneshift.simulator.limits import RateLimit
from tests.unit.simulator.support import LONG_AFTER, START, Desk, item, mask, open_desk

EXHAUSTED, THROTTLED = 23500003, 23500004
ANOTHER_IMAGE, LARGER_MASK = "https://img.alicdn.com/another.png", "https://img.alicdn.com/larger-mask.png"


@contextmanager
def slow_sources(**behaviour: Any) -> Iterator[tuple[Desk, threading.Event, threading.Event]]:
    """A desk that cannot fetch another image until the second event is set; the first says that it tries to."""
    began, may_go_on = threading.Event(), threading.Event()
    with open_desk(**behaviour) as desk:
        desk.pictures |= {ANOTHER_IMAGE: desk.pictures[item()["image"]], LARGER_MASK: mask((800, 800))}
        fetch = desk.pictures.__getitem__

        class Slow(dict[str, bytes]):
            def __getitem__(self, url: str) -> bytes:
                if url == ANOTHER_IMAGE:
                    began.set()
                    assert may_go_on.wait(20)
                return fetch(url)

        desk.pictures = Slow(desk.pictures)
        try:
            yield desk, began, may_go_on
        finally:
            may_go_on.set()


def test_credits_run_out() -> None:
    """Each item costs one; a call that wants more than there are is refused whole, and smaller ones go on."""
    with open_desk(credits=3) as desk:
        assert desk.submit(item(), item()).status_code == 200
        answer = desk.submit(item(), item())
        assert (answer.status_code, answer.json()["code"]) == (403, EXHAUSTED)
        assert [desk.submit().status_code for _ in range(2)] == [200, 403]
        assert (desk.ledger()["charged"], desk.state()["credits"]) == (3, 0)


@pytest.mark.parametrize("wrong", [{"image": "https://img.alicdn.com/none.png"}, {"steps": 1}])
def test_refused_submission_costs_no_credit(wrong: dict[str, Any]) -> None:
    """A picture that is unfit, or a value that is illegal, gives the credit back."""
    with open_desk(credits=1) as desk:
        assert desk.submit(item(**wrong)).status_code == 400
        assert desk.state()["credits"] == 1
        assert desk.submit().status_code == 200


def test_submission_that_breaks_down_costs_no_credit() -> None:
    """Whatever goes wrong before a task is accepted, its credit is there again."""
    with open_desk(credits=1) as desk:
        pictures, desk.pictures = desk.pictures, cast("dict[str, bytes]", None)
        with pytest.raises(TypeError):
            desk.submit()
        desk.pictures = pictures
        assert (desk.state()["credits"], desk.submit().status_code) == (1, 200)


def test_two_submissions_at_once_cannot_both_spend_the_last_credit() -> None:
    """The credit is spent before the pictures are fetched: a second call meanwhile finds none."""
    with slow_sources(credits=1) as (desk, began, may_go_on), ThreadPoolExecutor(1) as thread:
        first = thread.submit(desk.submit, item(image=ANOTHER_IMAGE))
        assert began.wait(20)
        assert desk.submit().json()["code"] == EXHAUSTED
        may_go_on.set()
        assert first.result(20).status_code == 200
        assert desk.ledger()["charged"] == 1


def test_credits_can_be_bought() -> None:
    """A new balance counts from then on."""
    with open_desk(credits=0) as desk:
        assert desk.submit().status_code == 403
        desk.simulator.control(credits=1)
        assert [desk.submit().status_code for _ in range(2)] == [200, 403]


def test_rate_is_counted_in_any_second_of_the_clock() -> None:
    """Two submissions fit into each second; the window moves on with the clock, and a refused call takes no place."""
    with open_desk(submit_rate=2.0) as desk:
        statuses = []
        for pause in (0.0, 0.4, 0.4, 0.2, 0.1, 0.3):
            desk.now += pause
            statuses.append(desk.submit().status_code)
    assert statuses == [200, 200, 403, 200, 403, 200]


def test_rates_of_submissions_and_queries_are_apart() -> None:
    """A throttled endpoint leaves the other alone."""
    with open_desk(query_rate=1.0) as desk:
        key = desk.accepted()
        assert [desk.query(key).status_code for _ in range(2)] == [200, 403]
        assert desk.submit().status_code == 200
        desk.now += 1.0
        assert desk.query(key).status_code == 200


def test_rate_below_one_is_a_call_in_several_seconds() -> None:
    """0.25 a second is one call in four seconds."""
    limit = RateLimit(0.25)
    assert [limit.admits(START + after) for after in (0.0, 3.9, 4.0, 7.9, 8.0)] == [True, False, True, False, True]


def test_rate_between_whole_numbers_is_kept() -> None:
    """Over a long time no more calls pass than the rate allows, and not far fewer."""
    limit = RateLimit(2.5)
    passed = sum(limit.admits(START + tick / 100) for tick in range(10_000))
    assert 240 <= passed <= 251


def test_rate_counts_on_the_clock_that_is_put_forward() -> None:
    """A second that is skipped is a second."""
    with open_desk(submit_rate=1.0) as desk:
        assert [desk.submit().status_code for _ in range(2)] == [200, 403]
        desk.simulator.control(advance_seconds=1)
        assert desk.submit().status_code == 200


def test_running_tasks_take_the_places_until_they_end() -> None:
    """With two places a third submission is throttled, until a task has ended; queries are not."""
    with open_desk(max_running=2) as desk:
        key = desk.accepted()
        desk.accepted()
        answer = desk.submit()
        assert (answer.status_code, answer.json()["code"]) == (403, THROTTLED)
        assert (desk.query(key).status_code, desk.state()["running"]) == (200, 2)
        desk.now += LONG_AFTER
        assert (desk.submit().status_code, desk.state()["running"]) == (200, 1)


def test_two_submissions_at_once_cannot_both_take_the_last_place() -> None:
    """A place is taken before the pictures are fetched, and free again when they are unfit."""
    with slow_sources(max_running=1) as (desk, began, may_go_on), ThreadPoolExecutor(1) as thread:
        first = thread.submit(desk.submit, item(image=ANOTHER_IMAGE, mask=LARGER_MASK))
        assert began.wait(20)
        assert desk.submit().json()["code"] == THROTTLED
        may_go_on.set()
        assert first.result(20).status_code == 400
        assert desk.submit().status_code == 200


@pytest.mark.parametrize(
    ("gateway", "status", "headers"),
    [
        ("vpc", 429, {"X-Ca-Error-Code": "T429PA"}),
        ("classic", 403, {"X-Ca-Error-Message": "Throttled by APP Flow Control"}),
    ],
)
def test_gateway_throttles_in_its_own_form(gateway: Gateway, status: int, headers: dict[str, str]) -> None:
    """When the gateway says so, it says it with headers and no body, and the ledger charges nothing."""
    with open_desk(max_running=0, throttled_by="gateway", gateway=gateway) as desk:
        answer = desk.submit()
        assert (answer.status_code, answer.content) == (status, b"")
        assert headers.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
        assert desk.ledger()["charged"] == 0


@pytest.mark.parametrize(("reading", "code"), [("A", 23500005), ("B", 23500004)])
def test_provider_throttles_with_a_body(reading: Reading, code: int) -> None:
    """When the provider says so, it is a row of its table."""
    with open_desk(max_running=0, reading=reading) as desk:
        answer = desk.submit()
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("throttled_by", ["provider", "gateway"])
@pytest.mark.parametrize(("seconds", "sent"), [(0.0, "0"), (0.4, "1"), (30.0, "30"), (30.5, "31")])
def test_throttled_answer_says_when_to_come_back(throttled_by: str, seconds: float, sent: str) -> None:
    """`Retry-After` is in whole seconds, never too early."""
    with open_desk(max_running=0, throttled_by=throttled_by, retry_after_seconds=seconds) as desk:
        assert desk.submit().headers["Retry-After"] == sent


def test_only_throttled_answers_say_when_to_come_back() -> None:
    """Another refusal has no `Retry-After`."""
    with open_desk(retry_after_seconds=30.0, credits=0) as desk:
        assert "Retry-After" not in desk.submit().headers
        assert "Retry-After" not in desk.submit(Authorization=None).headers


def test_provider_that_lost_its_results_knows_no_key() -> None:
    """After `forget_results` keys, running tasks and the addresses of pictures are gone; the account stays."""
    with open_desk(max_running=1, quality="draft") as desk:
        key = desk.finished(item(num_output=1))
        (url,) = desk.results(key)
        desk.accepted()
        desk.simulator.control(forget_results=True)
        assert desk.query(key).json()["code"] == 23500008
        assert desk.request("GET", url).status_code == 404
        assert desk.submit().status_code == 200
        assert desk.ledger()["charged"] == 3


def test_clock_that_is_put_forward_moves_tasks_expiries_and_retention() -> None:
    """Time that is skipped counts for everything, and adds up."""
    with open_desk(result_lifetime_seconds=60.0, retention_seconds=8000.0, quality="draft") as desk:
        key = desk.accepted(item(num_output=1))
        desk.simulator.control(advance_seconds=LONG_AFTER)
        (url,) = desk.results(key)
        desk.simulator.control(advance_seconds=59.5)
        assert desk.request("GET", url).status_code == 200
        desk.simulator.control(advance_seconds=0.5)
        assert desk.request("GET", url).status_code == 403
        assert desk.state()["now"] == START + LONG_AFTER + 60.0
        desk.simulator.control(advance_seconds=5000.0)
        assert desk.query(key).json()["code"] == 23500008


@pytest.mark.parametrize("wrong", [
    {"credits": -1}, {"max_running": -1}, {"submit_rate": 0.0}, {"query_rate": -1.0}, {"submit_rate": float("inf")},
    {"retry_after_seconds": -1.0}, {"reading": "C"}, {"gateway": "new"}, {"nonces": "off"}, {"throttled_by": "nobody"},
    {"quality": "best"},
])  # fmt: skip
def test_senseless_limit_is_refused(wrong: dict[str, Any]) -> None:
    """A value that cannot be meant is refused by name when the configuration is made."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        SimulatorConfig(**wrong)
