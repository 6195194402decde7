"""The trial of a receiver: each mistake is found by the check that has its name, and who does right passes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sceneshift.errors import InvalidRequestError
from sceneshift.webhooks.consumer_checks import CHECK_NAMES, CHECKS, ConsumerReport, check_consumer
from sceneshift.webhooks.consumer_trial import STRANGERS_SECRET, Consumer
from sceneshift.webhooks.posting import Endpoint
from tests.loopback import Listener, answer
from tests.webhook_consumers import (
    GoodConsumer,
    NeverDeduplicates,
    TrustsTheOrder,
    VerifiesDumpedAgain,
    VerifiesDumpedWithSpaces,
)
from tests.webhook_material import OLD_SECRET, SECRET

ROOT = Path(__file__).resolve().parents[2]


def trial_of(consumer: GoodConsumer, **changes: Any) -> ConsumerReport:
    """The report on this consumer, which knows two secrets and can be looked into."""
    known: dict[str, Any] = {"secret": SECRET, "old_secret": OLD_SECRET, "acted": consumer.acted}
    return check_consumer(Consumer(send=consumer, state=consumer.states.get, **(known | changes)))


def failures(report: ConsumerReport) -> list[str]:
    return [failure.name for failure in report.failed]


def test_a_good_consumer_passes_everything() -> None:
    """Who verifies raw bytes, remembers ids and minds the sequence passes every check."""
    report = trial_of(GoodConsumer())
    assert report.failed == (), str(report)
    assert report.passed == CHECK_NAMES
    assert len(CHECK_NAMES) == len(set(CHECK_NAMES)) == 15


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        (VerifiesDumpedAgain, "raw_body_verified"),
        (VerifiesDumpedWithSpaces, "raw_body_verified"),
        (NeverDeduplicates, "duplicate_acts_once"),
        (TrustsTheOrder, "reordered_events_end_right"),
    ],
)
def test_each_mistake_fails_its_check_and_no_other(bad: type[GoodConsumer], check: str) -> None:
    """A consumer with one mistake learns its name and what to do about it."""
    report = trial_of(bad())
    assert failures(report) == [check]
    text = str(report)
    [remedy] = [each.remedy for each in CHECKS if each.name == check]
    assert f"{check}: " in text
    assert remedy in text


Mistake = Callable[[GoodConsumer, bytes, Mapping[str, str]], int | None]
"""What a consumer does before it does right; a status, when that is its whole answer."""


class Careless(GoodConsumer):
    """A good consumer that makes one mistake first."""

    mistake: Mistake

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> int:
        answer = type(self).mistake(self, body, headers)
        return super().__call__(body, headers) if answer is None else answer


def careless(mistake: Mistake) -> Careless:
    return type("CarelessOnce", (Careless,), {"mistake": mistake})()  # type: ignore[no-any-return]  # made just here


def marks_before_verifying(consumer: GoodConsumer, _body: bytes, headers: Mapping[str, str]) -> int | None:
    event_id = headers.get("webhook-id", "")
    if event_id in consumer.seen:
        return 204
    consumer.seen.add(event_id)
    return None


def needs_a_header(_consumer: GoodConsumer, _body: bytes, headers: Mapping[str, str]) -> int | None:
    return None if headers["webhook-timestamp"] else 401


MISTAKES: dict[str, Mistake] = {
    "unsigned_event_refused": lambda _c, _body, headers: None if "webhook-signature" in headers else 204,
    "tampered_event_refused": lambda _c, body, _headers: 204 if b"SAMPLE-2" in body else None,
    "several_signatures_accepted": lambda _c, _body, headers: (
        401 if " " in headers.get("webhook-signature", "") else None
    ),
    "every_type_accepted": lambda _c, body, _headers: 404 if b'"webhook.test"' in body else None,
    "unknown_type_accepted": lambda _c, body, _headers: 422 if b"teleported" in body else None,
    "unknown_fields_accepted": lambda _c, body, _headers: 400 if b'"future"' in body else None,
    "valid_event_accepted": lambda _c, _body, _headers: 403,
}


@pytest.mark.parametrize("check", list(MISTAKES))
def test_every_other_mistake_has_a_check_of_its_own(check: str) -> None:
    """Believing too much, believing too little, and breaking on what is new are each found, under one name."""
    assert failures(trial_of(careless(MISTAKES[check]))) == [check]


@pytest.mark.parametrize(
    ("check", "consumer"),
    [
        ("wrong_secret_refused", GoodConsumer(secrets=[SECRET, OLD_SECRET, STRANGERS_SECRET])),
        ("old_secret_accepted", GoodConsumer(secrets=[SECRET])),
        ("late_event_refused", GoodConsumer(tolerance_seconds=3600)),
    ],
)
def test_wrong_configurations_are_found(check: str, consumer: GoodConsumer) -> None:
    """A secret too many, one too few, and no limit to the age of a webhook have their checks, too."""
    assert failures(trial_of(consumer)) == [check]


def test_forgeries_that_close_the_door() -> None:
    """A consumer that notes ids before it verifies lets forgers keep the right event out."""
    assert "forgery_leaves_no_trace" in failures(trial_of(careless(marks_before_verifying)))


def test_a_slow_consumer() -> None:
    """Who works before answering is told so."""
    assert failures(trial_of(GoodConsumer(), answer_within_seconds=0.0)) == ["answered_in_time"]


def test_a_crash_is_neither_a_yes_nor_a_no() -> None:
    """An endpoint that raises on a missing header is told what it raised."""
    report = trial_of(careless(needs_a_header))
    assert failures(report) == ["unsigned_event_refused"]
    assert "KeyError" in str(report)


def test_a_function_that_returns_no_status_is_told_so() -> None:
    """A test client's answer in place of its status is the test's own mistake, and is named."""
    respond: Any = lambda _body, _headers: object()  # noqa: E731  # a mistake that the types forbid
    report = check_consumer(Consumer(send=respond, secret=SECRET))
    assert failures(report) == ["valid_event_accepted"]
    assert "a status is to be returned, and this was a value of type object" in str(report)


def test_what_cannot_be_tried_is_said() -> None:
    """Checks for which the test gives no means are listed, never silently passed; so are those it does not want."""
    consumer = GoodConsumer()
    bare = Consumer(send=consumer, secret=SECRET)
    report = check_consumer(bare, without=["answered_in_time"])
    assert report.failed == ()
    assert set(report.left_out) == {
        "answered_in_time", "duplicate_acts_once", "old_secret_accepted", "reordered_events_end_right"
    }  # fmt: skip
    assert set(report.passed) | set(report.left_out) == set(CHECK_NAMES)
    with pytest.raises(ValueError, match="no such check: nonsense"):
        check_consumer(bare, without=["nonsense"])


@pytest.mark.parametrize("url", ["", "shop", "ftp://shop.example/", "http://", "http://[::1", "http://a:b/"])
def test_what_is_no_endpoint(url: str) -> None:
    """A text that is no web address is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match="is not a URL"):
        Endpoint(url)


def test_an_endpoint_by_its_url() -> None:
    """What is posted is what was given, to the path with its query; a redirect is an answer and is not followed."""
    with Listener(answer(status="302 Found", headers=["Location: http://127.0.0.1:1/"])) as listener:
        status = Endpoint(f"http://127.0.0.1:{listener.port}/a?b=1")(b"body", {"webhook-id": "evt_1"})
    assert status == 302
    [request] = listener.requests
    assert request.startswith(b"POST /a?b=1 HTTP/1.1\r\n")
    assert b"webhook-id: evt_1\r\n" in request
    assert request.endswith(b"\r\n\r\nbody")


def test_what_is_not_http() -> None:
    """An endpoint that talks something else has not answered."""
    with Listener(b"hello\r\n\r\n") as listener, pytest.raises(ConnectionError, match="is not HTTP"):
        Endpoint(f"http://127.0.0.1:{listener.port}/")(b"", {})


# The plugin


def run_pytest(directory: Path, consumer: str, *, used: bool = True) -> subprocess.CompletedProcess[str]:
    """What pytest says about a shop's own test of this consumer, with the plugin and no other."""
    (directory / "test_shop.py").write_text(
        textwrap.dedent(f"""
            from tests.webhook_consumers import {consumer}
            from tests.webhook_material import OLD_SECRET, SECRET

            def test_my_endpoint({"check_webhook_consumer" if used else ""}):
                consumer = {consumer}()
                {"check_webhook_consumer" if used else "print"}(
                    consumer, {
            "secret=SECRET, old_secret=OLD_SECRET, acted=consumer.acted, state=consumer.states.get" if used else ""
        }
                )
        """)
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "sceneshift.webhooks.pytest_plugin",
               "-p", "no:cacheprovider", "--rootdir", str(directory), "--noconftest"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_fixture_passes_a_good_consumer(tmp_path: Path) -> None:
    """A shop's own test with the fixture is green when its endpoint does right."""
    done = run_pytest(tmp_path, "GoodConsumer")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fixture_fails_a_bad_consumer_by_name(tmp_path: Path) -> None:
    """A shop's own test is red when its endpoint does not, with the name of the check, the remedy, and no traceback."""
    done = run_pytest(tmp_path, "NeverDeduplicates")
    assert done.returncode == 1
    assert "failed 1 of 15 checks" in done.stdout
    assert "duplicate_acts_once: one event, sent three times, was acted on 3 times" in done.stdout
    assert "unique key" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_plugin_costs_other_tests_nothing(tmp_path: Path) -> None:
    """Loading the plugin imports nothing of the library but itself, and the checks come when a test asks for them."""
    code = (
        "import sys, sceneshift.webhooks.pytest_plugin\n"
        "print(*sorted(name for name in sys.modules if name.startswith('sceneshift.webhooks.')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "sceneshift.webhooks.consumer_checks" not in shown.stdout
    assert run_pytest(tmp_path, "GoodConsumer", used=False).returncode == 0


def test_pytest_finds_the_plugin_by_itself() -> None:
    """The entry point names a module of ours that has the fixture."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [module] = project["entry-points"]["pytest11"].values()
    assert hasattr(importlib.import_module(module), "check_webhook_consumer")
