"""The secrets of named endpoints: derived as RFC 5869 says, each its own, and good for signing."""

from __future__ import annotations

import base64

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.webhooks import WebhookVerificationError, event_payload, new_secret, sign, verify
from sceneshift.webhooks.endpoint_secrets import endpoint_secret, endpoint_seed, hkdf_sha256
from sceneshift.webhooks.private_keys import public_key_text
from tests.factories import NOW

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("key", "salt", "info", "length", "output"),
    [
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            82,
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.2", "A.3"],
)
def test_the_derivation_is_that_of_the_rfc(key: bytes, salt: bytes, info: bytes, length: int, output: str) -> None:
    """The RFC's own examples come out."""
    assert hkdf_sha256(key, salt=salt, info=info, length=length).hex() == output


def test_a_derived_secret_never_changes() -> None:
    """These very secrets are with receivers: another derivation would lock them all out."""
    assert endpoint_secret(KEY, "ep_0123456789", 1) == "whsec_lKmma2lKrl21qrBDfBEKFlF4yduj60y+8yIONOlUVkA="
    assert (
        endpoint_seed(KEY, "ep_0123456789", 1).hex()
        == "b47ad18090ed2e96ee9a994308fe39a7b49b1ee4a78902bf55772abba3f634f5"
    )


def test_each_secret_is_its_own() -> None:
    """Another key, endpoint, generation or purpose has another one."""
    found = {
        endpoint_secret(key, endpoint_id, number)
        for key in (KEY, new_secret())
        for endpoint_id in ("ep_0123456789", "ep_0123456788")
        for number in (1, 2, 11)
    }
    assert len(found) == 12
    seed = endpoint_seed(KEY, "ep_0123456789", 1)
    assert base64.b64encode(seed).decode() not in endpoint_secret(KEY, "ep_0123456789", 1)


def test_a_malformed_key_is_refused() -> None:
    """A key is of the form of every secret."""
    with pytest.raises(ConfigurationError):
        endpoint_secret("passw0rd", "ep_0123456789", 1)


def test_who_has_the_secret_or_the_public_key_believes_it() -> None:
    """One request carries both signatures, and a receiver needs one of the two."""
    secret, seed = endpoint_secret(KEY, "ep_0123456789", 1), endpoint_seed(KEY, "ep_0123456789", 1)
    body = event_payload("webhook.test", occurred_at=NOW, data={})
    headers = sign(body, webhook_id="evt_1", timestamp=int(NOW), secrets=[secret], seeds=[seed])
    versions = [entry.partition(",")[0] for entry in headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1a"]
    for held in (secret, public_key_text(seed)):
        assert verify(body, headers, held, now=NOW).id == "evt_1"
    other = public_key_text(endpoint_seed(KEY, "ep_0123456789", 2))
    with pytest.raises(WebhookVerificationError):
        verify(body, headers, other, now=NOW)
    with pytest.raises(WebhookVerificationError):
        verify(body + b" ", headers, public_key_text(seed), now=NOW)
