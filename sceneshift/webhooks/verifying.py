"""Whether a webhook may be believed, decided from its raw bytes and headers.

The order of the checks matters: nothing of the body is parsed before its signature matched, and a duplicate is looked
up only when everything else is right, so that a forger cannot mark ids as seen.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from sceneshift.errors import ConfigurationError, WebhookVerificationError
from sceneshift.webhooks.events import Event, MalformedEventError, read_event
from sceneshift.webhooks.signing import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WEBHOOK_ID,
    secret_key,
    signature,
)

SIGNATURES_MAX = 32
SIGNATURE_HEADER_MAX_CHARACTERS = 8192
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def verify(
    payload: bytes,
    headers: Mapping[str, str],
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
        secret: the endpoint's `whsec_…`, or several of them while one replaces another.
        tolerance_seconds: how far `webhook-timestamp` may lie in the past or in the future.
        seen: says whether this id has been dealt with before. Asked last, for authentic webhooks only. Answer a
            duplicate with a 2xx: the first delivery succeeded, only its answer was lost.
        now: Unix seconds; the current time unless given.

    Raises:
        WebhookVerificationError: do not believe it, and answer a plain 400 or 401. `check` names what failed:
            `body_not_bytes`, `secret_malformed`, `missing_header`, `timestamp_malformed`,
            `timestamp_out_of_tolerance`, `no_matching_signature`, `body_unparseable`, `duplicate`.
    """
    if not isinstance(payload, bytes):
        _refuse(
            "body_not_bytes",
            f"the payload is a {type(payload).__name__}, but the signature covers the bytes as they arrived: pass "
            "request.body (Django), request.get_data() (Flask) or await request.body() (FastAPI, Starlette)",
        )
    keys = _keys(secret)
    webhook_id, timestamp, signatures = _signed_headers(headers)
    _check_timestamp(timestamp, time.time() if now is None else now, tolerance_seconds)
    if not _any_matches(signatures, [signature(payload, webhook_id, timestamp, key) for key in keys]):
        _refuse(
            "no_matching_signature",
            "no signature matches: the secret is not the sender's, or the body was changed on its way, "
            "for instance by parsing it and dumping it again",
        )
    event = _read(webhook_id, payload)
    if seen is not None and seen(webhook_id):
        _refuse("duplicate", f"{webhook_id} has been dealt with before; answer with a 2xx")
    return event


def _refuse(check: str, message: str) -> NoReturn:
    raise WebhookVerificationError(message, check=check)


def _keys(secret: str | Sequence[str]) -> list[bytes]:
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not secrets:
        _refuse("secret_malformed", "no webhook secret was given")
    try:
        return [secret_key(each) for each in secrets]
    except ConfigurationError as error:
        raise WebhookVerificationError(error.message, check="secret_malformed") from None


def _signed_headers(headers: Mapping[str, str]) -> tuple[str, str, list[str]]:
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
    return webhook_id, timestamp, entries


def _only(headers: Mapping[str, str], name: str) -> str:
    """The header's one value; two different ones are an attempt to have it read in two ways."""
    values = [value for key, value in headers.items() if isinstance(key, str) and key.lower() == name]
    if any(value != values[0] for value in values):
        _refuse("missing_header", f"{name} is there more than once")
    value = values[0] if values else None
    if not isinstance(value, str) or not value:
        _refuse("missing_header", f"{name} is missing")
    return value


def _check_timestamp(timestamp: str, now: float, tolerance_seconds: float) -> None:
    age_seconds = now - int(timestamp)
    if not abs(age_seconds) <= tolerance_seconds:
        direction = "old" if age_seconds > 0 else "in the future"
        _refuse(
            "timestamp_out_of_tolerance",
            f"{TIMESTAMP_HEADER} is {abs(age_seconds):.0f} s {direction}; {tolerance_seconds:g} s are allowed",
        )


def _any_matches(given: Sequence[str], expected: Sequence[str]) -> bool:
    """Every pair is compared, in constant time each, so that the time taken does not tell how near a guess was."""
    matches = False
    for entry in given:
        for right in expected:
            matches |= hmac.compare_digest(entry.encode("utf-8", "replace"), right.encode("ascii"))
    return matches


def _read(webhook_id: str, payload: bytes) -> Event:
    try:
        return read_event(webhook_id, json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, MalformedEventError) else "the body is not JSON in UTF-8"
        raise WebhookVerificationError(reason, check="body_unparseable") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
