from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.webhooks import (
    WebhookVerificationError,
    event_payload,
    new_secret,
    sign,
    verify,
)
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
    secret_of,
    signed,
)
from tests.webhook_vectors import PAIR, content, headers_of, public_bytes, public_text, v1, v1a

PUBLIC_KEY = public_text(PAIR)
BY_PAIR = v1a(PAIR, content(PAYLOAD, "evt_1", NOW))


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("webhook-id", "evt_2", "no_matching_signature"),
        ("webhook-id", "", "missing_header"),
        ("webhook-id", "evt.1", "missing_header"),
        ("webhook-id", "evt_1\n", "missing_header"),
        ("webhook-id", "e" * 257, "missing_header"),
        ("webhook-id", "évt", "missing_header"),
        ("webhook-timestamp", str(NOW + 1), "no_matching_signature"),
        ("webhook-timestamp", f"0{NOW}", "no_matching_signature"),
        ("webhook-timestamp", "", "missing_header"),
        ("webhook-timestamp", "now", "timestamp_malformed"),
        ("webhook-timestamp", f"{NOW}.0", "timestamp_malformed"),
        ("webhook-timestamp", f"-{NOW}", "timestamp_malformed"),
        ("webhook-timestamp", f"+{NOW}", "timestamp_malformed"),
        ("webhook-timestamp", f" {NOW}", "timestamp_malformed"),
        ("webhook-timestamp", f"{NOW}\n", "timestamp_malformed"),
        ("webhook-timestamp", "1_795_392_000", "timestamp_malformed"),
        ("webhook-timestamp", "1e9", "timestamp_malformed"),
        ("webhook-timestamp", "0x6b037fc0", "timestamp_malformed"),
        ("webhook-timestamp", "١٧٩٥٣٩٢٠٠٠", "timestamp_malformed"),
        ("webhook-timestamp", "9" * 13, "timestamp_malformed"),
        ("webhook-timestamp", "9" * 10_000, "timestamp_malformed"),
        ("webhook-timestamp", "9" * 12, "timestamp_out_of_tolerance"),
        ("webhook-timestamp", "nan", "timestamp_malformed"),
        ("webhook-signature", "", "missing_header"),
        ("webhook-signature", " ", "no_matching_signature"),
        ("webhook-signature", "v1", "no_matching_signature"),
        ("webhook-signature", "v1,", "no_matching_signature"),
        ("webhook-signature", ",", "no_matching_signature"),
        ("webhook-signature", SIGNATURE[3:], "no_matching_signature"),
        ("webhook-signature", SIGNATURE[:-1], "no_matching_signature"),
        ("webhook-signature", SIGNATURE + "=", "no_matching_signature"),
        ("webhook-signature", f"{SIGNATURE},{SIGNATURE}", "no_matching_signature"),
        ("webhook-signature", SIGNATURE.replace("v1,", "v1a,"), "no_matching_signature"),
        ("webhook-signature", SIGNATURE.replace("v1,", "v0,"), "no_matching_signature"),
        ("webhook-signature", SIGNATURE.replace("v1,", "V1,"), "no_matching_signature"),
        ("webhook-signature", SIGNATURE.replace("v1,", "v1,\n"), "no_matching_signature"),
        ("webhook-signature", SIGNATURE.swapcase(), "no_matching_signature"),
        ("webhook-signature", "v1,ключ", "no_matching_signature"),
        ("webhook-signature", "none", "no_matching_signature"),
        ("webhook-signature", "v1," + "A" * 9000 + f" {SIGNATURE}", "no_matching_signature"),
        ("webhook-signature", " ".join(["v1,AAAA"] * 32 + [SIGNATURE]), "no_matching_signature"),
        ("webhook-signature", "v1,A " * 10_000 + SIGNATURE, "no_matching_signature"),
    ],
    ids=lambda value: ascii(value[:40]),
)
def test_forged_headers(name: str, value: str, check: str) -> None:
    """A changed header is refused for a reason that names the right check, and never crashes the receiver."""
    assert check_that_fails(headers=HEADERS | {name: value}) == check


@pytest.mark.parametrize("name", list(HEADERS))
def test_missing_and_doubled_headers(name: str) -> None:
    """Each header must be there, once: two different ones could be read in two ways."""
    without = {key: value for key, value in HEADERS.items() if key != name}
    assert check_that_fails(headers=without) == "missing_header"
    assert check_that_fails(headers=HEADERS | {name.title(): "other"}) == "missing_header"
    for not_text in (None, ["a"], b"a"):
        assert check_that_fails(headers={**HEADERS, name: not_text}) == "missing_header"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        PAYLOAD + b"\n",
        PAYLOAD[:-1],
        PAYLOAD.replace(b"job_01", b"job_02"),
        json.dumps(json.loads(PAYLOAD)).encode(),
        b"\xef\xbb\xbf" + PAYLOAD,
        PAYLOAD.decode().encode("utf-16"),
        b"\xff\xfe",
    ],
)
def test_changed_bodies(payload: bytes) -> None:
    """One changed byte is enough, even where the JSON means the same."""
    assert check_that_fails(payload=payload) == "no_matching_signature"


def test_the_dot_cannot_be_moved() -> None:
    """Characters cannot be moved between id, timestamp and body under one signature."""
    tail = f"{NOW}.".encode() + PAYLOAD
    moved = signed(tail, webhook_id="evt_1")
    forged = moved | {"webhook-id": f"evt_1.{NOW}"}
    assert check_that_fails(payload=PAYLOAD, headers=forged) == "missing_header"
    with pytest.raises(ValueError, match="webhook_id"):
        sign(PAYLOAD, webhook_id=f"evt_1.{NOW}", timestamp=NOW, secrets=[SECRET])


def test_signatures_do_not_fit_another_event_or_receiver() -> None:
    """Headers of one event do not carry another one, and one customer's secret does not open another's webhooks."""
    other = event_payload("job.failed", occurred_at=NOW, data=JOB)
    assert check_that_fails(payload=other) == "no_matching_signature"
    assert check_that_fails(headers=signed(other) | {"webhook-id": "evt_2"}, payload=other) == "no_matching_signature"
    assert check_that_fails(secret=STRANGERS_SECRET) == "no_matching_signature"


@pytest.mark.parametrize(
    "payload", [json.loads(PAYLOAD), PAYLOAD.decode(), bytearray(PAYLOAD), memoryview(PAYLOAD), None]
)
def test_anything_but_bytes(payload: object) -> None:
    """A parsed or decoded body is refused with a sentence that names where the raw bytes are."""
    with pytest.raises(WebhookVerificationError) as caught:
        verify(payload, HEADERS, SECRET, now=NOW)  # type: ignore[arg-type]  # the mistake that this is about
    assert caught.value.check == "body_not_bytes"
    for remedy in ("request.body", "request.get_data()", "await request.body()"):
        assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"{}",
        b'{"type":"job.completed"}',
        b'{"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z"}',
        b'{"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z","data":[]}',
        b'{"type":5,"timestamp":"2026-11-23T00:00:00Z","data":{}}',
        b'{"type":"webhook.test","timestamp":1795392000,"data":{}}',
        b'{"type":"webhook.test","timestamp":"yesterday","data":{}}',
        b'{"type":"webhook.test","timestamp":"2026-11-23T00:00:00","data":{}}',
        b'{"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z","data":{"a":NaN}}',
        b'{"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z","data":{"a":' + b"9" * 5000 + b"}}",
        b'{"type":"job.failed","timestamp":"2026-11-23T00:00:00Z","data":{}}',
        b'{"type":"job.failed","timestamp":"2026-11-23T00:00:00Z","data":{"job_id":"job_1","sequence":true,"state":"failed"}}',
        b'{"type":"job.failed","timestamp":"2026-11-23T00:00:00Z","data":{"job_id":"job_1","sequence":1,"state":"failed","outputs":[5]}}',
        b'{"type":"batch.completed","timestamp":"2026-11-23T00:00:00Z","data":{"batch_id":"b"}}',
        b"[" * 200_000,
    ],
    ids=lambda body: ascii(body[-40:]),
)
def test_authentic_nonsense(body: bytes) -> None:
    """A body that is signed rightly but is no event of ours is refused rather than crashing the receiver."""
    assert check_that_fails(payload=body, headers=signed(body)) == "body_unparseable"


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        SECRET.upper(),
        SECRET + "\n",
        " " + SECRET,
        SECRET.rstrip("="),
        SECRET + "=",
        "whsec_" + "!" * 44,
        "whsec_" + "é" * 44,
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        secret_of(1, 23),
        secret_of(1, 65),
        f"{SECRET} {OLD_SECRET}",
        [],
        [SECRET, ""],
        [None],
        None,
    ],
    ids=ascii,
)
def test_malformed_secrets(secret: Any) -> None:
    """A secret that is not exactly one is refused at both ends, with a text that does not repeat it."""
    assert check_that_fails(secret=secret) == "secret_malformed"
    secrets = [secret] if isinstance(secret, str) else secret
    with pytest.raises(ConfigurationError) as caught:
        sign(PAYLOAD, webhook_id="evt_1", timestamp=NOW, secrets=secrets)
    assert "AQEB" not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (None, "is the variable set"),
        ("", "is the variable set"),
        ([], "is the variable set"),
        (f"{SECRET} {OLD_SECRET}", "give them as a list"),
    ],
    ids=["none", "empty", "no secrets", "two in one text"],
)
def test_a_mistake_with_the_setting_is_told_apart(secret: Any, text: str) -> None:
    """A variable that is not set, and one whose several secrets were not split, are said as such."""
    with pytest.raises(WebhookVerificationError, match=text) as refused:
        verify(PAYLOAD, HEADERS, secret, now=NOW)
    assert refused.value.check == "secret_malformed"


@pytest.mark.parametrize("size_bytes", [24, 32, 64])
def test_secrets_of_every_allowed_size(size_bytes: int) -> None:
    """The specification's 24 to 64 bytes all work."""
    secret = secret_of(7, size_bytes)
    headers = sign(PAYLOAD, webhook_id="evt_1", timestamp=NOW, secrets=[secret])
    assert verify(PAYLOAD, headers, secret, now=NOW).id == "evt_1"


def test_new_secret() -> None:
    """A new secret is accepted at once, holds 32 random bytes, and is never the same."""
    secret = new_secret()
    assert verify(PAYLOAD, sign(PAYLOAD, webhook_id="evt_1", timestamp=NOW, secrets=[secret]), secret, now=NOW)
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert len({new_secret() for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("webhook_id", "timestamp"), [("", NOW), ("a.b", NOW), ("a b", NOW), ("a\r\nb", NOW), ("a", -1)]
)
def test_what_is_never_signed(webhook_id: str, timestamp: int) -> None:
    """An id or time that could be read in two ways is a mistake of the caller."""
    with pytest.raises(ValueError, match=r"webhook_id|timestamp"):
        sign(PAYLOAD, webhook_id=webhook_id, timestamp=timestamp, secrets=[SECRET])


@pytest.mark.parametrize(
    "key",
    [
        "whpk_",
        PUBLIC_KEY.removeprefix("whpk_"),
        PUBLIC_KEY.replace("whpk_", "WHPK_"),
        PUBLIC_KEY + "\n",
        " " + PUBLIC_KEY,
        PUBLIC_KEY.rstrip("="),
        PUBLIC_KEY + "=",
        PUBLIC_KEY[:-2] + "Z=",
        "whpk_" + "!" * 44,
        "whpk_" + "é" * 44,
        "whpk_" + base64.b64encode(b"\x01" * 31).decode(),
        "whpk_" + base64.b64encode(b"\x01" * 33).decode(),
        f"{PUBLIC_KEY} {PUBLIC_KEY}",
        "whpk_" + SECRET,
    ],
    ids=ascii,
)
def test_malformed_public_keys(key: str) -> None:
    """A public key that is not exactly one is a mistake of the receiver's, and never opens anything."""
    headers = headers_of(BY_PAIR, webhook_id="evt_1")
    assert check_that_fails(headers=headers, secret=key) == "secret_malformed"
    assert check_that_fails(secret=[SECRET, key]) == "secret_malformed"


@pytest.mark.parametrize(
    "entry",
    [
        "v1a",
        "v1a,",
        "v1a,AAAA",
        "v1a," + "A" * 88,
        BY_PAIR[:-1],
        BY_PAIR + "=",
        BY_PAIR[:-3] + chr(ord(BY_PAIR[-3]) + 1) + "==",
        BY_PAIR.replace("v1a,", "v1A,"),
        BY_PAIR.replace("v1a,", "v1b,"),
        BY_PAIR.replace("v1a,", "v1a,\n"),
        BY_PAIR.replace("v1a,", "v1a,v1a,"),
        "v1a," + base64.b64encode(base64.b64decode(BY_PAIR[4:])[:63]).decode(),
        "v1a," + base64.b64encode(base64.b64decode(BY_PAIR[4:]) + b"\0").decode(),
        "v1a," + base64.b64encode(bytes(32) + base64.b64decode(BY_PAIR[4:])[32:]).decode(),
        "v1a," + base64.b64decode(BY_PAIR[4:]).hex(),
        "v1a,é\ud800",
        v1(public_bytes(PAIR), content(PAYLOAD, "evt_1", NOW)),
        v1(public_bytes(PAIR), content(PAYLOAD, "evt_1", NOW)).replace("v1,", "v1a,"),
        SIGNATURE,
    ],
    ids=lambda entry: ascii(entry[:40]),
)
def test_forged_ed25519_signatures(entry: str) -> None:
    """Only the owner's signature opens what a public key guards: not a damaged one, nor an HMAC with the public key."""
    right = headers_of(BY_PAIR, webhook_id="evt_1")
    assert verify(PAYLOAD, right, PUBLIC_KEY, now=NOW).id == "evt_1"
    forged = headers_of(entry, webhook_id="evt_1")
    assert check_that_fails(headers=forged, secret=PUBLIC_KEY) == "no_matching_signature"


def test_a_forged_entry_does_not_spoil_a_right_one() -> None:
    """Among the entries of several keys, one that fits is enough, wherever it stands."""
    for entries in ([BY_PAIR, "v1a,AAAA"], ["v1a,AAAA", "v1a," + "A" * 86 + "==", BY_PAIR], [SIGNATURE, BY_PAIR]):
        headers = headers_of(*entries, webhook_id="evt_1")
        assert verify(PAYLOAD, headers, PUBLIC_KEY, now=NOW).id == "evt_1"


def test_a_public_key_without_the_package_for_it() -> None:
    """Where `cryptography` is missing, a public key is refused with the remedy, and a secret works as ever."""
    code = (
        "import json, sys; sys.modules['cryptography'] = None\n"
        "from sceneshift.webhooks import WebhookVerificationError, verify\n"
        "body, headers, keys, now = json.loads(sys.stdin.read())\n"
        "for key in keys:\n"
        "    try:\n"
        "        print(verify(body.encode(), headers, key, now=now).id)\n"
        "    except WebhookVerificationError as error:\n"
        "        print(error.check, 'sceneshift[ed25519]' in str(error))\n"
    )
    given = [PAYLOAD.decode(), headers_of(SIGNATURE, BY_PAIR, webhook_id="evt_1"), [SECRET, PUBLIC_KEY], NOW]
    answer = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.splitlines() == ["evt_1", "ed25519_unavailable True"]
