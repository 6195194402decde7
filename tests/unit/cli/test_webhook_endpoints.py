"""`sceneshift webhooks endpoints`: what is printed once, what can be shown again, and what is changed."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

import sceneshift.client
from sceneshift.cli import main
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.jobs.attempts import Attempt
from sceneshift.settings import Settings
from sceneshift.store.deliveries import Settlement
from sceneshift.store.opening import Store
from sceneshift.webhooks.endpoint_secrets import endpoint_secret, endpoint_seed
from sceneshift.webhooks.private_keys import public_key_text
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import place
from tests.unit.workers.recording_publisher import RecordingPublisher

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
URL = "https://shop.example/hook?token=abc"

Run = Callable[..., tuple[int, str, str]]


def use(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands work with this deployment."""
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, store=store, publisher=RecordingPublisher()))


@pytest.fixture
def run(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `sceneshift webhooks endpoints`; returns its exit code, standard output and standard error."""
    use(settings.model_copy(update={"webhook_endpoint_key": (SecretStr(KEY),)}), store, monkeypatch)

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sceneshift", "webhooks", "endpoints", *arguments])
        return (main(), *capsys.readouterr())

    return run_command


def added(run: Run, *options: str) -> dict[str, Any]:
    """The endpoint `shop`, as the command has printed it."""
    code, out, _ = run("add", "shop", URL, "--no-test", "--json", *options)
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    return document


def test_the_secret_is_printed_and_can_be_shown_again(run: Run) -> None:
    """It is that of the key; and so is the public key, where there is one."""
    document = added(run, "--ed25519")
    assert document["secret"] == endpoint_secret(KEY, document["id"], 1)
    assert document["public_key"] == public_key_text(endpoint_seed(KEY, document["id"], 1))
    _, out, _ = run("secret", "shop")
    assert [line.split()[-1] for line in out.splitlines()] == [document["secret"], document["public_key"]]


def test_lists_show_no_secret_and_no_token(run: Run) -> None:
    """Neither what signs, nor what stands in the URL's query."""
    added(run, "--event", "job.*")
    for arguments in (("list",), ("list", "--json"), ("show", "shop"), ("show", "shop", "--json")):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "https://shop.example/hook" in out
        assert "job.*" in out
        assert "whsec_" not in out
        assert "token" not in out


def test_an_empty_list_says_so(run: Run) -> None:
    """In words, and as an empty document."""
    assert run("list")[1] == "there are no named endpoints\n"
    assert json.loads(run("list", "--json")[1]) == []


def test_rotation_prints_the_new_secret_and_when_the_old_one_ends(run: Run) -> None:
    """Both sign until then, and the list says so."""
    document = added(run)
    code, out, err = run("rotate", "shop", "--overlap", "90m")
    assert code == 0
    assert out.split()[-1] == endpoint_secret(KEY, document["id"], 2)
    assert "until 2026-11-23 01:30:00" in err
    assert "secret 2, secret 1 until 2026-11-23 01:30:00" in run("show", "shop")[1]


def test_an_endpoint_is_changed(run: Run, store: Store) -> None:
    """What is not named stays as it is."""
    document = added(run, "--event", "job.failed")
    assert run("update", "shop", "--url", "https://new.example/hook")[0] == 0
    endpoint = store.endpoints.get(document["id"])
    assert endpoint is not None
    assert (endpoint.url, endpoint.events, endpoint.ed25519) == ("https://new.example/hook", ("job.failed",), False)
    _, out, _ = run("update", "shop", "--event", "job.*", "--ed25519")
    assert public_key_text(endpoint_seed(KEY, document["id"], 1)) in out
    changed = store.endpoints.get(document["id"])
    assert changed is not None
    assert (changed.url, changed.events, changed.ed25519) == ("https://new.example/hook", ("job.*",), True)


def test_an_endpoint_is_removed(run: Run) -> None:
    """Its name is free again."""
    first = added(run)
    assert run("remove", "shop")[0] == 0
    assert added(run)["id"] != first["id"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("add", "Shop!", URL), "a-z, 0-9 and -"),
        (("add", "shop", "http://10.0.0.1/"), "error: url: an absolute http or https URL of a public host"),
        (("add", "shop", URL, "--event", "job.admired"), "matches no type"),
        (("show", "shop"), "there are none"),
        (("update", "shop"), "nothing to change"),
        (("rotate", "shop", "--overlap", "2026-11-24"), "'2026-11-24' is not a span of time such as 90m, 24h or 7d"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], text: str) -> None:
    """As wrong usage, and nothing is changed."""
    code, _, err = run(*arguments)
    assert code == 2
    assert text in err
    assert run("list", "--json")[1].strip() == "[]"


def test_without_the_key_there_is_no_endpoint(
    run: Run, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secret could not be derived; the error says how to make a key."""
    use(settings, store, monkeypatch)
    for arguments in (("add", "shop", URL), ("secret", "shop"), ("rotate", "shop")):
        code, _, err = run(*arguments)
        assert code == 2
        assert "SCENESHIFT_WEBHOOK_ENDPOINT_KEY is not set" in err
    assert store.endpoints.read().by_id == {}


def test_a_malformed_key_is_named(run: Run, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting and which of its keys is wrong are said, and the key is not repeated."""
    keys = (SecretStr(KEY), SecretStr("whsec_canary"))
    use(settings.model_copy(update={"webhook_endpoint_key": keys}), store, monkeypatch)
    code, _, err = run("add", "shop", URL)
    assert code == 2
    assert err.startswith("error: SCENESHIFT_WEBHOOK_ENDPOINT_KEY, 2 of 2: ")
    assert "canary" not in err
    assert store.endpoints.read().by_id == {}


def test_a_disabled_endpoint_is_not_tried(run: Run, store: Store) -> None:
    """The command says at once how to enable it, and leaves no test behind that would come later."""
    added(run)
    assert run("disable", "shop")[0] == 0
    code, out, err = run("test", "shop")
    assert (code, out) == (1, "")
    assert "shop is disabled, so nothing is sent to it: sceneshift webhooks endpoints enable shop" in err
    assert store.due.claim(10) == []


def a_worker_that_answers(store: Store, status: str, outcome: str) -> Callable[[float], None]:
    """What happens while the command waits: a worker makes the first try, and it ends like this."""

    def wait(_seconds: float) -> None:
        for step in store.due.claim(10):
            delivery = store.deliveries.get(step.subject_id)
            assert delivery is not None
            assert delivery.type == "webhook.test"
            attempt = Attempt(at=store.clock.now(), number=1, outcome=outcome, latency_ms=5, answer="")
            due_at = store.clock.now() + 5.0 if status == "pending" else None
            store.deliveries.settle(
                delivery, Settlement(status=status, attempt=attempt, counted_as=status, due_at=due_at)
            )

    return wait


@pytest.mark.parametrize(
    ("status", "outcome", "text", "code"),
    [("delivered", "204", "delivered (204)", 0), ("pending", "500", "NOT delivered (500)", 1)],
)
def test_a_new_endpoint_is_tried(  # noqa: PLR0917  # pytest gives each by its name
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch, status: str, outcome: str, text: str, code: int
) -> None:
    """Through a worker, and the outcome is shown; the endpoint is there either way."""
    monkeypatch.setattr(time, "sleep", a_worker_that_answers(store, status, outcome))
    assert run("add", "shop", URL)[0] == 0
    assert len(store.endpoints.read().by_id) == 1
    ended, out, _ = run("test", "shop")
    assert (ended, text in out) == (code, True)


def test_without_a_worker_the_trial_says_so(run: Run, monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    """It ends after half a minute, and the test is still on its way."""
    slept: list[float] = []

    def wait(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    monkeypatch.setattr(time, "sleep", wait)
    added(run)
    code, out, _ = run("test", "shop")
    assert code == 6
    assert "no worker has taken it within 30 s" in out
    assert sum(slept) == pytest.approx(30.0)


def test_a_job_s_webhooks_name_their_endpoints(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sceneshift jobs get` shows each of them, with the one to the job's own URL."""
    added(run)
    job = place(store, SITUATIONS["rendering"])
    assert store.jobs.transition(job, EVENTS["rendering failed"]) is not None
    monkeypatch.setattr(sys, "argv", ["sceneshift", "jobs", "get", job.id])
    assert main() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("webhook job.failed")]
    assert [" to shop," in line for line in lines] == [False, True]
