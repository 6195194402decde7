"""How long what we sign will be honoured: a presigned URL dies with the temporary credentials that signed it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from storage.s3_errors import s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def credentials_end_at(client: S3Client) -> float | None:
    """When the credentials end that sign now (unix seconds); None when they do not, or when nobody knows.

    Those of a role are renewed first where that is due. Of a session token in the environment, only its issuer knows
    the end.

    Raises:
        StorageError: they could not be renewed.
    """
    # boto3 has no public word for it; a test makes real temporary credentials and finds out when this changes.
    credentials: Any = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    if credentials is None:
        return None
    with s3_errors("sign", "credentials"):
        credentials.get_frozen_credentials()
    end = getattr(credentials, "_expiry_time", None)
    return end.timestamp() if isinstance(end, datetime) else None
