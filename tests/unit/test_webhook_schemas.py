from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

# jsonschema ships no types, and its stubs are not among the tools of this project.
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sceneshift.jobs.states import JobState
from sceneshift.webhooks import API_VERSION, EVENT_TYPES, event_payload, new_secret, sign, verify

SCHEMAS = resources.files("sceneshift.webhooks") / "schemas" / API_VERSION

OUTPUT: dict[str, Any] = {
    "index": 0,
    "key": "results/2026/11/23/job_01JD7P/0.webp",
    "s3_uri": "s3://shots/results/2026/11/23/job_01JD7P/0.webp",
    "url": "https://store.example/0.webp?signature=x",
    "url_expires_at": "2026-11-24T00:00:03Z",
    "sha256": "0f" * 32,
    "content_type": "image/webp",
    "width": 1024,
    "height": 1024,
    "size_bytes": 183_042,
}
ERROR = {"code": "a_code_from_the_future", "message": "The provider refused the image."}

ENDPOINT: dict[str, Any] = {
    "endpoint": {"id": "url_0123456789abcdef", "name": None, "url": "https://shop.example/hook"},
    "failing_since": "2026-11-20T00:00:00.000Z",
    "percent": 50,
    "disables_at": "2026-11-25T00:00:00.000Z",
    "last_status": "fetch_timeout",
    "reason": "failing",
}


def job(state: str, **changes: Any) -> dict[str, Any]:
    return {
        "job_id": "job_01JD7P",
        "sequence": 4,
        "state": state,
        "sku": "TSHIRT-RED-M",
        "idempotency_key": None,
        "metadata": {"product_id": "gid://shop/Product/1"},
        "requested": 1,
        "outputs": [],
        "missing": [],
        "source": {"image": "https://shop.example/shirt.png", "version": "2026-11-22T09:00:00Z"},
        "provenance": {"digital_source_type": "compositeWithTrainedAlgorithmicMedia"},
        "timings": {"queued_s": 2.1, "render_s": 74, "store_s": 1.8, "total_s": 78.4},
        "error": None,
        **changes,
    }


EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("job.completed", job("succeeded", outputs=[OUTPUT])),
    ("job.completed", job("succeeded", outputs=[OUTPUT | {"s3_uri": None, "url": None, "url_expires_at": None}])),
    (
        "job.completed",
        job("partial", outputs=[OUTPUT], missing=[{"index": 1, "code": "source_gone", "message": "404"}], late=True),
    ),
    ("job.failed", job("failed", error=ERROR)),
    ("job.cancelled", job("cancelled", sku=None, future_field=[1])),
    ("job.cancelled", job("cancelled", outputs=[OUTPUT])),
    ("job.needs_attention", job("needs_attention", error=ERROR | {"since": 1})),
    ("job.overdue", job("rendering", late=True)),
    ("batch.completed", {"batch_id": "batch_01", "total": 3, "counts": {"succeeded": 2, "failed": 1}}),
    ("webhook.test", {}),
    ("webhook.test", {"endpoint": {"id": "ep_1", "name": "shop", "url": "https://shop.example/hook"}}),
    ("endpoint.failing", ENDPOINT),
    ("endpoint.disabled", ENDPOINT | {"percent": 100, "reason": "a_reason_from_the_future"}),
]


def schema(type_: str) -> Any:
    return json.loads((SCHEMAS / f"{type_}.json").read_text(encoding="utf-8"))


def sent(type_: str, data: dict[str, Any]) -> Any:
    return json.loads(event_payload(type_, occurred_at=1_795_392_003.12, data=data))


def is_valid(type_: str, body: Any) -> bool:
    return bool(Draft202012Validator(schema(type_)).is_valid(body))


def test_one_schema_per_type() -> None:
    """Every type that we send has a schema in the package, is exemplified here, and nothing else lies about."""
    assert {entry.name for entry in SCHEMAS.iterdir()} == {f"{type_}.json" for type_ in EVENT_TYPES}
    assert {type_ for type_, _ in EXAMPLES} == set(EVENT_TYPES)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_schemas_are_schemas(type_: str) -> None:
    """Each file is a valid schema of its draft, is about its own type, and explains every field of its data."""
    found = schema(type_)
    Draft202012Validator.check_schema(found)
    assert found["properties"]["type"] == {"const": type_}
    assert found["$id"].endswith(f"{API_VERSION}:{type_}")
    for name, field in found["properties"]["data"].get("properties", {}).items():
        assert "description" in field or "$ref" in field or "allOf" in field, name


@pytest.mark.parametrize(("type_", "data"), EXAMPLES)
def test_what_we_send_is_valid(type_: str, data: dict[str, Any]) -> None:
    """Every example satisfies its schema, with unknown fields and unknown codes, and `verify` reads it."""
    Draft202012Validator(schema(type_)).validate(sent(type_, data))
    body = event_payload(type_, occurred_at=1_795_392_003, data=data)
    secret = new_secret()
    headers = sign(body, webhook_id="evt_1", timestamp=5, secrets=[secret])
    assert verify(body, headers, secret, now=5).type == type_


@pytest.mark.parametrize(("type_", "data"), EXAMPLES)
def test_every_required_field_is_required(type_: str, data: dict[str, Any]) -> None:
    """A body that lacks any required field fails, so that receivers can rely on them."""
    body = sent(type_, data)
    for name in body:
        assert not is_valid(type_, {key: value for key, value in body.items() if key != name}), name
    for name in schema(type_)["properties"]["data"].get("required", []):
        lacking = {key: value for key, value in body["data"].items() if key != name}
        assert not is_valid(type_, body | {"data": lacking}), name


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("job.completed", job("failed", outputs=[OUTPUT])),
        ("job.completed", job("succeeded")),
        ("job.completed", job("succeeded", outputs=[OUTPUT | {"sha256": "0F" * 32}])),
        ("job.completed", job("succeeded", outputs=[OUTPUT | {"size_bytes": 0}])),
        ("job.completed", job("succeeded", outputs=[OUTPUT | {"url_expires_at": 1_795_392_003}])),
        ("job.completed", job("succeeded", outputs=[OUTPUT | {"url_expires_at": "2026-11-24T00:00:03+01:00"}])),
        ("job.completed", job("succeeded", outputs=[OUTPUT | {"s3_uri": "/etc/passwd"}])),
        ("job.completed", job("succeeded", outputs=[OUTPUT], sequence="4")),
        ("job.completed", job("succeeded", outputs=[OUTPUT], late=None)),
        ("job.completed", job("succeeded", outputs=[OUTPUT], timings={"total_s": -1})),
        ("job.failed", job("failed")),
        ("job.failed", job("failed", error=ERROR, outputs=[OUTPUT])),
        ("job.failed", job("failed", error={"message": "no code"})),
        ("job.cancelled", job("rendering")),
        ("job.needs_attention", job("needs_attention")),
        ("job.overdue", job("succeeded")),
        ("batch.completed", {"batch_id": "", "total": 0, "counts": {}}),
        ("batch.completed", {"batch_id": "batch_01", "total": 1, "counts": {"failed": "1"}}),
    ],
)
def test_what_we_must_not_send_is_invalid(type_: str, data: dict[str, Any]) -> None:
    """The schemas are strict about what they name: wrong states, types and shapes fail."""
    assert not is_valid(type_, sent(type_, data))


def test_the_shared_parts_are_the_same() -> None:
    """Outputs, missing images and errors look the same in every job event."""
    jobs = [type_ for type_ in EVENT_TYPES if type_.startswith("job.")]
    assert all(schema(type_)["$defs"] == schema(jobs[0])["$defs"] for type_ in jobs)


def test_every_state_has_its_event() -> None:
    """The schemas know the states of a job: the final ones in final events, the others in `job.overdue`."""
    states = {type_: schema(type_)["properties"]["data"]["properties"]["state"]["enum"] for type_ in EVENT_TYPES[:5]}
    final = states["job.completed"] + states["job.failed"] + states["job.cancelled"]
    assert set(final) == {state for state in JobState if state.is_final}
    assert set(states["job.overdue"]) == {state for state in JobState if not state.is_final}
