"""The S3 store beyond the common contract: answers that a healthy server does not give, and time."""

from __future__ import annotations

import hashlib
import io

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.stub import Stubber

from sceneshift.clock import ManualClock
from storage.capabilities import Capabilities
from storage.objects import (
    BodyMismatchError,
    ObjectNotFoundError,
    StorageError,
    StorageRefusedError,
    StorageUnavailableError,
)
from storage.s3 import CONFLICT_TRIES_MAX, S3Store
from storage.s3_errors import NameBusyError, NameTakenError, s3_errors

BODY = b"body"


def stubbed_store() -> tuple[S3Store, Stubber]:
    client = boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="tests",
        aws_secret_access_key="only-for-tests",
        config=Config(signature_version="s3v4"),
    )
    clock = ManualClock(1_795_392_000.9)
    return S3Store(client, bucket="results", clock=clock, capabilities=Capabilities()), Stubber(client)


def put(store: S3Store) -> bool:
    return store.put(
        "a.png",
        io.BytesIO(BODY),
        size_bytes=len(BODY),
        sha256=hashlib.sha256(BODY).hexdigest(),
        content_type="image/png",
        metadata={},
    )


def answer(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "AKIA-like text"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # the rest is not read
        "PutObject",
    )


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "SlowDown", StorageUnavailableError),
        (500, "InternalError", StorageUnavailableError),
        (502, "", StorageUnavailableError),
        (429, "TooManyRequests", StorageUnavailableError),
        (408, "", StorageUnavailableError),
        (400, "RequestTimeout", StorageUnavailableError),
        (403, "RequestTimeTooSkewed", StorageUnavailableError),
        (409, "ConditionalRequestConflict", NameBusyError),
        (412, "PreconditionFailed", NameTakenError),
        (403, "AccessDenied", StorageRefusedError),
        (403, "InvalidAccessKeyId", StorageRefusedError),
        (403, "SignatureDoesNotMatch", StorageRefusedError),
        (404, "NoSuchBucket", StorageRefusedError),
        (301, "PermanentRedirect", StorageRefusedError),
        (507, "XMinioStorageFull", StorageRefusedError),
        (400, "EntityTooLarge", StorageRefusedError),
        (404, "NoSuchKey", ObjectNotFoundError),
        (404, "404", ObjectNotFoundError),
        (400, "BadDigest", BodyMismatchError),
        (400, "XAmzContentChecksumMismatch", BodyMismatchError),
        (400, "XAmzContentSHA256Mismatch", BodyMismatchError),
    ],
)
def test_an_answer_says_who_can_mend_it(status: int, code: str, kind: type[StorageError]) -> None:
    """Each answer has one meaning; all but an unknown name leave the job waiting, and the server's text stays out."""
    with pytest.raises(StorageError) as caught, s3_errors("put", "a.png"):
        raise answer(status, code)
    assert type(caught.value) is kind
    assert caught.value.retryable is (kind is not ObjectNotFoundError)
    assert "AKIA" not in str(caught.value)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="http://h"), StorageUnavailableError),
        (ReadTimeoutError(endpoint_url="http://h"), StorageUnavailableError),
        (ConnectionClosedError(endpoint_url="http://h"), StorageUnavailableError),
        (ResponseStreamingError(error="cut"), StorageUnavailableError),
        (NoCredentialsError(), StorageRefusedError),
    ],
)
def test_no_answer_is_told_from_no_credentials(error: BotoCoreError, kind: type[StorageError]) -> None:
    """A network failure passes by itself; missing credentials do not."""
    with pytest.raises(kind), s3_errors("get", "a.png"):
        raise error


def test_a_put_that_meets_another_one_is_made_again() -> None:
    """While another PUT of the name is under way (409), ours is repeated, and its outcome is what is reported."""
    for last, created in ((None, True), ("PreconditionFailed", False)):
        store, stubber = stubbed_store()
        stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        if last is None:
            stubber.add_response("put_object", {})
        else:
            stubber.add_client_error("put_object", last, http_status_code=412)
        with stubber:
            assert put(store) is created
            stubber.assert_no_pending_responses()


def test_a_put_that_always_meets_another_one_gives_up() -> None:
    """After a few conflicts the call fails, retryable: the step of the job is what repeats then."""
    store, stubber = stubbed_store()
    for _ in range(CONFLICT_TRIES_MAX):
        stubber.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
    with stubber, pytest.raises(StorageUnavailableError) as caught:
        put(store)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, None),
        ("Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=", hashlib.sha256(b"body").hexdigest()),
        ("Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=-2", None),
    ],
)
def test_only_the_checksum_of_a_whole_object_is_its_sha256(stored: str | None, expected: str | None) -> None:
    """A server that keeps none, or the sum of a multipart upload, leaves the SHA-256 unknown."""
    store, stubber = stubbed_store()
    response = {"ContentLength": 4, "ContentType": "image/png", "Metadata": {}}
    stubber.add_response("head_object", response | ({"ChecksumSHA256": stored} if stored else {}))
    with stubber:
        info = store.head("a.png")
    assert info is not None
    assert info.sha256 == expected


def test_a_link_says_until_when_it_works() -> None:
    """The time is counted from the whole second in which it was signed, so it is never too late."""
    store, _ = stubbed_store()
    link = store.link("a.png", lifetime_seconds=600.9)
    assert link.expires_at == 1_795_392_600.0
    assert "X-Amz-Expires=600" in link.url
