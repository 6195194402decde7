"""`sceneshift limits`: what holds now, what was set and by whom, and errors that say what to write instead."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

import sceneshift.client
from sceneshift.cli import main
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.provider.protocol import Endpoint
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.recording_publisher import RecordingPublisher

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shop(store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that the commands use, with two submissions and ten questions per second by its settings."""
    limited = settings.model_copy(update={"submit_rate": 2.0, "query_rate": 10.0})
    opened = open_job_store(limited, patience=TIMEKEEPER, client=store.client, clock=clock)
    monkeypatch.setattr(sceneshift.client, "_client", Client(limited, store=opened, publisher=RecordingPublisher()))
    monkeypatch.setenv("LOGNAME", "ann")
    return opened


@pytest.fixture
def run(shop: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; returns its exit code, standard output and standard error."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sceneshift", "limits", *arguments])
        code = main()
        return (code, *capsys.readouterr())

    assert shop
    return run_command


def test_the_limits_that_hold_are_shown(run: Run, shop: Store) -> None:
    """Without a change: the settings, the jobs at the provider, and a breaker that is closed."""
    place(shop, SITUATIONS["rendering"].evolve(id=a_job().id))
    code, out, _ = run()
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["submit_rate", "2.0", "-", "2", "-"] in lines
    assert ["max_in_flight", "none", "-", "none", "-"] in lines
    assert ["in", "flight:", "1"] in lines
    assert ["breaker:", "closed"] in lines


def test_a_limit_is_set_shown_and_reset(run: Run, shop: Store, clock: ManualClock) -> None:
    """It holds for workers that run, with its author and time, until it is reset."""
    code, out, told = run("set", "submit_rate=5", "max_in_flight=20", "query_rate=none", "--json")
    limits = json.loads(out)["limits"]
    assert code == 0
    assert "submit_rate: as the setting -> 5, by ann" in told
    assert {name: each["override"] for name, each in limits.items()} == {
        "submit_rate": 5,
        "query_rate": "none",
        "max_in_flight": 20,
    }
    assert limits["submit_rate"] | {"setting": 2.0} == {
        "setting": 2.0,
        "override": 5,
        "effective": 5,
        "is_lowered": False,
        "changed_by": "ann",
        "changed_at": clock.now(),
    }
    assert shop.permits.effective().submit_rate == 5
    _, out, _ = run("reset", "submit_rate", "--json")
    assert json.loads(out)["limits"]["submit_rate"]["override"] is None
    assert json.loads(out)["limits"]["max_in_flight"]["override"] == 20
    assert run("reset")[0] == 0
    assert shop.client.exists(shop.keys.limits) == 0


def test_a_lowered_rate_and_an_open_breaker_are_shown(run: Run, shop: Store, clock: ManualClock) -> None:
    """Whoever asks why so little is sent sees it here."""
    shop.permits.slow_down(Endpoint.SUBMIT)
    shop.breaker.note_submission("job_1", "job_1:submit-1", "provider_credits")
    _, out, _ = run()
    assert "lowered after throttled answers" in out
    assert "because of provider_credits; the provider is looked at next at " in out
    document = json.loads(run("--json")[1])
    assert document["limits"]["submit_rate"]["effective"] == 1.0
    assert document["limits"]["submit_rate"]["is_lowered"] is True
    assert document["breaker"] == {
        "is_open": True,
        "blocked_by": "provider_credits",
        "since": clock.now(),
        "until": clock.now() + 60.0,
        "lets_one_through": False,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "submitrate=5"], "'submitrate' is not a limit; the nearest is submit_rate"),
        (["set", "submit_rate=fast"], "submit_rate=fast: that is no value for it; give a number per second above 0"),
        (["set", "max_in_flight=5", "submit_rate=0"], "submit_rate=0: that is no value"),
        (["set", "submit_rate=5", "submit_rate=6"], "submit_rate is given twice: 5 and 6"),
        (["set"], "Missing argument"),
        (["reset", "rate"], "'rate' is not a limit"),
        (["--json", "reset"], "give --json after the command"),
    ],
)
def test_a_mistake_changes_nothing_and_says_what_to_write(
    run: Run, shop: Store, arguments: list[str], said: str
) -> None:
    """Exit code 2, with the name, the value and the remedy."""
    code, out, told = run(*arguments)
    assert (code, out) == (2, "")
    assert said in told
    assert shop.client.exists(shop.keys.limits) == 0


def test_a_store_that_is_away_is_said_in_one_sentence(run: Run, shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 5, as for all commands."""

    def away(*_arguments: object, **_options: object) -> None:
        raise RedisConnectionError("Connection refused")

    monkeypatch.setattr(shop.client, "hgetall", away)
    code, _, told = run()
    assert code == 5
    assert "the job store did not answer" in told
