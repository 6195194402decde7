"""The secrets of named endpoints: derived from one key of the deployment, so that they are stored nowhere.

Who has the key can make every endpoint's secret again; who has an endpoint's secret learns nothing of the key, nor of
any other secret. The derivation is HKDF with SHA-256 (RFC 5869), and its inputs are the endpoint's id, which never
changes, and the number of the secret's generation, which grows when it is rotated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from sceneshift.webhooks.signing import SECRET_PREFIX, secret_key

_SALT = b"sceneshift webhook endpoints"
_BYTES = 32


def endpoint_secret(key: str, endpoint_id: str, generation: int) -> str:
    """The `whsec_…` of this generation.

    Raises:
        ConfigurationError: the key is malformed.
    """
    derived = hkdf_sha256(secret_key(key), salt=_SALT, info=_info("v1", endpoint_id, generation), length=_BYTES)
    return SECRET_PREFIX + base64.b64encode(derived).decode("ascii")


def endpoint_seed(key: str, endpoint_id: str, generation: int) -> bytes:
    """The 32 bytes of this generation's Ed25519 private key.

    Raises:
        ConfigurationError: the key is malformed.
    """
    return hkdf_sha256(secret_key(key), salt=_SALT, info=_info("v1a", endpoint_id, generation), length=_BYTES)


def _info(version: str, endpoint_id: str, generation: int) -> bytes:
    return f"{version}:{endpoint_id}:{generation}".encode("ascii")


def hkdf_sha256(key: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """So many bytes (at most 8160) derived from the key, as RFC 5869 says."""
    extracted = hmac.digest(salt, key, hashlib.sha256)
    block, output = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(extracted, block + info + bytes([counter]), hashlib.sha256)
        output += block
    return output[:length]
