"""Scenarios of a submission: every way to lose its answer, before and after it was accepted and charged."""

from __future__ import annotations

from typing import Any, Final

from sceneshift.simulator.answers import Answer, Fault, Voice
from sceneshift.simulator.deliveries import CutShort, Dropped, Padded, Silent
from sceneshift.simulator.gateway_forms import FORMS
from sceneshift.simulator.scenarios.misanswers import HTML, content, cut, delivered, edited, form, row
from sceneshift.simulator.scenarios.scenario import Reaction, Scenario

_BODY_MAX_BYTES: Final = 10 * 1024 * 1024


def _without_key(due: Answer, _voice: Voice) -> Answer:
    data: dict[str, Any] = dict((due.body or {}).get("data") or {})
    data.pop("result_key", None)
    return due.changed(body={**(due.body or {}), "data": data})


def _with_two_keys(due: Answer, _voice: Voice) -> Answer:
    text = due.payload().decode()
    return due.changed(content=text.replace('"result_key":', '"result_key":"00000000",  "result_key":', 1).encode())


def _rejected_without_reason(due: Answer, voice: Voice) -> Answer:
    rejected = row(Fault.CONTENT_REJECTED)(due, voice)
    return rejected.changed(body={**(rejected.body or {}), "message": ""})


def _with_extras(due: Answer, _voice: Voice) -> Answer:
    body = due.body or {}
    data = {**(body.get("data") or {}), "eta": {"seconds": 12}}
    odd = {"code": str(body.get("code")), "traceId": "0a1b2c", "severity": None, "data": data}
    return due.changed(body={**body, **odd})


SUBMISSIONS: Final = (
    Scenario(
        name="submit-drop",
        behaviour="The connection is closed before anything was done.",
        reaction=Reaction.HELD,
        misanswer=delivered(Dropped()),
        works=False,
    ),
    Scenario(
        name="submit-timeout",
        behaviour="Silence; nothing was done.",
        reaction=Reaction.HELD,
        misanswer=delivered(Silent()),
        works=False,
    ),
    Scenario(
        name="submit-500",
        behaviour="`Internal server error`; nothing was done.",
        reaction=Reaction.HELD,
        misanswer=row(Fault.INTERNAL_ERROR),
        works=False,
    ),
    Scenario(
        name="submit-html-502",
        behaviour="An HTML page of some server in between, with status 502; nothing was done.",
        reaction=Reaction.HELD,
        misanswer=content(502, HTML),
        works=False,
    ),
    Scenario(
        name="submit-accept-then-drop",
        behaviour="Accepted and charged; then the connection is closed without an answer.",
        reaction=Reaction.HELD,
        misanswer=delivered(Dropped()),
    ),
    Scenario(
        name="submit-accept-then-timeout",
        behaviour="Accepted and charged; then silence.",
        reaction=Reaction.HELD,
        misanswer=delivered(Silent()),
    ),
    Scenario(
        name="submit-accept-then-500",
        behaviour="Accepted and charged; then `Internal server error`.",
        reaction=Reaction.HELD,
        misanswer=row(Fault.INTERNAL_ERROR),
    ),
    Scenario(
        name="submit-accept-then-503",
        behaviour="Accepted and charged; then the gateway says `Service Unavailable`.",
        reaction=Reaction.HELD,
        misanswer=form(FORMS["classic-unavailable"]),
    ),
    Scenario(
        name="submit-accept-then-504",
        behaviour="Accepted and charged; then the gateway's time-out, `D504TO`.",
        reaction=Reaction.HELD,
        misanswer=form(FORMS["vpc-d504to"]),
    ),
    Scenario(
        name="submit-accept-then-nonce-used",
        behaviour="Accepted and charged; then `Nonce Used`, as if something in between had sent it twice.",
        reaction=Reaction.HELD,
        misanswer=form(FORMS["vpc-s403nu"]),
    ),
    Scenario(
        name="submit-accept-then-html",
        behaviour="Accepted and charged; answered with 200 and an HTML page.",
        reaction=Reaction.HELD,
        misanswer=content(200, HTML),
    ),
    Scenario(
        name="submit-accept-then-empty",
        behaviour="Accepted and charged; answered with 200 and an empty body.",
        reaction=Reaction.HELD,
        misanswer=content(200, b"", "application/json"),
    ),
    Scenario(
        name="submit-accept-then-truncated",
        behaviour="Accepted and charged; the answer's JSON breaks off, and its length says that it is whole.",
        reaction=Reaction.HELD,
        misanswer=cut(0.4),
    ),
    Scenario(
        name="submit-accept-then-cut",
        behaviour="Accepted and charged; the connection is closed in the middle of the answer.",
        reaction=Reaction.HELD,
        misanswer=delivered(CutShort()),
    ),
    Scenario(
        name="submit-accept-then-huge",
        behaviour="Accepted and charged; the answer has 10 MB.",
        reaction=Reaction.HELD,
        misanswer=delivered(Padded(size_bytes=_BODY_MAX_BYTES, announced=True)),
    ),
    Scenario(
        name="submit-accept-without-data",
        behaviour="Accepted and charged; the answer has `data: null`.",
        reaction=Reaction.HELD,
        misanswer=edited(data=None),
    ),
    Scenario(
        name="submit-accept-without-key",
        behaviour="Accepted and charged; the answer has no `result_key`.",
        reaction=Reaction.HELD,
        misanswer=_without_key,
    ),
    Scenario(
        name="submit-accept-with-two-keys",
        behaviour="Accepted and charged; the answer has `result_key` twice, with different values.",
        reaction=Reaction.HELD,
        misanswer=_with_two_keys,
    ),
    Scenario(
        name="submit-accept-with-extras",
        behaviour="Accepted; the answer has unknown fields, its code as text, and a null where a text was.",
        reaction=Reaction.GOES_ON,
        misanswer=_with_extras,
    ),
    Scenario(
        name="submit-redirect",
        behaviour="307 to another address, which would get the submission a second time.",
        reaction=Reaction.HELD,
        misanswer=content(307, b"", location="http://127.0.0.1:9/elsewhere"),
        works=False,
    ),
    Scenario(
        name="submit-refused-without-reason",
        behaviour="403 with the code of the content check and an empty message: in the other reading, the code means "
        "throttling.",
        reaction=Reaction.FAILS_UNEXPLAINED,
        misanswer=_rejected_without_reason,
        works=False,
    ),
    Scenario(
        name="submit-throttled-retry-after",
        behaviour="Throttled, with `Retry-After: 30`.",
        reaction=Reaction.WAITS_FOR_RATE,
        misanswer=row(Fault.THROTTLED, retry_after="30"),
        works=False,
    ),
)
