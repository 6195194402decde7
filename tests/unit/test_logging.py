"""The service's logs: one JSON object per line and event, whatever is in the fields."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from workers.logging import QUIET, configure_logging

log = logging.getLogger("sceneshift.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Handlers and levels of this process are put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)


class Lines:
    """What is written to this process's standard error once logging has been configured here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._stream = io.StringIO()

    def configure(self, log_format: str = "json", log_level: str = "INFO") -> None:
        self._monkeypatch.setattr(sys, "stderr", self._stream)
        configure_logging(log_format=log_format, log_level=log_level)

    def alone(self) -> None:
        """Nobody else hears of what is logged: a test's report, which must be UTF-8, would hold it too."""
        root = logging.getLogger()
        root.handlers[:] = [each for each in root.handlers if getattr(each, "stream", None) is self._stream]

    def texts(self) -> list[str]:
        return self._stream.getvalue().splitlines(keepends=True)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.texts()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The lines of JSON logging at INFO, until a test configures it otherwise."""
    lines = Lines(monkeypatch)
    lines.configure()
    return lines


def test_an_event_is_one_json_object_with_its_fields(lines: Lines) -> None:
    """Name, level, logger, time in UTC and every field that the caller gave, on standard error."""
    log.info("job.moved", extra={"job_id": "job_1", "attempt": 2, "code": None})
    (event,) = lines.events()
    assert event.pop("ts").endswith("Z")
    assert event == {
        "event": "job.moved",
        "level": "info",
        "logger": "sceneshift.test",
        "job_id": "job_1",
        "attempt": 2,
        "code": None,
    }


@pytest.mark.parametrize(
    "text",
    ["a\nb", "a\r\nb", "\x1b[31mred\x1b[0m", "a\u2028b", "a\x00b", "a\u0085b", '"}\n{"event": "forged"}', "\ud800"],
    ids=ascii,
)
def test_nobody_can_forge_a_line(lines: Lines, text: str) -> None:
    """Whatever a provider, a shop or an attacker put into a field or a message, it stays inside one line of ASCII."""
    lines.alone()
    log.warning("event %s", text, extra={"field": text})
    (line,) = lines.texts()
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    event = json.loads(line)
    assert (event["field"], event["event"]) == (text, f"event {text}")


def test_an_exception_is_part_of_its_line(lines: Lines) -> None:
    """With its type and text, and still on one line."""
    log.error("step.failed", exc_info=ValueError("two\nlines"))
    (event,) = lines.events()
    assert "ValueError: two\nlines" in event["exception"]
    assert event["level"] == "error"


def test_a_field_of_any_type_is_logged(lines: Lines) -> None:
    """What JSON does not know becomes text instead of an exception inside of the logging."""
    log.info("odd", extra={"field": {1, 2}, "other": object})
    (event,) = lines.events()
    assert "1" in str(event["field"])


def test_an_event_of_a_task_has_the_task_s_id(lines: Lines) -> None:
    """So that the lines of one step can be found from Flower; outside of a task there is none."""
    app = Celery("logging", set_as_current=False)

    @app.task(name="logging.say", shared=False)
    def say() -> None:
        log.info("inside")

    say.apply(task_id="job_1:submit-1")
    log.info("outside")
    inside, outside = lines.events()
    assert inside["task_id"] == "job_1:submit-1"
    assert outside.get("task_id") is None


def test_a_task_s_own_id_field_is_kept(lines: Lines) -> None:
    """An event may be about another task than the one that it happens in."""
    app = Celery("logging", set_as_current=False)

    @app.task(name="logging.say", shared=False)
    def say() -> None:
        log.info("about another", extra={"task_id": "job_2:poll-001"})

    say.apply(task_id="job_1:submit-1")
    assert [event["task_id"] for event in lines.events()] == ["job_2:poll-001"]


@pytest.mark.parametrize("name", ["httpx", "httpcore", "celery.app.trace", "celery.worker.strategy", "botocore"])
@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_what_others_chat_is_left_out(lines: Lines, name: str, level: str) -> None:
    """Their INFO lines hold addresses with signatures, or repeat our own events; their warnings are kept."""
    lines.configure("json", level)
    chatty = logging.getLogger(name)
    chatty.info("GET https://result.example/0.png?signature=secret")
    chatty.warning("something is wrong")
    assert [event["event"] for event in lines.events()] == ["something is wrong"]


def test_the_level_is_the_one_that_was_set(lines: Lines) -> None:
    """Below it nothing is written, and a quiet logger does not become louder than the rest."""
    lines.configure("json", "ERROR")
    log.warning("no")
    logging.getLogger("httpx").warning("no")
    log.error("yes")
    assert [event["event"] for event in lines.events()] == ["yes"]


def test_configuring_twice_writes_once(lines: Lines) -> None:
    """Celery may ask for its logging more than once."""
    for _ in range(2):
        lines.configure("json", "INFO")
    log.info("once")
    assert len(lines.events()) == 1


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred"], ids=ascii)
def test_a_console_line_cannot_be_forged_either(lines: Lines, text: str) -> None:
    """What people watch in a terminal moves no cursor and begins no line by what a stranger wrote."""
    lines.configure("console", "INFO")
    log.info("job.moved", extra={"field": text})
    (line,) = lines.texts()
    assert text not in line
