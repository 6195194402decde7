"""The published test vectors: our code, the reference implementation and the vectors' own maker agree on each."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime, tzinfo
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import standardwebhooks.webhooks

from sceneshift.webhooks import WebhookVerificationError, sign, verify
from tests import webhook_vectors

ROOT = Path(__file__).resolve().parents[2]
SHIPPED: dict[str, Any] = json.loads(
    (resources.files("sceneshift.webhooks") / "vectors.json").read_text(encoding="utf-8")
)
VECTORS: list[dict[str, Any]] = SHIPPED["vectors"]
LAX = {
    "a_leading_zero_in_the_timestamp",
    "a_timestamp_with_a_fraction",
    "a_timestamp_with_a_sign",
    "a_timestamp_with_an_exponent",
    "characters_moved_from_the_body_into_the_id",
}
"""What the reference implementation lets through: it reads any number as the time and rounds it off before it signs,
and it knows no rule for ids."""

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def body_of(vector: dict[str, Any]) -> bytes:
    return base64.b64decode(vector["body_base64"])


def test_the_shipped_file_is_what_its_maker_writes() -> None:
    """Nobody edits the vectors by hand, and every one has a name of its own."""
    assert webhook_vectors.PATH.read_text(encoding="utf-8") == webhook_vectors.text()
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)
    assert sum(not vector["authentic"] for vector in VECTORS) >= 30


@each_vector
def test_we_agree(vector: dict[str, Any]) -> None:
    """What is authentic is believed, and what is not is refused by the check that the vector names."""
    check = None
    try:
        verify(body_of(vector), vector["headers"], vector["keys"], now=vector["now"])
    except WebhookVerificationError as error:
        # Some bodies are authentic and describe no event, such as the specification's own example.
        check = None if error.check == "body_unparseable" else error.check
    assert check == vector["check"]
    assert (check is None) is vector["authentic"]


@pytest.mark.parametrize(
    "vector",
    [each for each in VECTORS if all(key.startswith("whsec_") for key in each["keys"])],
    ids=lambda vector: vector["name"],
)
def test_the_reference_implementation_agrees(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The official `standardwebhooks` package says the same of every vector that has secrets."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.fromtimestamp(vector["now"], tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)
    believed = False
    for key in vector["keys"]:
        try:
            standardwebhooks.Webhook(key).verify(body_of(vector), vector["headers"], json_parse=False)
        except (standardwebhooks.WebhookVerificationError, ValueError):
            continue
        believed = True
    assert believed is (vector["authentic"] or vector["name"] in LAX)


@pytest.mark.parametrize("body", [b"{}", "ü 🪑".encode()])
def test_their_signatures_are_ours(body: bytes) -> None:
    """For one secret, the three makers of signatures write the same text."""
    key = webhook_vectors.secret_text(webhook_vectors.KEY)
    ours = sign(body, webhook_id="evt_01", timestamp=webhook_vectors.NOW, secrets=[key])["webhook-signature"]
    moment = datetime.fromtimestamp(webhook_vectors.NOW, UTC)
    assert ours == standardwebhooks.Webhook(key).sign("evt_01", moment, body.decode())
    assert ours == webhook_vectors.v1(webhook_vectors.KEY, webhook_vectors.content(body, "evt_01", webhook_vectors.NOW))


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not on PATH")
def test_the_example_for_node_agrees() -> None:
    """The receiver in JavaScript passes every vector, Ed25519 included."""
    answer = subprocess.run(
        ["node", "examples/webhook_receivers/node/try_vectors.mjs"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr + answer.stdout
    assert answer.stdout.strip() == f"{len(VECTORS)} vectors agree"
