"""Signed webhooks for programs in any language to try their verification on.

`python -m tests.webhook_vectors` writes `sceneshift/webhooks/vectors.json`. Signatures are made here from hashlib and
cryptography alone, so that the product's own signing is one more program that is tried on them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PATH = Path(__file__).parents[1] / "sceneshift" / "webhooks" / "vectors.json"

NOW = 1_795_392_000
TOLERANCE_SECONDS = 300
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
"""RFC 8032, section 5.1: the order of the group that the second half of a signature lies in."""


def secret(byte: int, size_bytes: int = 32) -> bytes:
    """A key that is plainly made for a test: one byte, repeated."""
    return bytes([byte]) * size_bytes


def secret_text(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def private_key(byte: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32)


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def public_text(key: Ed25519PrivateKey) -> str:
    return "whpk_" + base64.b64encode(public_bytes(key)).decode()


def content(body: bytes, webhook_id: str, timestamp: int | str) -> bytes:
    return f"{webhook_id}.{timestamp}.".encode() + body


def v1(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def v1a(key: Ed25519PrivateKey, signed: bytes) -> str:
    return "v1a," + base64.b64encode(key.sign(signed)).decode()


def other_form(entry: str) -> str:
    """The same Ed25519 signature with a second half that is larger by the group's order: RFC 8032 refuses it."""
    raw = base64.b64decode(entry.removeprefix("v1a,"))
    half = int.from_bytes(raw[32:], "little") + ED25519_ORDER
    return "v1a," + base64.b64encode(raw[:32] + half.to_bytes(32, "little")).decode()


KEY, OLD_KEY, STRANGERS_KEY = secret(1), secret(2), secret(3)
PAIR, OLD_PAIR, STRANGERS_PAIR = private_key(11), private_key(12), private_key(13)
BODY = (
    b'{"type":"job.completed","timestamp":"2026-11-23T00:00:00.000Z","api_version":"2026-11-01",'
    b'"data":{"job_id":"job_01","sequence":1,"state":"succeeded","sku":"TSHIRT-RED-M"}}'
)
WEBHOOK_ID = "evt_01"
SIGNED = content(BODY, WEBHOOK_ID, NOW)
SPECIFICATION_BODY = b'{"test": 2432232314}'


def headers_of(*entries: str, webhook_id: str | None = WEBHOOK_ID, timestamp: int | str | None = NOW) -> dict[str, str]:
    """The three headers; those that are None, or have no entries, are left out."""
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": None if timestamp is None else str(timestamp),
        "webhook-signature": " ".join(entries) if entries else None,
    }
    return {name: value for name, value in headers.items() if value is not None}


def case(
    name: str, *entries: str, keys: Sequence[bytes | Ed25519PrivateKey] = (KEY,), body: bytes = BODY, **rest: Any
) -> dict[str, Any]:
    """One vector: what a receiver with these keys gets, and `check` when it must refuse it."""
    check = rest.pop("check", None)
    now = rest.pop("now", NOW)
    headers: Mapping[str, str] = rest.pop("headers", None) or headers_of(*entries, **rest)
    return {
        "name": name,
        "keys": [public_text(key) if isinstance(key, Ed25519PrivateKey) else secret_text(key) for key in keys],
        "headers": dict(headers),
        "body_base64": base64.b64encode(body).decode(),
        "now": now,
        "authentic": check is None,
        "check": check,
    }


def of_body(name: str, body: bytes, **rest: Any) -> dict[str, Any]:
    """An authentic webhook with this body, whatever a JSON parser would make of it."""
    return case(name, v1(KEY, content(body, WEBHOOK_ID, NOW)), body=body, **rest)


def authentic() -> list[dict[str, Any]]:
    specification = v1(
        base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        content(SPECIFICATION_BODY, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330),
    )
    right, old = v1(KEY, SIGNED), v1(OLD_KEY, SIGNED)
    return [
        case(
            "the_example_of_the_specification",
            specification,
            keys=(base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),),
            body=SPECIFICATION_BODY,
            webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp=1614265330,
            now=1614265330,
        ),
        case("one_secret", right),
        of_body("letters_beyond_ascii", BODY.replace(b"TSHIRT-RED-M", "Stühle 椅子 🪑\u2028".encode())),
        of_body("escaped_letters", BODY.replace(b"TSHIRT-RED-M", rb"St\u00fchle\/\ud83e\ude91")),
        of_body("numbers_that_dumping_changes", BODY.replace(b'"sequence":1', b'"a":1.0,"b":1e2,"c":-0,"sequence":1')),
        of_body("spaces_and_a_final_newline", BODY.replace(b",", b" ,\r\n\t") + b"\n"),
        of_body(
            "keys_out_of_order", b'{"z":1,"data":{},"a":2,"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z"}'
        ),
        of_body("an_empty_body", b""),
        case("a_secret_of_24_bytes", v1(secret(7, 24), SIGNED), keys=(secret(7, 24),)),
        case("a_secret_of_64_bytes", v1(secret(7, 64), SIGNED), keys=(secret(7, 64),)),
        case("a_long_id", v1(KEY, content(BODY, "e-_9" * 64, NOW)), webhook_id="e-_9" * 64),
        case("as_old_as_is_allowed", right, now=NOW + TOLERANCE_SECONDS),
        case("as_early_as_is_allowed", right, now=NOW - TOLERANCE_SECONDS),
        case("sent_with_two_secrets_the_first_is_known", right, old),
        case("sent_with_two_secrets_the_last_is_known", old, right),
        case("sent_with_one_of_two_known_secrets", right, keys=(OLD_KEY, KEY)),
        case("entries_of_unknown_versions_beside", "v9,AAAA", "v0,AAAA", right),
        case("ed25519", v1a(PAIR, SIGNED), keys=(PAIR,)),
        case("ed25519_beside_a_secret_the_public_key_is_known", right, v1a(PAIR, SIGNED), keys=(PAIR,)),
        case("ed25519_beside_a_secret_the_secret_is_known", v1a(PAIR, SIGNED), right),
        case("ed25519_with_two_public_keys", v1a(OLD_PAIR, SIGNED), v1a(PAIR, SIGNED), keys=(PAIR,)),
        case("ed25519_with_one_of_two_known_public_keys", v1a(PAIR, SIGNED), keys=(OLD_PAIR, PAIR)),
        case("a_secret_and_a_public_key_are_known_the_key_fits", v1a(PAIR, SIGNED), keys=(STRANGERS_KEY, PAIR)),
        case("a_secret_and_a_public_key_are_known_the_secret_fits", right, keys=(STRANGERS_PAIR, KEY)),
    ]


def forged() -> list[dict[str, Any]]:
    right, refused = v1(KEY, SIGNED), "no_matching_signature"
    moved = content(f"{NOW}.".encode() + BODY, WEBHOOK_ID, NOW)
    return [
        case("a_changed_body", right, body=BODY.replace(b"job_01", b"job_02"), check=refused),
        case("a_body_that_was_dumped_again", right, body=json.dumps(json.loads(BODY)).encode(), check=refused),
        case("a_body_with_a_newline_more", right, body=BODY + b"\n", check=refused),
        case("a_body_without_its_end", right, body=BODY[:-1], check=refused),
        case("another_id", right, webhook_id="evt_02", check=refused),
        case("another_timestamp", right, timestamp=NOW + 1, check=refused),
        case("a_leading_zero_in_the_timestamp", right, timestamp=f"0{NOW}", check=refused),
        case("characters_moved_from_the_body_into_the_id", v1(KEY, moved), webhook_id=f"{WEBHOOK_ID}.{NOW}",
             check="missing_header"),
        case("a_strangers_secret", v1(STRANGERS_KEY, SIGNED), check=refused),
        case("an_old_secret_after_the_overlap", v1(OLD_KEY, SIGNED), check=refused),
        case("the_public_key_used_as_a_secret", v1(public_bytes(PAIR), SIGNED), keys=(PAIR,), check=refused),
        case("too_old", right, now=NOW + TOLERANCE_SECONDS + 1, check="timestamp_out_of_tolerance"),
        case("too_early", right, now=NOW - TOLERANCE_SECONDS - 1, check="timestamp_out_of_tolerance"),
        case("a_timestamp_with_a_fraction", right, timestamp=f"{NOW}.0", check="timestamp_malformed"),
        case("a_timestamp_with_a_sign", right, timestamp=f"+{NOW}", check="timestamp_malformed"),
        case("a_timestamp_with_an_exponent", right, timestamp="1.795392e9", check="timestamp_malformed"),
        case("a_timestamp_in_words", right, timestamp="now", check="timestamp_malformed"),
        case("no_id", right, webhook_id=None, check="missing_header"),
        case("no_timestamp", right, timestamp=None, check="missing_header"),
        case("no_signature", check="missing_header"),
        case("a_version_without_a_signature", "v1,", check=refused),
        case("an_older_version", right.replace("v1,", "v0,"), check=refused),
        case("a_version_in_capitals", right.replace("v1,", "V1,"), check=refused),
        case("a_shortened_signature", right[:20], check=refused),
        case("a_signature_in_hexadecimal", "v1," + hmac.new(KEY, SIGNED, hashlib.sha256).hexdigest(), check=refused),
        case("a_signature_of_the_body_alone", v1(KEY, BODY), check=refused),
        case("an_hmac_that_calls_itself_ed25519", right.replace("v1,", "v1a,"), keys=(PAIR, KEY), check=refused),
        case("an_ed25519_signature_that_calls_itself_hmac", v1a(PAIR, SIGNED).replace("v1a,", "v1,"),
             keys=(PAIR, KEY), check=refused),
        case("ed25519_by_a_stranger", v1a(STRANGERS_PAIR, SIGNED), keys=(PAIR,), check=refused),
        case("ed25519_of_another_body", v1a(PAIR, SIGNED), keys=(PAIR,), body=BODY + b" ", check=refused),
        case("ed25519_of_another_id", v1a(PAIR, SIGNED), keys=(PAIR,), webhook_id="evt_02", check=refused),
        case("ed25519_of_another_time", v1a(PAIR, SIGNED), keys=(PAIR,), timestamp=NOW + 1, check=refused),
        case("ed25519_of_the_body_alone", v1a(PAIR, BODY), keys=(PAIR,), check=refused),
        case("ed25519_in_its_other_form", other_form(v1a(PAIR, SIGNED)), keys=(PAIR,), check=refused),
        case("ed25519_too_old", v1a(PAIR, SIGNED), keys=(PAIR,), now=NOW + 301, check="timestamp_out_of_tolerance"),
        case("a_secrets_signature_where_only_a_public_key_is_known", right, keys=(PAIR,), check=refused),
        case("an_ed25519_signature_where_only_a_secret_is_known", v1a(PAIR, SIGNED), check=refused),
    ]  # fmt: skip


def document() -> dict[str, Any]:
    return {
        "about": (
            "Webhooks, the keys that their receiver has, and the Unix time at which they arrive. `authentic` says "
            "whether the receiver must believe it; where it must not, `check` is the check that fails in "
            "sceneshift.webhooks.verify. `keys` are secrets (whsec_: HMAC-SHA256, entries v1) and public keys (whpk_: "
            "Ed25519, entries v1a). The signature covers the bytes of `body_base64`, which are not always an event."
        ),
        "specification": "Standard Webhooks 1.0.0",
        "tolerance_seconds": TOLERANCE_SECONDS,
        "vectors": [*authentic(), *forged()],
    }


def text() -> str:
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
