"""Whether a webhook may be believed, decided from its raw bytes and headers.

The order of the checks matters: nothing of the body is parsed before its signature matched, and a duplicate is looked
up only when everything else is right, so that a forger cannot mark ids as seen.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from sceneshift.errors import ConfigurationError, WebhookVerificationError
from sceneshift.webhooks.events import Event, MalformedEventError, read_event
from sceneshift.webhooks.public_keys import PUBLIC_KEY_PREFIX, Ed25519UnavailableError, is_signed, public_key
from sceneshift.webhooks.signing import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WEBHOOK_ID,
    secret_key,
    signature,
    signed_content,
)

SIGNATURES_MAX = 32
SIGNATURE_HEADER_MAX_CHARACTERS = 8192
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class RequestHeaders(Protocol):
    """A request's headers: a mapping, or what a framework has instead of one."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeaders:
    """What a webhook's three headers say, well-formed and not yet believed."""

    webhook_id: str
    timestamp: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverKeys:
    """What a receiver checks signatures with: the keys of its secrets, and public keys."""

    secrets: tuple[bytes, ...]
    public: tuple[bytes, ...]


def verify(
    payload: bytes,
    headers: RequestHeaders,
    secret: str | Sequence[str],
    *,
    tolerance_seconds: float = 300,
    seen: Callable[[str], bool] | None = None,
    now: float | None = None,
) -> Event:
    """The event, after every check has passed. It never returns anything for a webhook that failed one.

    Args:
        payload: the request's body as it arrived: `request.body` (Django), `request.get_data()` (Flask) or
            `await request.body()` (FastAPI, Starlette). Parsed and dumped again, it no longer matches its signature.
        headers: the request's headers, in any case.
        secret: the endpoint's `whsec_…`, or its public key `whpk_…` where it is signed with Ed25519; several of them
            while one replaces another. Each is matched with signatures of its own kind only.
        tolerance_seconds: how far `webhook-timestamp` may lie in the past or in the future.
        seen: says whether this id has been dealt with before. Asked last, for authentic webhooks only. Answer a
            duplicate with a 2xx: the first delivery succeeded, only its answer was lost.
        now: Unix seconds; the current time unless given.

    Raises:
        WebhookVerificationError: do not believe it, and answer a plain 400 or 401. `check` names what failed:
            `body_not_bytes`, `secret_malformed`, `ed25519_unavailable`, `missing_header`, `timestamp_malformed`,
            `timestamp_out_of_tolerance`, `no_matching_signature`, `body_unparseable`, `duplicate`.
    """
    if not isinstance(payload, bytes):
        _refuse(
            "body_not_bytes",
            f"the payload is a {type(payload).__name__}, but the signature covers the bytes as they arrived: pass "
            "request.body (Django), request.get_data() (Flask) or await request.body() (FastAPI, Starlette)",
        )
    keys = receiver_keys(secret)
    signed = signed_headers(headers)
    check_timestamp(signed.timestamp, time.time() if now is None else now, tolerance_seconds)
    check_signature(payload, signed, keys)
    event = read_body(signed.webhook_id, payload)
    if seen is not None and seen(signed.webhook_id):
        _refuse("duplicate", f"{signed.webhook_id} has been dealt with before; answer with a 2xx")
    return event


def _refuse(check: str, message: str) -> NoReturn:
    raise WebhookVerificationError(message, check=check)


def receiver_keys(secret: str | Sequence[str] | None) -> ReceiverKeys:
    """The keys that these texts stand for; refused as `secret_malformed` when one stands for none, or there is none."""
    texts = [secret] if isinstance(secret, str) else list(secret or ())
    if not texts or texts == [""]:
        _refuse("secret_malformed", "no webhook secret was given: is the variable set that holds it?")
    if any(isinstance(text, str) and len(text.split()) > 1 for text in texts):
        _refuse("secret_malformed", "several webhook secrets are in one text: give them as a list, as .split() makes")
    are_public = [isinstance(text, str) and text.startswith(PUBLIC_KEY_PREFIX) for text in texts]
    pairs = list(zip(texts, are_public, strict=True))
    try:
        return ReceiverKeys(
            secrets=tuple(secret_key(text) for text, is_public in pairs if not is_public),
            public=tuple(public_key(text) for text, is_public in pairs if is_public),
        )
    except ConfigurationError as error:
        raise WebhookVerificationError(error.message, check="secret_malformed") from None


def signed_headers(headers: RequestHeaders) -> SignedHeaders:
    """The three headers, each there once and of our form; refused as `missing_header` or `timestamp_malformed`."""
    webhook_id = _only(headers, ID_HEADER)
    if not WEBHOOK_ID.fullmatch(webhook_id):
        _refuse("missing_header", f"{ID_HEADER} is not an id of ours")
    timestamp = _only(headers, TIMESTAMP_HEADER)
    if not _TIMESTAMP.fullmatch(timestamp):
        _refuse("timestamp_malformed", f"{TIMESTAMP_HEADER} is not a whole number of Unix seconds")
    signatures = _only(headers, SIGNATURE_HEADER)
    entries = signatures.split(" ")
    if len(signatures) > SIGNATURE_HEADER_MAX_CHARACTERS or len(entries) > SIGNATURES_MAX:
        _refuse("no_matching_signature", f"{SIGNATURE_HEADER} has more than {SIGNATURES_MAX} entries")
    return SignedHeaders(webhook_id=webhook_id, timestamp=timestamp, signatures=tuple(entries))


def _only(headers: RequestHeaders, name: str) -> str:
    """The header's one value; two different ones are an attempt to have it read in two ways."""
    values = [value for key, value in headers.items() if isinstance(key, str) and key.lower() == name]
    if any(value != values[0] for value in values):
        _refuse("missing_header", f"{name} is there more than once")
    value = values[0] if values else None
    if not isinstance(value, str) or not value:
        _refuse("missing_header", f"{name} is missing")
    return value


def check_timestamp(timestamp: str, now: float, tolerance_seconds: float) -> None:
    """It lies within the tolerance, in seconds; refused as `timestamp_out_of_tolerance` when it does not."""
    age_seconds = now - int(timestamp)
    if not abs(age_seconds) <= tolerance_seconds:
        direction = "old" if age_seconds > 0 else "in the future"
        _refuse(
            "timestamp_out_of_tolerance",
            f"{TIMESTAMP_HEADER} is {abs(age_seconds):.0f} s {direction}; {tolerance_seconds:g} s are allowed",
        )


def check_signature(payload: bytes, signed: SignedHeaders, keys: ReceiverKeys) -> None:
    """One of the signatures is of these bytes and by one of the keys; refused as `no_matching_signature` otherwise."""
    expected = [signature(payload, signed.webhook_id, signed.timestamp, key) for key in keys.secrets]
    if _any_matches(signed.signatures, expected) or _any_is_signed(payload, signed, keys.public):
        return
    _refuse(
        "no_matching_signature",
        "no signature matches: the secret is not the sender's, or the body was changed on its way, "
        "for instance by parsing it and dumping it again",
    )


def _any_matches(given: Sequence[str], expected: Sequence[str]) -> bool:
    """Every pair is compared, in constant time each, so that the time taken does not tell how near a guess was."""
    matches = False
    for entry in given:
        for right in expected:
            matches |= hmac.compare_digest(entry.encode("utf-8", "replace"), right.encode("ascii"))
    return matches


def _any_is_signed(payload: bytes, signed: SignedHeaders, keys: Sequence[bytes]) -> bool:
    """A public key is known to all, so how long its checks take may be known as well."""
    content = signed_content(payload, signed.webhook_id, signed.timestamp)
    try:
        return any(is_signed(entry, content, key) for key in keys for entry in signed.signatures)
    except Ed25519UnavailableError as error:
        raise WebhookVerificationError(error.message, check="ed25519_unavailable") from None


def read_body(webhook_id: str, payload: bytes) -> Event:
    """The event that these authentic bytes describe; refused as `body_unparseable` when they describe none."""
    try:
        return read_event(webhook_id, json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, MalformedEventError) else "the body is not JSON in UTF-8"
        raise WebhookVerificationError(reason, check="body_unparseable") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
