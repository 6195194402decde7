"""A signed webhook, its secrets and the ways to get one refused, for the tests of both ends."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from sceneshift.webhooks import WebhookVerificationError, event_payload, sign, verify

NOW = 1_795_392_000


def secret_of(byte: int, size_bytes: int = 32) -> str:
    """A secret that is plainly made for a test: one byte, repeated."""
    return "whsec_" + base64.b64encode(bytes([byte]) * size_bytes).decode()


SECRET = secret_of(1)
OLD_SECRET = secret_of(2)
STRANGERS_SECRET = secret_of(3)

JOB: dict[str, Any] = {"job_id": "job_01", "sequence": 4, "state": "succeeded"}
PAYLOAD = event_payload("job.completed", occurred_at=NOW, data=JOB)
HEADERS = sign(PAYLOAD, webhook_id="evt_1", timestamp=NOW, secrets=[SECRET])
SIGNATURE = HEADERS["webhook-signature"]


def check_that_fails(
    payload: Any = PAYLOAD, headers: Mapping[str, Any] = HEADERS, secret: Any = SECRET, **options: Any
) -> str:
    """The check that a webhook, which must be refused, fails."""
    with pytest.raises(WebhookVerificationError) as caught:
        verify(payload, headers, secret, **{"now": NOW, **options})
    text = str(caught.value)
    assert text
    assert "AQEB" not in text, "the message must not repeat the secret"
    return caught.value.check


def signed(body: bytes, webhook_id: str = "evt_1") -> dict[str, str]:
    return sign(body, webhook_id=webhook_id, timestamp=NOW, secrets=[SECRET])
