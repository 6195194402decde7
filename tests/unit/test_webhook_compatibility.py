"""Receivers outlive releases: what was sent before is still read, and what is sent now passes what they check.

Beside this file, `webhooks_2026_11_01/` holds webhooks and schemas as the first version of that name had them. They are
not to be brought up to date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

# jsonschema ships no types, and its stubs are not among the tools of this project.
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sceneshift.webhooks import event_payload, verify
from sceneshift.webhooks.events import JobEvent
from tests.unit.test_webhook_schemas import EXAMPLES
from tests.webhook_material import SECRET

FIRST_VERSION = Path(__file__).parent / "webhooks_2026_11_01"
SENT: list[dict[str, Any]] = json.loads((FIRST_VERSION / "sent.json").read_text(encoding="utf-8"))


def old_schema(type_: str) -> Any:
    """What a receiver of the first version may check a body with."""
    return json.loads((FIRST_VERSION / f"{type_}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("webhook", SENT, ids=lambda webhook: webhook["state"])
def test_webhooks_of_the_first_version_still_verify(webhook: dict[str, Any]) -> None:
    """Signature, type and state are read as they were; what was not yet told has a value that does no harm."""
    timestamp = int(webhook["headers"]["webhook-timestamp"])
    event = verify(webhook["body"].encode(), webhook["headers"], SECRET, now=timestamp)
    assert isinstance(event, JobEvent)
    assert (event.data.state, event.data.late) == (webhook["state"], webhook["late"])


@pytest.mark.parametrize("webhook", SENT, ids=lambda webhook: webhook["state"])
def test_webhooks_of_the_first_version_pass_today_s_schemas(webhook: dict[str, Any]) -> None:
    """A store of old events can be checked with the new schemas: nothing that may be left out became required."""
    body = json.loads(webhook["body"])
    schema = Path(__file__).parents[2] / "sceneshift/webhooks/schemas" / body["api_version"] / f"{body['type']}.json"
    Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(body)


@pytest.mark.parametrize(("type_", "data"), [each for each in EXAMPLES if each[0].startswith("job.")])
def test_what_is_sent_today_passes_the_first_version_s_schemas(type_: str, data: dict[str, Any]) -> None:
    """Within a version of the interface fields are added, and no field gets a value that was not allowed before."""
    body = json.loads(event_payload(type_, occurred_at=1_795_392_003.12, data=data))
    Draft202012Validator(old_schema(type_)).validate(body)
