"""Ed25519 signatures (`v1a`) from the receiver's side: a public key checks them and can make none.

Whoever gives a receiver a public key shares no secret with it. The curve is the business of the package `cryptography`:
it is imported when a public key is used, so that receivers with an ordinary secret need the standard library only.
"""

from __future__ import annotations

import base64
import binascii

from sceneshift.errors import ConfigurationError

PUBLIC_KEY_PREFIX = "whpk_"
PUBLIC_KEY_BYTES = 32
VERSION = "v1a"
_SIGNATURE_BYTES = 64


class Ed25519UnavailableError(ConfigurationError):
    """Raised where a public key is used and the package that knows the curve is not installed."""


def public_key(text: str) -> bytes:
    """The 32 bytes that `whpk_…` stands for.

    Raises:
        ConfigurationError: it is malformed.
    """
    encoded = text.removeprefix(PUBLIC_KEY_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if encoded == text or len(key) != PUBLIC_KEY_BYTES or base64.b64encode(key).decode("ascii") != encoded:
        raise ConfigurationError(
            f"a webhook's public key must be {PUBLIC_KEY_PREFIX} and the standard base64 of {PUBLIC_KEY_BYTES} bytes"
        )
    return key


def is_signed(entry: str, content: bytes, key: bytes) -> bool:
    """Whether this entry of the signature header is a `v1a` signature of this content by the key's owner.

    Raises:
        Ed25519UnavailableError: the package `cryptography` is missing.
    """
    version, _, encoded = entry.partition(",")
    if version != VERSION:
        return False
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    # One signature has one spelling: base64 also reads texts whose last character has bits that belong to no byte.
    if len(signature) != _SIGNATURE_BYTES or base64.b64encode(signature).decode("ascii") != encoded:
        return False
    return _matches(signature, content, key)


def _matches(signature: bytes, content: bytes, key: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # only who has a public key needs it
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        raise Ed25519UnavailableError(
            "a public key needs the package cryptography: pip install 'sceneshift[ed25519]'"
        ) from None
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True
