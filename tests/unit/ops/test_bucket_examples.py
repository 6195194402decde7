"""The examples for a bucket are what AWS takes, and allow what the service does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from sceneshift.settings import Settings
from storage.capabilities import CHECKSUM_PROBE, CONDITIONAL_PROBE

EXAMPLES = Path(__file__).resolve().parents[3] / "ops/bucket"
PAGE = (EXAMPLES.parents[1] / "docs/how-to/production.md").read_text("utf-8")


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / name).read_text("utf-8"))
    return document


def test_every_example_is_explained() -> None:
    """Each file is on the page for those who run it in production, and the page names no others."""
    names = {path.name for path in EXAMPLES.iterdir()}
    assert set(re.findall(r"^\| `([\w-]+\.json)` \|", PAGE, re.MULTILINE)) == names


@pytest.mark.parametrize("name", ["bucket-policy.json", "worker-policy.json"])
def test_policies_have_their_form(name: str) -> None:
    """Version, effect, actions of S3 and resources of the named buckets; who is meant stands in a bucket's alone."""
    document = example(name)
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        assert set(statement) <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        assert statement["Effect"] in {"Allow", "Deny"}
        assert ("Principal" in statement) is (name == "bucket-policy.json")
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert all(action.startswith("s3:") for action in actions)
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        assert all(re.fullmatch(r"arn:aws:s3:::(SHOTS|PHOTOS)(/.*)?", each) for each in resources)


def test_a_worker_may_write_every_name_that_it_uses() -> None:
    """Results, intents, staged sources and the probes."""
    writing = [each for each in example("worker-policy.json")["Statement"] if "s3:PutObject" in each["Action"]]
    patterns = [each.removeprefix("arn:aws:s3:::SHOTS/").removesuffix("*") for each in writing[0]["Resource"]]
    for name in ("results/x", "intents/x", "sources/x", CONDITIONAL_PROBE, CHECKSUM_PROBE):
        assert any(name.startswith(pattern) for pattern in patterns)


def test_the_lifecycle_is_one_that_the_client_sends() -> None:
    """boto3 knows every word of it, and no result is deleted by it."""
    document = example("lifecycle.json")
    client = boto3.session.Session().client(
        "s3", region_name="us-east-1", aws_access_key_id="tests", aws_secret_access_key="only-for-tests"
    )
    with Stubber(client) as stubber:
        stubber.add_response("put_bucket_lifecycle_configuration", {})
        client.put_bucket_lifecycle_configuration(Bucket="shots", LifecycleConfiguration=document)  # type: ignore[arg-type]
        stubber.assert_no_pending_responses()
    rules = {rule["Filter"]["Prefix"]: rule for rule in document["Rules"]}
    assert "Expiration" not in rules["results/"]
    assert rules["intents/"]["Expiration"]["Days"] * 86_400 > Settings().job_retention_seconds
