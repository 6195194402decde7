"""From `SCENESHIFT_STORAGE_URL` to a store, and from a job's source to a URL that the provider can fetch."""

from __future__ import annotations

import difflib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sceneshift.clock import Clock, SystemClock
from sceneshift.errors import ConfigurationError, InvalidRequestError
from storage.directory import DirectoryStore
from storage.objects import InvalidObjectError, ObjectStore, check_key
from storage.source_links import SOURCE_SPARE_SECONDS, SourceLinkTooShortError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from storage.s3 import AddressingStyle, Checksums, S3Connection

log = logging.getLogger(__name__)

SOURCE_KEY_MAX_BYTES = 1024
"""The longest object name that S3 knows."""

_VARIABLE = "SCENESHIFT_STORAGE_URL"
_FORMS = "use s3://bucket/prefix?endpoint_url=…&region=… or file:///directory"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_CHOICES = {
    "addressing_style": ("auto", "path", "virtual"),
    "checksums": ("when_supported", "when_required"),
}
_PARAMETERS = ("endpoint_url", "region", *_CHOICES)


def open_store(storage_url: str) -> ObjectStore:
    """The store that this URL names. S3 is not asked yet; a directory is made when it is missing.

    Raises:
        ConfigurationError: the URL is wrong; the text names the variable, the part and the remedy.
        StorageError: the directory cannot be used.
    """
    parts = _split(storage_url)
    if parts.scheme == "s3":
        from storage.s3 import S3Store, client_for  # noqa: PLC0415 - a directory store must not need boto3

        return S3Store(client_for(_connection(parts)), bucket=_bucket(parts), prefix=_s3_prefix(parts))
    return DirectoryStore(_directory(parts))


def fetchable_url(
    source: str, *, storage_url: str, lifetime_seconds: float, expected_seconds: float = 0.0, clock: Clock | None = None
) -> str:
    """A URL that an HTTP client without credentials can fetch: the source itself, or `s3://bucket/key` presigned.

    An S3 source is reached as the results are: by the endpoint, region and style of the storage URL. The link works for
    `lifetime_seconds`, or as long as temporary credentials do; it is logged when that is less than `expected_seconds`.

    Raises:
        SourceLinkTooShortError: the credentials are about to end.
        InvalidRequestError: the source is neither.
        ConfigurationError: an S3 source, but results go to a directory, so that there is nothing to sign with.
        StorageError: there are no credentials to sign with.
    """
    scheme, _, rest = source.partition("://")
    if scheme.lower() in {"http", "https"}:
        return source
    if scheme.lower() != "s3":
        raise InvalidRequestError("a source image must be an http://, https:// or s3://bucket/key URL")
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket) or not key.isprintable() or not 0 < len(key.encode()) <= SOURCE_KEY_MAX_BYTES:
        raise InvalidRequestError(f"{source[:80]!r} is not of the form s3://bucket/key")
    parts = _split(storage_url)
    if parts.scheme != "s3":
        raise ConfigurationError(
            f"{_VARIABLE} names a directory, so s3:// sources cannot be signed: {_FORMS.partition(' or ')[0]}, "
            "or give the source as an https:// URL"
        )
    from storage.s3 import client_for, presigned_url  # noqa: PLC0415 - http sources must not need boto3

    client = client_for(_connection(parts))
    _check_credentials(client, expected_seconds=expected_seconds, now=(clock or SystemClock()).now())
    return presigned_url(client, bucket=bucket, key=key, lifetime_seconds=lifetime_seconds)


def _check_credentials(client: S3Client, *, expected_seconds: float, now: float) -> None:
    """What is signed now can be fetched for a while yet."""
    from storage.credentials import credentials_end_at  # noqa: PLC0415 - see fetchable_url

    end = credentials_end_at(client)
    if end is None:
        return
    left_seconds = end - now
    if left_seconds < SOURCE_SPARE_SECONDS:
        raise SourceLinkTooShortError(
            f"the S3 credentials end in {max(0.0, left_seconds):.0f} s, too soon for an s3:// source to be fetched: "
            "have them renewed earlier, or use ones that live longer"
        )
    if left_seconds < expected_seconds:
        log.warning("source.link_short", extra={"seconds": round(left_seconds)})


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(f"{_VARIABLE}: {problem}; {_FORMS}")


def _split(storage_url: str) -> SplitResult:
    try:
        parts = urlsplit(storage_url)
    except ValueError:
        raise _wrong("this is not a URL") from None
    if parts.scheme not in {"s3", "file"}:
        raise _wrong(f"unknown scheme {parts.scheme[:20]!r}")
    if parts.fragment:
        raise _wrong("a fragment (#…) means nothing here")
    return parts


def _directory(parts: SplitResult) -> Path:
    if parts.netloc not in {"", "localhost"}:
        raise _wrong(f"a directory has three slashes, file:///…, and no host such as {parts.netloc[:64]!r}")
    if parts.query:
        raise _wrong("a directory takes no parameters")
    path = unquote(parts.path)
    if not path.startswith("/") or "\0" in path:
        raise _wrong("a directory is named by its absolute path")
    return Path(path)


def _bucket(parts: SplitResult) -> str:
    # The text stays out of the message: it is where a password would be, if somebody wrote one.
    if not _BUCKET.fullmatch(parts.netloc):
        raise _wrong("the bucket must be 3 to 63 of a-z 0-9 . -, without user name, password or port")
    return parts.netloc


def _s3_prefix(parts: SplitResult) -> str:
    prefix = parts.path.strip("/")
    if prefix:
        try:
            check_key(prefix)
        except InvalidObjectError as error:
            raise _wrong(f"the prefix: {error}") from None
    return prefix


def _connection(parts: SplitResult) -> S3Connection:
    from storage.s3 import S3Connection  # noqa: PLC0415 - see open_store

    values = _parameters(parts.query)
    endpoint_url = values.get("endpoint_url")
    if endpoint_url is not None:
        _check_endpoint(endpoint_url)
    return S3Connection(
        endpoint_url=endpoint_url,
        region=values.get("region"),
        # A server of one's own seldom has a name per bucket.
        addressing_style=cast("AddressingStyle", values.get("addressing_style", "path" if endpoint_url else "auto")),
        checksums=cast("Checksums", values.get("checksums", "when_supported")),
    )


def _parameters(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _PARAMETERS:
            nearest = difflib.get_close_matches(name, _PARAMETERS, n=1, cutoff=0.0)[0]
            raise _wrong(f"unknown parameter {name[:40]!r} (the nearest is {nearest!r}; credentials are no parameters)")
        if name in values:
            raise _wrong(f"{name} is given twice")
        if not value or value not in _CHOICES.get(name, (value,)):
            raise _wrong(f"{name} must be {' or '.join(_CHOICES.get(name, ('a value',)))}")
        values[name] = value
    return values


def _check_endpoint(endpoint_url: str) -> None:
    try:
        parts = urlsplit(endpoint_url)
        plain = parts.hostname and not (parts.username or parts.password or parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        plain = None
    if not plain or parts.scheme not in {"http", "https"}:
        raise _wrong("endpoint_url must be http(s)://host:port, without user name, password or parameters")
