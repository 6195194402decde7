"""Scenarios of a query: the question goes wrong, whatever became of the job."""

from __future__ import annotations

from typing import Any, Final

from sceneshift.simulator.answers import Answer, Fault, Voice
from sceneshift.simulator.deliveries import CutShort, Dropped, Padded, Silent
from sceneshift.simulator.scenarios.misanswers import (
    HTML,
    content,
    cut,
    delivered,
    edited,
    prefixed,
    row,
)
from sceneshift.simulator.scenarios.scenario import Reaction, Scenario

_BODY_MAX_BYTES: Final = 10 * 1024 * 1024


def _about_another(due: Answer, _voice: Voice) -> Answer:
    data = {**((due.body or {}).get("data") or {}), "result_key": "0" * 32}
    return due.changed(body={**(due.body or {}), "data": data})


def _with_two_items(due: Answer, _voice: Voice) -> Answer:
    data: dict[str, Any] = dict((due.body or {}).get("data") or {})
    return due.changed(body={**(due.body or {}), "data": {**data, "task_list": 2 * data.get("task_list", [])}})


def _with_two_verdicts(due: Answer, _voice: Voice) -> Answer:
    text = due.payload().decode()
    return due.changed(content=text.replace('"success":true', '"success":false,"success":true', 1).encode())


def _in_utf16(due: Answer, _voice: Voice) -> Answer:
    return due.changed(content=due.payload().decode().encode("utf-16"), content_type="application/json; charset=gbk")


QUERIES: Final = (
    Scenario(
        name="query-drop",
        behaviour="The connection is closed without an answer.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=delivered(Dropped()),
    ),
    Scenario(
        name="query-timeout",
        behaviour="Silence.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=delivered(Silent()),
    ),
    Scenario(
        name="query-500",
        behaviour="`Internal server error`.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=row(Fault.INTERNAL_ERROR),
    ),
    Scenario(
        name="query-html",
        behaviour="200 and an HTML page.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=content(200, HTML),
    ),
    Scenario(
        name="query-empty",
        behaviour="200 and an empty body.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=content(200, b"", "application/json"),
    ),
    Scenario(
        name="query-garbage",
        behaviour="200 and bytes that are no text.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=content(200, bytes(range(256)) * 4, "application/json"),
    ),
    Scenario(
        name="query-truncated",
        behaviour="The answer's JSON breaks off, and its length says that it is whole.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=cut(0.6),
    ),
    Scenario(
        name="query-cut",
        behaviour="The connection is closed in the middle of the answer.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=delivered(CutShort()),
    ),
    Scenario(
        name="query-huge",
        behaviour="An answer of 10 MB.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=delivered(Padded(size_bytes=_BODY_MAX_BYTES, announced=True)),
    ),
    Scenario(
        name="query-without-data",
        behaviour="Success, with `data: null`.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=edited(data=None),
    ),
    Scenario(
        name="query-without-items",
        behaviour="Success, with an empty `task_list`.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=edited(data={"task_list": []}),
    ),
    Scenario(
        name="query-with-two-items",
        behaviour="Two items, where one was sent.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=_with_two_items,
    ),
    Scenario(
        name="query-with-two-verdicts",
        behaviour="`success` twice, false and true.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=_with_two_verdicts,
    ),
    Scenario(
        name="query-about-another",
        behaviour="The answer is about another `result_key`.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=_about_another,
    ),
    Scenario(
        name="query-in-utf16",
        behaviour="The right answer in UTF-16, under the name of another charset.",
        reaction=Reaction.GOES_ON,
        misanswer=_in_utf16,
    ),
    Scenario(
        name="query-with-bom",
        behaviour="The right answer behind a byte order mark.",
        reaction=Reaction.GOES_ON,
        misanswer=prefixed(b"\xef\xbb\xbf"),
    ),
    Scenario(
        name="query-throttled-retry-after",
        behaviour="Throttled, with `Retry-After: 30`.",
        reaction=Reaction.ASKED_AGAIN,
        misanswer=row(Fault.THROTTLED, retry_after="30"),
    ),
)
