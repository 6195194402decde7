"""What boto3's exceptions mean for a caller: the one place where they are read.

Messages are made of the operation, the status and the server's error code. The server's own text stays out: it can hold
an access key id.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from storage.objects import (
    BodyMismatchError,
    InvalidObjectError,
    ObjectNotFoundError,
    StorageError,
    StorageRefusedError,
    StorageUnavailableError,
)

_NOT_FOUND = 404
_CONFLICT = 409
_PRECONDITION_FAILED = 412
_SERVER_ERRORS = 500
_OUT_OF_SPACE = 507
_TIME_MENDS_STATUSES = frozenset({408, 425, 429})
# Answers of status 400 or 403 that are about the moment, not about the request.
_TIME_MENDS_CODES = frozenset(
    {"InternalError", "RequestTimeTooSkewed", "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
)
_WRONG_BODY_CODES = frozenset(
    {"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
)


class NameTakenError(StorageError):
    """Raised when a conditional PUT met an object of that name."""


class NameBusyError(StorageUnavailableError):
    """Raised when another PUT of the same name is under way."""


@contextlib.contextmanager
def s3_errors(operation: str, key: str) -> Iterator[None]:
    """Every exception of boto3 inside becomes a `StorageError`."""
    try:
        yield
    except ClientError as error:
        raise of_answer(error, f"{operation} {key!r}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StorageRefusedError(
            f"{operation} {key!r}: no complete S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or any "
            "other source that boto3 knows"
        ) from error
    except ParamValidationError as error:
        raise InvalidObjectError(
            f"{operation} {key!r}: S3 cannot be asked for this ({type(error).__name__})"
        ) from error
    except RecursionError as error:
        # botocore asks after a bucket's region when it is redirected, and is redirected again.
        raise StorageRefusedError(
            f"{operation} {key!r}: the endpoint redirects every request; give the address that it leads to"
        ) from error
    except (BotoCoreError, AttributeError) as error:
        # An error answer that carries the checksum of an object is wrapped by botocore 1.44, which then fails to read
        # it: `'StreamingChecksumBody' object has no attribute 'strip'`.
        raise StorageUnavailableError(
            f"{operation} {key!r}: no answer of the store ({type(error).__name__})"
        ) from error


def of_answer(error: ClientError, what: str) -> StorageError:
    """The error that an answer of the server stands for, by its code first, then by its status."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = _kind(code, status)
    return kind(f"{what}: the store answered {status} {code[:64]}".rstrip())


def _kind(code: str, status: int) -> type[StorageError]:  # noqa: PLR0911 - one line per meaning reads like the table it is
    if code in _WRONG_BODY_CODES:
        return BodyMismatchError
    if code in _TIME_MENDS_CODES or status in _TIME_MENDS_STATUSES:
        return StorageUnavailableError
    if status == _PRECONDITION_FAILED:
        return NameTakenError
    if status == _CONFLICT:
        return NameBusyError
    if status == _NOT_FOUND and code != "NoSuchBucket":
        return ObjectNotFoundError
    if status >= _SERVER_ERRORS and status != _OUT_OF_SPACE:
        return StorageUnavailableError
    return StorageRefusedError
