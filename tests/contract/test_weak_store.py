"""What still holds on an S3 server that ignores conditions and checksums, and what does not."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.stub import ANY, Stubber

from storage.capabilities import (
    CHECKSUM_PROBE,
    CONDITIONAL_PROBE,
    PROBE_BODY,
    Capabilities,
    capabilities_of,
    probe_capabilities,
)
from storage.objects import BodyMismatchError, ObjectStore, StorageUnavailableError
from storage.s3 import S3Store
from tests.contract.conftest import BUCKET
from tests.s3_server import S3Server

NAME = "results/2026/11/23/job_01/0.png"
BODY = b"\x89PNG and some more bytes"


def put(store: ObjectStore, body: bytes = BODY, *, sku: str = "x") -> bool:
    return store.put(
        NAME,
        io.BytesIO(body),
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        content_type="image/png",
        metadata={"sku": sku},
    )


def s3(store: ObjectStore) -> S3Store:
    assert isinstance(store, S3Store)
    return store


def test_each_server_is_seen_as_it_is(seaweedfs: S3Server, rclone: S3Server) -> None:
    """Two small writes tell the server that heeds conditions and checksums from the one that ignores both."""
    strong, weak = (
        probe_capabilities(server.client(), bucket=BUCKET, prefix="seen/") for server in (seaweedfs, rclone)
    )
    assert strong == Capabilities(conditional_writes=True, checksums=True)
    assert weak == Capabilities(conditional_writes=False, checksums=False)


def test_what_was_seen_is_seen_again_and_leaves_next_to_nothing(seaweedfs: S3Server, rclone: S3Server) -> None:
    """The probe of the next process finds the same, and one small object is all that is left of them."""
    for server, expected in ((seaweedfs, True), (rclone, False)):
        client = server.client()
        for _ in range(3):
            seen = probe_capabilities(client, bucket=BUCKET, prefix="again/")
            assert (seen.conditional_writes, seen.checksums) == (expected, expected)
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix="again/")["Contents"]
        assert [entry["Key"] for entry in listed] == [f"again/{CONDITIONAL_PROBE}"]
        assert listed[0]["Size"] == len(PROBE_BODY) < 100


def test_a_process_asks_once(s3_server: S3Server) -> None:
    """What a client has found out about a place is remembered, whatever becomes of the server."""
    client = s3_server.client()
    seen = capabilities_of(client, bucket=BUCKET, prefix="once/")
    client.meta.events.register("before-send.s3.*", _fail)
    assert capabilities_of(client, bucket=BUCKET, prefix="once/") == seen


def _fail(**_about: object) -> None:
    raise AssertionError("the server was asked again")


def test_probes_are_not_listed(s3_store: ObjectStore) -> None:
    """Names of the store's own are nobody else's business."""
    put(s3_store)
    assert list(s3_store.list("")) == [NAME]


def test_racing_writers_leave_one_whole_object(weak_store: ObjectStore) -> None:
    """Where no condition is heeded, several of sixteen writers may win, but what stays is one of their bodies.

    A writer that cannot look at what it wrote hears of a failure, and its step comes again.
    """
    barrier = threading.Barrier(16)
    bodies = [b"%d" % number * 1000 for number in range(16)]

    def write(body: bytes) -> bool:
        barrier.wait()
        with contextlib.suppress(StorageUnavailableError):
            return put(weak_store, body)
        return False

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, bodies))
    assert weak_store.get(NAME) in bodies
    assert not put(weak_store, b"too late")


def test_a_damaged_body_is_found_and_removed(weak_store: ObjectStore) -> None:
    """A server that heeds no checksum is not believed: what it gives back is compared, and removed when it differs."""
    client = s3(weak_store)._client

    def damage(params: dict[str, object], **_about: object) -> None:
        """As something on the way does that drops what it does not know."""
        del params["ContentMD5"]
        params.update(Body=b"damaged", ContentLength=7)

    s3(weak_store).capabilities()
    client.meta.events.register_first("before-parameter-build.s3.PutObject", damage)
    try:
        with pytest.raises(BodyMismatchError):
            put(weak_store)
    finally:
        client.meta.events.unregister("before-parameter-build.s3.PutObject", damage)
    assert weak_store.head(NAME) is None
    assert put(weak_store)


def test_the_sha256_is_known_without_reading(weak_store: ObjectStore) -> None:
    """A server that keeps no SHA-256 has it from us, and it is not among the metadata that were given."""
    put(weak_store)
    info = weak_store.head(NAME)
    assert info is not None
    assert (info.sha256, dict(info.metadata)) == (hashlib.sha256(BODY).hexdigest(), {"sku": "x"})


# Answers that neither server gives


def stubbed() -> tuple[S3Store, Stubber]:
    client = boto3.session.Session().client(
        "s3", region_name="us-east-1", aws_access_key_id="tests", aws_secret_access_key="only-for-tests"
    )
    return S3Store(client, bucket="results"), Stubber(client)


BAD_SUM = {"service_error_code": "BadDigest", "http_status_code": 400}
TAKEN = {"service_error_code": "PreconditionFailed", "http_status_code": 412}
NOT_KNOWN = {"service_error_code": "NotImplemented", "http_status_code": 501}
DENIED = {"service_error_code": "AccessDenied", "http_status_code": 403}


@pytest.mark.parametrize(
    ("answers", "conditional_writes", "checksums"),
    [
        ([TAKEN, BAD_SUM], True, True),
        ([None, TAKEN, BAD_SUM], True, True),
        ([NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, "deleted"], False, False),
        ([None, None, BAD_SUM], False, True),
        ([TAKEN, None, "deleted"], True, False),
        ([TAKEN, TAKEN, "deleted"], True, False),
    ],
)
def test_answers_are_read_for_what_they_show(
    answers: list[dict[str, object] | str | None], conditional_writes: bool, checksums: bool
) -> None:
    """A header that is refused as unknown is one that is not heeded; a bad body that was kept earlier tells, too."""
    store, stubber = stubbed()
    for answer in answers:
        if answer == "deleted":
            stubber.add_response("delete_object", {})
        elif isinstance(answer, dict):
            stubber.add_client_error("put_object", **answer)  # type: ignore[arg-type]  # names and values of its own
        else:
            stubber.add_response("put_object", {})
    with stubber:
        assert store.capabilities() == Capabilities(conditional_writes=conditional_writes, checksums=checksums)
        stubber.assert_no_pending_responses()


def test_where_probes_are_forbidden_the_server_is_taken_at_its_word() -> None:
    """A policy that allows results alone is one of a real S3: conditions and checksums are sent, and nothing else."""
    store, stubber = stubbed()
    stubber.add_client_error("put_object", **DENIED)  # type: ignore[arg-type]
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    sent = dict.fromkeys(("Bucket", "Key", "Body", "ContentLength", "ContentType", "Metadata"), ANY)
    stubber.add_response("put_object", {}, sent | {"IfNoneMatch": "*", "ChecksumSHA256": digest})
    with stubber:
        assert put(store)
        stubber.assert_no_pending_responses()


def test_a_server_that_is_away_is_asked_again() -> None:
    """A failure shows nothing of the server, so it is not remembered."""
    store, stubber = stubbed()
    stubber.add_client_error("put_object", "SlowDown", http_status_code=503)
    for name in (TAKEN, BAD_SUM):
        stubber.add_client_error("put_object", **name)  # type: ignore[arg-type]
    with stubber:
        with pytest.raises(StorageUnavailableError):
            store.capabilities()
        assert store.capabilities() == Capabilities()


def test_probes_have_names_that_no_object_can_have() -> None:
    """They stand beside the results and can never be in the way of one."""
    assert CONDITIONAL_PROBE.startswith(".")
    assert CHECKSUM_PROBE.startswith(".")
