"""Ed25519 signatures (`v1a`) from the sender's side: what makes them, and the public key that receivers are given."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sceneshift.webhooks.public_keys import PUBLIC_KEY_PREFIX, VERSION, Ed25519UnavailableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def private_signature(content: bytes, seed: bytes) -> str:
    """One entry of the signature header: the version, a comma, and the signature of these bytes in base64.

    Raises:
        Ed25519UnavailableError: the package `cryptography` is missing.
    """
    return f"{VERSION}," + base64.b64encode(_private_key(seed).sign(content)).decode("ascii")


def public_key_text(seed: bytes) -> str:
    """The `whpk_…` with which receivers check what the private key of this seed has signed.

    Raises:
        Ed25519UnavailableError: the package `cryptography` is missing.
    """
    return PUBLIC_KEY_PREFIX + base64.b64encode(_private_key(seed).public_key().public_bytes_raw()).decode("ascii")


def _private_key(seed: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # only who signs so needs it
            Ed25519PrivateKey,
        )
    except ImportError:
        raise Ed25519UnavailableError(
            "Ed25519 signatures need the package cryptography: pip install 'sceneshift[ed25519]'"
        ) from None
    return Ed25519PrivateKey.from_private_bytes(seed)
