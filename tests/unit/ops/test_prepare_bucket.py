"""A bucket counts as ready when an object in it was written and read, and not before."""

# ruff: noqa: N803  # the argument names are boto3's
from __future__ import annotations

import io
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ops import prepare_bucket
from ops.prepare_bucket import BucketNotReadyError, Target, prepare

TARGET = Target(bucket="results", prefix="", endpoint_url=None, region="us-east-1")


class Store:
    """An object store in memory that answers each call with a planned failure first."""

    def __init__(self, *failures: Exception, forgets: int = 0) -> None:
        self.failures = list(failures)
        self.forgets = forgets
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.locations: list[Any] = []

    def head_bucket(self, *, Bucket: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if Bucket not in self.buckets:
            raise refusal("404")

    def create_bucket(self, *, Bucket: str, **location: Any) -> None:
        assert Bucket not in self.buckets
        self.buckets[Bucket] = {}
        self.locations.append(location)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:
        self.buckets[Bucket][Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, io.BytesIO]:
        if self.forgets:
            self.forgets -= 1
            raise refusal("NoSuchKey")
        return {"Body": io.BytesIO(self.buckets[Bucket][Key])}


class Time:
    """A clock that moves by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "for tests"}}, "Operation")


def prepare_with(store: Store, target: Target = TARGET, *, patience_seconds: float = 10) -> Time:
    time = Time()
    client = cast("Any", store)
    prepare(client, target, patience_seconds=patience_seconds, monotonic=time.monotonic, sleep=time.sleep)
    return time


def test_bucket_is_made_once() -> None:
    """The first run makes the bucket, the second finds it."""
    store = Store()
    prepare_with(store)
    prepare_with(store)
    assert list(store.buckets) == ["results"]
    assert store.locations == [{}]


def test_open_port_is_not_readiness() -> None:
    """A store that takes objects but cannot read them yet is waited for."""
    store = Store(EndpointConnectionError(endpoint_url="http://object-store"), refusal("SlowDown"), forgets=3)
    assert prepare_with(store).now == pytest.approx(5 * prepare_bucket.PAUSE_SECONDS)


def test_patience_ends_with_the_reason() -> None:
    """A wrong key is said by its code within the given time, not tried for ever."""
    store = Store(*[refusal("InvalidAccessKeyId")] * 100)
    with pytest.raises(BucketNotReadyError, match=r"results: not usable after 2 s: InvalidAccessKeyId"):
        prepare_with(store, patience_seconds=2)


def test_forbidden_bucket_is_not_made_anew() -> None:
    """Only a missing bucket is created: one that belongs to somebody else is an error."""
    store = Store(*[refusal("403")] * 100)
    with pytest.raises(BucketNotReadyError, match="403"):
        prepare_with(store, patience_seconds=1)
    assert store.buckets == {}


def test_probe_stays_below_the_prefix() -> None:
    """Where a prefix is ours, nothing is written outside of it, and the region is asked for."""
    store = Store()
    target = Target.from_storage_url("s3://shared/shop/images?region=eu-central-1")
    assert target is not None
    prepare_with(store, target)
    assert list(store.buckets["shared"]) == ["shop/images/.probe"]
    assert store.locations == [{"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}]


def test_storage_url_is_read_as_documented() -> None:
    """The endpoint and region of the setting are used."""
    target = Target.from_storage_url("s3://results?endpoint_url=http://object-store:8333&region=us-east-1")
    assert target == Target(bucket="results", prefix="", endpoint_url="http://object-store:8333", region="us-east-1")


def test_directory_needs_no_bucket(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With results in a directory the program has nothing to do, and says so."""
    monkeypatch.setenv("SCENESHIFT_STORAGE_URL", "file:///srv/results")
    assert prepare_bucket.main() == 0
    assert "no bucket" in capsys.readouterr().out
