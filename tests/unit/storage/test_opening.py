"""`SCENESHIFT_STORAGE_URL` and the sources of jobs: what is understood, and what the texts of refusals say."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sceneshift.errors import ConfigurationError, InvalidRequestError
from storage.directory import DirectoryStore
from storage.objects import StorageRefusedError
from storage.opening import fetchable_url, open_store
from storage.s3 import S3Store, _make_client

S3_URL = "s3://results/shop?endpoint_url=http://127.0.0.1:9&region=eu-central-1"


@pytest.fixture(autouse=True)
def _aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of the machine that runs the tests."""
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def config_of(store: object) -> Any:
    """The configuration of the store's client; botocore's stubs do not know its attributes."""
    assert isinstance(store, S3Store)
    return store._client.meta.config


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-tests")
    _make_client.cache_clear()


def test_a_file_url_opens_a_directory(tmp_path: Path) -> None:
    """The directory is made, names are decoded, and localhost is no other host."""
    store = open_store(f"file://localhost{tmp_path}/with%20space")
    assert isinstance(store, DirectoryStore)
    assert (tmp_path / "with space").is_dir()
    assert store.uri("a/b.png") == (tmp_path / "with space/a/b.png").as_uri()


def test_an_s3_url_names_bucket_prefix_and_connection() -> None:
    """Bucket and prefix are where keys go; endpoint and region are where requests go, path style by default."""
    store = open_store(S3_URL)
    assert isinstance(store, S3Store)
    assert store.uri("a.png") == "s3://results/shop/a.png"
    meta = store._client.meta
    assert (meta.endpoint_url, meta.region_name) == ("http://127.0.0.1:9", "eu-central-1")
    assert config_of(store).s3 == {"addressing_style": "path"}
    assert config_of(store).request_checksum_calculation == "when_supported"


def test_every_s3_parameter_reaches_the_client() -> None:
    """Addressing style and checksums are passed on; without an endpoint the style is boto3's own choice."""
    store = open_store("s3://results?region=eu-west-1&addressing_style=virtual&checksums=when_required")
    config = config_of(store)
    assert config.s3 == {"addressing_style": "virtual"}
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"
    assert config_of(open_store("s3://results")).s3 == {"addressing_style": "auto"}
    assert store.uri("a.png") == "s3://results/a.png"


def test_a_process_has_one_client_per_connection() -> None:
    """Opening twice shares the client, with its bounded tries and time limits."""
    first, second = open_store(S3_URL), open_store(S3_URL.replace("shop", "other"))
    assert isinstance(first, S3Store)
    assert isinstance(second, S3Store)
    assert first._client is second._client
    config = config_of(first)
    assert (config.connect_timeout, config.read_timeout) == (5.0, 30.0)
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}


@pytest.mark.parametrize(
    ("storage_url", "part"),
    [
        ("", "scheme"),
        ("/var/lib/results", "scheme"),
        ("gs://bucket/prefix", "scheme 'gs'"),
        ("https://bucket.s3.amazonaws.com/x", "scheme 'https'"),
        ("file://results", "three slashes"),
        ("file:results", "absolute"),
        ("file:///x?fsync=off", "no parameters"),
        ("file:///x#y", "fragment"),
        ("file:///x%00y", "absolute"),
        ("s3://", "bucket"),
        ("s3:///prefix", "bucket"),
        ("s3://ab/x", "bucket"),
        ("s3://Bucket/x", "bucket"),
        ("s3://bucket:9000/x", "bucket"),
        ("s3://bucket/../x", "prefix"),
        ("s3://bucket/a b", "prefix"),
        ("s3://bucket/x?endpoint=http://h", "'endpoint_url'"),
        ("s3://bucket/x?access_key=abc", "credentials are no parameters"),
        ("s3://bucket/x?region=a&region=b", "twice"),
        ("s3://bucket/x?region=", "region"),
        ("s3://bucket/x?addressing_style=dns", "auto or path or virtual"),
        ("s3://bucket/x?checksums=never", "when_supported or when_required"),
        ("s3://bucket/x?endpoint_url=host:9000", "endpoint_url"),
        ("s3://bucket/x?endpoint_url=ftp://host", "endpoint_url"),
        ("s3://bucket/x?endpoint_url=http://", "endpoint_url"),
        ("s3://bucket/x?endpoint_url=http://host:port", "endpoint_url"),
        ("s3://[/x", "not a URL"),
        ("s3://bucket/x?endpoint_url=http://under_score:9000", "endpoint_url"),
        ("s3://bucket/x?region=a%20b", "region"),
    ],
)
def test_a_wrong_storage_url_is_refused_by_name(storage_url: str, part: str) -> None:
    """The text names the variable and the wrong part."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(storage_url)
    assert "SCENESHIFT_STORAGE_URL" in str(caught.value)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "storage_url",
    [
        "s3://user:hunter2@bucket/x",
        "s3://bucket/x?secret=hunter2",
        "s3://bucket/x?endpoint_url=http://user:hunter2@host",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(storage_url: str) -> None:
    """Refusals do not show what may be a password."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(storage_url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ["https://shop.example/a.jpg?v=1&x=%20#y", "http://shop.example/ü b.png", "HTTPS://SHOP.example/"]
)
def test_an_http_source_passes_unchanged(source: str) -> None:
    """What the provider can fetch already is not touched, and needs no store."""
    assert fetchable_url(source, storage_url="file:///nowhere", lifetime_seconds=60) == source


@pytest.mark.usefixtures("credentials")
def test_an_s3_source_is_presigned_by_the_store_s_connection() -> None:
    """The URL leads to the same endpoint, for so long, and its key is encoded, not interpreted."""
    key = "2026/Kühlschrank 100%.jpg?versionId=1#x"
    url = fetchable_url(f"s3://photos/{key}", storage_url=S3_URL, lifetime_seconds=900.7)
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("http", "127.0.0.1:9")
    assert parts.path == "/photos/2026/K%C3%BChlschrank%20100%25.jpg%3FversionId%3D1%23x"
    query = parse_qs(parts.query)
    assert query["X-Amz-Expires"] == ["900"]
    assert "versionId" not in query
    assert "/eu-central-1/s3/" in query["X-Amz-Credential"][0]


@pytest.mark.parametrize(
    "source",
    ["", "ftp://h/x", "file:///etc/passwd", "data:image/png;base64,AA", "s3://bucket", "s3://bucket/", "s3:///key",
     "s3://user:secret@bucket/key", "s3://bucket/a\nb", "s3://bucket/" + "x" * 1025, "//host/x", "javascript://x"],
)  # fmt: skip
def test_another_source_is_refused(source: str) -> None:
    """Files, data URLs and malformed S3 names are the caller's mistake."""
    with pytest.raises(InvalidRequestError):
        fetchable_url(source, storage_url=S3_URL, lifetime_seconds=60)


def test_an_s3_source_needs_an_s3_store() -> None:
    """With results in a directory there is nothing to sign with: the text says what to do."""
    with pytest.raises(ConfigurationError, match="SCENESHIFT_STORAGE_URL"):
        fetchable_url("s3://photos/a.jpg", storage_url="file:///var/lib/x", lifetime_seconds=60)


def test_missing_credentials_are_named() -> None:
    """Without credentials the error names the variables, and waits for a person."""
    url = S3_URL.replace(":9", ":10")
    with pytest.raises(StorageRefusedError, match="AWS_ACCESS_KEY_ID") as caught:
        fetchable_url("s3://photos/a.jpg", storage_url=url, lifetime_seconds=60)
    assert caught.value.retryable
