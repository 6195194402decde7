"""Why a webhook is believed or not: every check by itself, where `verify` stops at the first that fails.

For a person in front of a webhook that was refused. A receiver uses `verify`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sceneshift.errors import WebhookVerificationError
from sceneshift.webhooks.events import Event
from sceneshift.webhooks.verifying import (
    ReceiverKeys,
    RequestHeaders,
    SignedHeaders,
    check_signature,
    check_timestamp,
    read_body,
    receiver_keys,
    signed_headers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check came to: `subject` is what was looked at, `check` the word of `verify` when it failed."""

    subject: str
    text: str
    check: str = ""

    @property
    def passed(self) -> bool:
        return not self.check


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that can be said about a webhook; `event` is what it tells when everything passed."""

    findings: tuple[Finding, ...]
    event: Event | None

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(finding.check for finding in self.findings if not finding.passed)


def explain(
    payload: bytes, headers: RequestHeaders, secret: Sequence[str], *, now: float, tolerance_seconds: float = 300
) -> Explanation:
    """Every check that can be made was made. `event` is there exactly when `verify` would return it."""
    findings: list[Finding] = []

    def tried(subject: str, check: Callable[[], str]) -> None:
        try:
            findings.append(Finding(subject=subject, text=check()))
        except WebhookVerificationError as error:
            findings.append(Finding(subject=subject, text=error.message, check=error.check))

    keys, signed = _found(findings, headers, secret)
    if signed:
        tried("timestamp", lambda: _said_of_time(signed, now, tolerance_seconds))
    if signed and keys:
        findings.append(_said_of_signature(payload, signed, keys))
    event: list[Event] = []
    webhook_id = signed.webhook_id if signed else ""
    tried("body", lambda: _said_of_body(payload, webhook_id, event))
    passed = all(finding.passed for finding in findings)
    return Explanation(findings=tuple(findings), event=event[0] if passed else None)


def _found(
    findings: list[Finding], headers: RequestHeaders, secret: Sequence[str]
) -> tuple[ReceiverKeys | None, SignedHeaders | None]:
    keys = signed = None
    try:
        keys = receiver_keys(secret)
        text = f"{_count(len(keys.secrets), 'secret')}, {_count(len(keys.public), 'public key')}"
        findings.append(Finding(subject="keys", text=text))
    except WebhookVerificationError as error:
        findings.append(Finding(subject="keys", text=error.message, check=error.check))
    try:
        signed = signed_headers(headers)
        text = f"{signed.webhook_id}, with {_count(len(signed.signatures), 'signature')}"
        findings.append(Finding(subject="headers", text=text))
    except WebhookVerificationError as error:
        findings.append(Finding(subject="headers", text=error.message, check=error.check))
    return keys, signed


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _said_of_time(signed: SignedHeaders, now: float, tolerance_seconds: float) -> str:
    check_timestamp(signed.timestamp, now, tolerance_seconds)
    age_seconds = now - int(signed.timestamp)
    return f"signed {age_seconds:.0f} s ago" if age_seconds >= 0 else f"signed {-age_seconds:.0f} s from now"


def _said_of_signature(payload: bytes, signed: SignedHeaders, keys: ReceiverKeys) -> Finding:
    try:
        check_signature(payload, signed, keys)
    except WebhookVerificationError as error:
        text = _why_nothing_matches(payload, signed, keys) or error.message
        return Finding(subject="signature", text=text, check=error.check)
    return Finding(subject="signature", text=_which_matches(payload, signed, keys))


def _which_matches(payload: bytes, signed: SignedHeaders, keys: ReceiverKeys) -> str:
    """Which key made which entry. The key is named by its place, for it may be a secret."""
    for kind, several in (("secret", keys.secrets), ("public key", keys.public)):
        for place, key in enumerate(several, start=1):
            for number, entry in enumerate(signed.signatures, start=1):
                one = ReceiverKeys(
                    secrets=(key,) if kind == "secret" else (), public=() if kind == "secret" else (key,)
                )
                if _fits(payload, _with(signed, entry), one):
                    return f"signature {number} of {len(signed.signatures)} is by {kind} {place} of {len(several)}"
    return "it matches"


def _with(signed: SignedHeaders, *entries: str) -> SignedHeaders:
    return SignedHeaders(webhook_id=signed.webhook_id, timestamp=signed.timestamp, signatures=entries)


def _fits(payload: bytes, signed: SignedHeaders, keys: ReceiverKeys) -> bool:
    try:
        check_signature(payload, signed, keys)
    except WebhookVerificationError:
        return False
    return True


def _why_nothing_matches(payload: bytes, signed: SignedHeaders, keys: ReceiverKeys) -> str:
    """The likely cause, or empty when it is not one of those that can be told."""
    for what, body in _other_forms(payload):
        if _fits(body, signed, keys):
            return f"the signature is right for this body {what}: the body was changed on its way here"
    versions = {entry.partition(",")[0] for entry in signed.signatures}
    if "v1" not in versions and not keys.public:
        return f"there is no v1 signature, only {', '.join(sorted(versions))}: a public key (whpk_…) is needed"
    if "v1a" not in versions and not keys.secrets:
        return f"there is no v1a signature, only {', '.join(sorted(versions))}: a secret (whsec_…) is needed"
    return ""


def _other_forms(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """What tools and frameworks make of a body, turned back."""
    yield "without the newline at its end", payload.removesuffix(b"\n").removesuffix(b"\r")
    yield "with a newline at its end", payload + b"\n"
    yield "with other line ends", payload.replace(b"\r\n", b"\n")
    yield "with other line ends", payload.replace(b"\n", b"\r\n")
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return
    compact = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    yield "dumped without spaces", compact.encode("utf-8", "backslashreplace")
    yield "dumped without spaces, in ASCII", json.dumps(document, separators=(",", ":")).encode()
    yield "dumped with spaces", json.dumps(document).encode()


def _said_of_body(payload: bytes, webhook_id: str, into: list[Event]) -> str:
    event = read_body(webhook_id, payload)
    into.append(event)
    return f"{event.type}, {_count(len(payload), 'byte')}"
