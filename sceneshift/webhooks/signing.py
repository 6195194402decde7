"""Standard Webhooks signatures: which bytes are signed, with which keys, under which header names.

Written against the specification (version 1.0.0) and compared with its reference implementation in the tests. It needs
the standard library only, so that a shop's endpoint can use it without further installs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random
from collections.abc import Sequence

from sceneshift.errors import ConfigurationError
from sceneshift.webhooks.private_keys import private_signature

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of every secret, not one of them.
SECRET_MIN_BYTES = 24
SECRET_MAX_BYTES = 64
_NEW_SECRET_BYTES = 32

# A dot would let the id and the timestamp trade characters under one signature.
WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")


def new_secret() -> str:
    """A fresh random secret, ready for SCENESHIFT_WEBHOOK_SECRET and for `verify`."""
    return SECRET_PREFIX + base64.b64encode(random.token_bytes(_NEW_SECRET_BYTES)).decode("ascii")


def sign(
    payload: bytes, *, webhook_id: str, timestamp: int, secrets: Sequence[str], seeds: Sequence[bytes] = ()
) -> dict[str, str]:
    """The three headers that prove this payload, signed with every secret so that receivers may hold any of them.

    Args:
        payload: the exact bytes that are sent.
        webhook_id: the event's id, the same for every attempt.
        timestamp: the time of this attempt, in whole Unix seconds.
        secrets: one, or several while one replaces another.
        seeds: of Ed25519 private keys that sign too (`v1a`), for receivers that hold a public key.

    Raises:
        ConfigurationError: there is no secret, or one is malformed; or a seed is given, and the package that knows the
            curve is not installed.
        ValueError: the id or the timestamp could be read in two ways.
    """
    if not WEBHOOK_ID.fullmatch(webhook_id):
        raise ValueError(f"webhook_id {webhook_id!r} must be 1 to 256 of A-Z a-z 0-9 _ -")
    if timestamp < 0:
        raise ValueError(f"timestamp {timestamp} must not be negative")
    if not secrets:
        raise ConfigurationError("SCENESHIFT_WEBHOOK_SECRET is not set; make one with sceneshift.webhooks.new_secret()")
    entries = [signature(payload, webhook_id, str(timestamp), secret_key(secret)) for secret in secrets]
    content = signed_content(payload, webhook_id, str(timestamp))
    entries += [private_signature(content, seed) for seed in seeds]
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(entries),
    }


def secret_key(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ConfigurationError: it is malformed; the text says how, without repeating it.
    """
    if not isinstance(secret, str) or not secret.startswith(SECRET_PREFIX):
        raise ConfigurationError(f"a webhook secret must start with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(
            f"a webhook secret must be standard base64 with its padding after {SECRET_PREFIX}, and nothing around it"
        ) from None
    if not SECRET_MIN_BYTES <= len(key) <= SECRET_MAX_BYTES:
        raise ConfigurationError(
            f"a webhook secret must hold {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} bytes; this one holds {len(key)}"
        )
    return key


def signature(payload: bytes, webhook_id: str, timestamp: str, key: bytes) -> str:
    """One entry of the signature header: the version, a comma, and the HMAC in base64."""
    signed = signed_content(payload, webhook_id, timestamp)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def signed_content(payload: bytes, webhook_id: str, timestamp: str) -> bytes:
    """The bytes that every signature of a webhook covers, whichever its version."""
    return b".".join((webhook_id.encode("ascii"), timestamp.encode("ascii"), payload))
