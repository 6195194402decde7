from __future__ import annotations

import base64
import math
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from sceneshift.webhooks import (
    EVENT_TYPES,
    BatchCompleted,
    BatchData,
    ErrorData,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobNeedsAttention,
    JobOverdue,
    MissingData,
    OutputData,
    UnknownEvent,
    WebhookTest,
    WebhookVerificationError,
    event_payload,
    sign,
    verify,
)
from tests.unit.test_webhook_schemas import ENDPOINT
from tests.webhook_material import (
    HEADERS,
    JOB,
    NOW,
    OLD_SECRET,
    PAYLOAD,
    SECRET,
    SIGNATURE,
    STRANGERS_SECRET,
    check_that_fails,
    signed,
)


def test_the_published_vector() -> None:
    """The example of the Standard Webhooks specification gets the signature that is published with it."""
    headers = sign(
        b'{"test": 2432232314}',
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(
    body=st.text(),
    key=st.binary(min_size=24, max_size=64),
    webhook_id=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
)
def test_the_reference_implementation_accepts_ours(body: str, key: bytes, webhook_id: str) -> None:
    """Whatever we sign, the `standardwebhooks` package accepts, and it computes the same signature."""
    secret = "whsec_" + base64.b64encode(key).decode()
    theirs = standardwebhooks.Webhook(secret)
    moment = datetime.now(UTC).replace(microsecond=0)
    # A text may hold half of a surrogate pair, which no body on the wire can.
    payload = body.encode("utf-8", "replace")
    headers = sign(payload, webhook_id=webhook_id, timestamp=int(moment.timestamp()), secrets=[OLD_SECRET, secret])
    theirs.verify(payload, headers, json_parse=False)
    assert headers["webhook-signature"].split()[1] == theirs.sign(webhook_id, moment, payload.decode())


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_we_accept_the_reference_implementation(metadata: dict[str, Any]) -> None:
    """Whatever the `standardwebhooks` package signs, we accept."""
    payload = event_payload("webhook.test", occurred_at=NOW, data=metadata)
    moment = datetime.fromtimestamp(NOW, UTC)
    theirs = standardwebhooks.Webhook(SECRET).sign("msg_1", moment, payload.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": theirs}
    assert isinstance(verify(payload, headers, SECRET, now=NOW), WebhookTest)


@pytest.mark.parametrize("name", [str.lower, str.upper, str.title, str.swapcase])
def test_headers_in_any_case(name: Any) -> None:
    """Frameworks spell header names as they like."""
    headers = {"Content-Type": "application/json"} | {name(key): value for key, value in HEADERS.items()}
    assert verify(PAYLOAD, headers, SECRET, now=NOW).id == "evt_1"


def test_rotation() -> None:
    """While secrets are being replaced, either end may know the old one, the new one or both."""
    both = sign(PAYLOAD, webhook_id="evt_1", timestamp=NOW, secrets=[SECRET, OLD_SECRET])
    assert len(both["webhook-signature"].split(" ")) == 2
    for known in (SECRET, OLD_SECRET, [OLD_SECRET], [STRANGERS_SECRET, SECRET], (SECRET, OLD_SECRET)):
        assert verify(PAYLOAD, both, known, now=NOW).id == "evt_1"
    assert verify(PAYLOAD, HEADERS, [OLD_SECRET, SECRET], now=NOW).id == "evt_1"
    assert check_that_fails(headers=HEADERS, secret=OLD_SECRET) == "no_matching_signature"


@pytest.mark.parametrize(
    "header",
    [
        f"v1a,AAAA {SIGNATURE}",
        f"{SIGNATURE} v1a,AAAA",
        f"{SIGNATURE} ",
        f" {SIGNATURE}",
        f"v1 {SIGNATURE}",
        f"v1,a,b {SIGNATURE}",
        f"v1,!!! {SIGNATURE}",
        f"v1,ü\ud800 {SIGNATURE}",
        " ".join(["v1,AAAA"] * 31 + [SIGNATURE]),
    ],
)
def test_other_entries_do_not_spoil_a_right_one(header: str) -> None:
    """Entries of other versions, or nonsense, beside a right signature are passed over without a crash."""
    assert verify(PAYLOAD, HEADERS | {"webhook-signature": header}, SECRET, now=NOW).id == "evt_1"


@pytest.mark.parametrize("offset_seconds", [-300, -299, 0, 299.9, 300])
def test_within_the_tolerance(offset_seconds: float) -> None:
    """Clocks may differ by five minutes in either direction, the last second included."""
    assert verify(PAYLOAD, HEADERS, SECRET, now=NOW + offset_seconds).id == "evt_1"


@pytest.mark.parametrize("offset_seconds", [-301, -300.1, 300.1, 301, 86_400, math.nan])
def test_outside_the_tolerance(offset_seconds: float) -> None:
    """A captured webhook cannot be played back later, nor one be prepared for the future."""
    assert check_that_fails(now=NOW + offset_seconds) == "timestamp_out_of_tolerance"


def test_the_tolerance_is_the_callers() -> None:
    """A receiver may be stricter or laxer than the default."""
    assert check_that_fails(now=NOW + 2, tolerance_seconds=1) == "timestamp_out_of_tolerance"
    assert verify(PAYLOAD, HEADERS, SECRET, now=NOW + 3600, tolerance_seconds=3600).id == "evt_1"


def test_the_current_time_is_the_default() -> None:
    """Without `now` the clock on the wall decides."""
    with pytest.raises(WebhookVerificationError) as caught:
        verify(PAYLOAD, sign(PAYLOAD, webhook_id="evt_1", timestamp=0, secrets=[SECRET]), SECRET)
    assert caught.value.check == "timestamp_out_of_tolerance"


def test_seen() -> None:
    """A duplicate is reported as such, and only authentic, readable webhooks are looked up."""
    asked: list[str] = []

    def seen(webhook_id: str) -> bool:
        asked.append(webhook_id)
        return len(asked) > 1

    assert check_that_fails(payload=PAYLOAD + b" ", seen=seen) == "no_matching_signature"
    assert check_that_fails(payload=b"{}", headers=signed(b"{}"), seen=seen) == "body_unparseable"
    assert asked == []
    assert verify(PAYLOAD, HEADERS, SECRET, now=NOW, seen=seen).id == "evt_1"
    assert check_that_fails(seen=seen) == "duplicate"
    assert asked == ["evt_1", "evt_1"]


OUTPUT = {
    "index": 0,
    "key": "results/2026/11/23/job_01/0.webp",
    "s3_uri": None,
    "url": "https://store.example/0.webp",
    "url_expires_at": "2026-11-24T00:00:03Z",
    "sha256": "ab" * 32,
    "content_type": "image/webp",
    "width": 1024,
    "height": 768,
    "size_bytes": 183042,
    "future": 1,
}


def received(type_: str, data: Mapping[str, Any]) -> Any:
    body = event_payload(type_, occurred_at=NOW + 0.12, data=data)
    return verify(body, signed(body), SECRET, now=NOW)


def test_job_completed() -> None:
    """A completed job arrives typed; missing fields have defaults, unknown ones are kept in `raw`."""
    event = received(
        "job.completed",
        JOB
        | {
            "state": "partial",
            "sku": "TSHIRT-RED-M",
            "metadata": {"product": "ü"},
            "requested": 2,
            "outputs": [OUTPUT],
            "missing": [{"index": 1, "code": "source_gone", "message": "404"}],
            "timings": {"total_s": 78.4},
            "late": True,
            "future": "field",
        },
    )
    match event:
        case JobCompleted(id="evt_1", type="job.completed", api_version="2026-11-01", data=job):
            pass
    assert event.timestamp == datetime.fromtimestamp(NOW, UTC) + timedelta(milliseconds=120)
    assert (job.job_id, job.sequence, job.state, job.sku, job.requested) == ("job_01", 4, "partial", "TSHIRT-RED-M", 2)
    (output,) = job.outputs
    assert isinstance(output, OutputData)
    assert (output.key, output.s3_uri, output.size_bytes) == (OUTPUT["key"], None, 183042)
    assert output.url_expires_at == datetime(2026, 11, 24, 0, 0, 3, tzinfo=UTC)
    assert job.missing == (MissingData(index=1, code="source_gone", message="404"),)
    assert (job.metadata, job.timings, job.late, job.error) == ({"product": "ü"}, {"total_s": 78.4}, True, None)
    assert (job.idempotency_key, job.source, job.provenance) == (None, {}, {})
    assert (job.raw["future"], output.raw["future"], event.raw["data"]["future"]) == ("field", 1, "field")


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("job.failed", JobFailed),
        ("job.cancelled", JobCancelled),
        ("job.needs_attention", JobNeedsAttention),
        ("job.overdue", JobOverdue),
    ],
)
def test_other_job_events(type_: str, kind: type[Any]) -> None:
    """Every job event has its own type and the same data."""
    event = received(type_, JOB | {"error": {"code": "brand_new_code", "message": "Why.", "charged": "unknown"}})
    assert type(event) is kind
    assert event.data.error == ErrorData(code="brand_new_code", message="Why.")
    assert event.data.error.raw["charged"] == "unknown"


def test_batch_and_test_events() -> None:
    """A finished batch tells its counts, and a test event tells whatever its sender put in."""
    batch = received("batch.completed", {"batch_id": "batch_1", "total": 3, "counts": {"succeeded": 2, "failed": 1}})
    assert isinstance(batch, BatchCompleted)
    assert batch.data == BatchData(batch_id="batch_1", total=3, counts={"succeeded": 2, "failed": 1})
    test = received("webhook.test", {"hello": "there"})
    assert isinstance(test, WebhookTest)
    assert test.data == {"hello": "there"}


def test_unknown_types_are_events_too() -> None:
    """A type that is newer than the receiver's library is verified and returned, never an error."""
    body = b'{"type":"job.teleported","timestamp":"2031-01-01T00:00:00.000Z","data":{"a":1},"more":2}'
    event = verify(body, signed(body), SECRET, now=NOW)
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.data, event.raw["more"], event.api_version) == ("job.teleported", {"a": 1}, 2, "")


def test_events_are_values() -> None:
    """Two deliveries of one event are equal, and nobody can change a field on the way."""
    first, second = received("job.completed", JOB), received("job.completed", JOB)
    assert first == second
    with pytest.raises(AttributeError):
        first.id = "evt_2"


def test_event_payload() -> None:
    """The body is compact UTF-8 with the time in UTC to the millisecond, and the same bytes every time."""
    body = event_payload("webhook.test", occurred_at=1_795_392_003.12, data={"ü": 1.0, "b": [None]})
    assert (
        body
        == (
            '{"type":"webhook.test","timestamp":"2026-11-23T00:00:03.120Z","api_version":"2026-11-01",'
            '"data":{"ü":1.0,"b":[null]}}'
        ).encode()
    )


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters()),
        lambda values: st.lists(values) | st.dictionaries(st.text(), values),
        max_leaves=10,
    )
)
def test_any_metadata_survives(value: Any) -> None:
    """Whatever JSON a shop attached to a job comes back as it was."""
    assert received("webhook.test", {"value": value}).data == {"value": value}


def test_half_a_surrogate_pair_does_not_block_a_webhook() -> None:
    """A text that has no UTF-8 is sent as a JSON escape instead of failing at every attempt."""
    assert received("webhook.test", {"\ud83d": "\ude00x"}).data == {"\ud83d": "\ude00x"}


@pytest.mark.parametrize(("type_", "data"), [("job.exploded", {}), ("", {}), ("webhook.test", {"a": math.nan})])
def test_payloads_that_are_never_made(type_: str, data: Mapping[str, Any]) -> None:
    """A type that no receiver could know, or a number that JSON does not have, is a mistake of ours."""
    with pytest.raises(ValueError, match=r"event type|JSON"):
        event_payload(type_, occurred_at=NOW, data=data)


def test_every_type_has_a_class() -> None:
    """None of the types that we send arrives as unknown."""
    data = JOB | {"batch_id": "b", "total": 0, "counts": {}} | ENDPOINT
    assert UnknownEvent not in {type(received(type_, data)) for type_ in EVENT_TYPES}


def test_only_the_standard_library_is_imported() -> None:
    """A shop's endpoint can verify webhooks without importing anything from a registry."""
    code = (
        "import sys, sceneshift.webhooks\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(roots - sys.stdlib_module_names - {'sceneshift', '__main__'}))"
    )
    # -S keeps the environment's own start-up hooks out of the list.
    shown = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"
