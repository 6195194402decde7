"""The shop of a storm: what its callers insist on, and what they remember."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, cast

import pytest

from sceneshift.errors import EnqueueError
from tests.chaos import shop
from tests.chaos.deployment import ChaosDeployment, prompt_of
from tests.chaos.shop import Shop


class Counterpart:
    """A deployment that refuses the first so many calls of each order."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.calls = Counter[int]()
        self.enough = threading.Event()

    def client(self) -> None:
        """Nobody asks it for anything but orders."""

    def enqueue(self, _client: Any, number: int, **_about: Any) -> str:
        self.calls[number] += 1
        if self.calls.total() >= 20:
            self.enough.set()
        if self.calls[number] <= self.refusals:
            raise EnqueueError("the job store did not answer")
        return f"job_{number}"


def a_shop(counterpart: Counterpart, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """It orders as fast as it can, repeats at once, and cancels nothing."""
    monkeypatch.setattr(shop, "CALL_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(shop, "CANCEL_SHARE", 0.0)
    return Shop(cast("ChaosDeployment", counterpart), webhook_url="http://127.0.0.1/", rate=1000.0, seed=1)


def test_a_call_that_raised_is_made_again_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order is remembered once under its prompt, however often its call was made."""
    counterpart = Counterpart(refusals=2)
    opened = a_shop(counterpart, monkeypatch)
    opened.open()
    assert counterpart.enough.wait(30)
    opened.close()
    assert opened.books.orders == {f"job_{number}": prompt_of(number) for number in counterpart.calls}
    assert set(counterpart.calls.values()) == {3}
    assert opened.books.calls_repeated["EnqueueError"] == 2 * len(counterpart.calls)
    assert opened.books.problems == []


def test_callers_leave_even_when_nothing_ever_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is broken off does not wait for them, and says which calls came to nothing."""
    counterpart = Counterpart(refusals=1_000_000)
    opened = a_shop(counterpart, monkeypatch)
    opened.open()
    assert counterpart.enough.wait(30)
    opened.leave()
    assert not any(thread.name.startswith("caller-") for thread in threading.enumerate())
    assert opened.books.orders == {}
    assert f"order {min(counterpart.calls)}: the call never succeeded" in opened.books.problems
