"""Why a webhook is believed or not, told in full, and never otherwise than `verify` decides."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sceneshift.webhooks import WebhookVerificationError, sign, verify
from sceneshift.webhooks.explaining import explain
from tests.unit.test_webhook_vectors import VECTORS
from tests.webhook_material import HEADERS, NOW, OLD_SECRET, PAYLOAD, SECRET, STRANGERS_SECRET
from tests.webhook_vectors import PAIR, content, headers_of, public_text, v1a


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_it_never_contradicts_verify(vector: dict[str, Any]) -> None:
    """An event is told exactly when `verify` returns it, and otherwise what `verify` refuses is among the reasons."""
    body, headers, now = base64.b64decode(vector["body_base64"]), vector["headers"], vector["now"]
    told = explain(body, headers, vector["keys"], now=now)
    refused, event = "", None
    try:
        event = verify(body, headers, vector["keys"], now=now)
    except WebhookVerificationError as error:
        refused = error.check
    assert told.event == event
    assert refused in told.failed if refused else told.failed == ()


def texts(*arguments: object, now: float = NOW, **options: object) -> dict[str, str]:
    told = explain(*arguments, now=now, **options)  # type: ignore[arg-type]  # the arguments of each case below
    return {finding.subject: finding.text for finding in told.findings}


def test_a_right_signature_that_came_late() -> None:
    """Of a webhook that came late, it is told how late it came and that its signature is right all the same."""
    told = explain(PAYLOAD, HEADERS, [OLD_SECRET, SECRET], now=NOW + 412)
    assert told.failed == ("timestamp_out_of_tolerance",)
    said = {finding.subject: finding.text for finding in told.findings}
    assert said["timestamp"] == "webhook-timestamp is 412 s old; 300 s are allowed"
    assert said["signature"] == "signature 1 of 1 is by secret 2 of 2"
    assert said["body"] == f"job.completed, {len(PAYLOAD)} bytes"
    assert texts(PAYLOAD, HEADERS, [SECRET], now=NOW - 3)["timestamp"] == "signed 3 s from now"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (PAYLOAD + b"\n", "without the newline at its end"),
        (PAYLOAD + b"\r\n", "without the newline at its end"),
        (json.dumps(json.loads(PAYLOAD), indent=1).encode(), "dumped without spaces"),
    ],
)
def test_what_was_done_to_a_body(changed: bytes, what: str) -> None:
    """When a tool has changed the body in a usual way, it is told which."""
    assert f"right for this body {what}" in texts(changed, HEADERS, [SECRET])["signature"]


def test_what_was_done_to_a_body_with_line_ends() -> None:
    """A body whose line ends were changed, or whose last one was cut off, is told apart from a forged one."""
    body = b'{\n"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z","data":{}\n}\n'
    headers = sign(body, webhook_id="evt_1", timestamp=NOW, secrets=[SECRET])
    assert "with other line ends" in texts(body.replace(b"\n", b"\r\n"), headers, [SECRET])["signature"]
    windows = body.replace(b"\n", b"\r\n")
    signed = sign(windows, webhook_id="evt_1", timestamp=NOW, secrets=[SECRET])
    assert "with other line ends" in texts(body, signed, [SECRET])["signature"]
    assert "with a newline at its end" in texts(body[:-1], headers, [SECRET])["signature"]
    assert "the secret is not the sender's" in texts(body, headers, [STRANGERS_SECRET])["signature"]


def test_keys_of_the_other_kind() -> None:
    """Who has a secret where a public key is needed, or the other way round, is told which."""
    only_public = headers_of(v1a(PAIR, content(PAYLOAD, "evt_1", NOW)), webhook_id="evt_1")
    assert "a public key (whpk_…) is needed" in texts(PAYLOAD, only_public, [SECRET])["signature"]
    assert "a secret (whsec_…) is needed" in texts(PAYLOAD, HEADERS, [public_text(PAIR)])["signature"]
    both = [STRANGERS_SECRET, public_text(PAIR)]
    assert texts(PAYLOAD, only_public, both)["signature"] == "signature 1 of 1 is by public key 1 of 1"


def test_no_secret_is_repeated() -> None:
    """Whatever is wrong with a secret or a signature, the secret is not shown."""
    for secrets in ([SECRET], [SECRET + "="], [SECRET, "whsec_AQEB"]):
        for body in (PAYLOAD, b"{}"):
            assert "AQEB" not in str(explain(body, HEADERS, secrets, now=NOW).findings)
