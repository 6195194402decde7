"""How long the link to a source must work, which is signed when its job is submitted."""

from __future__ import annotations

from storage.objects import StorageError

LINK_MAX_SECONDS = 604_800.0
"""Seven days: the longest that signature version 4 allows."""
SOURCE_SPARE_SECONDS = 900.0
"""Between the signature and the answer to the submission; boto3 renews credentials when they have less than this left.
"""


class SourceLinkTooShortError(StorageError):
    """Raised when the credentials end before a source that they sign could be fetched: renewed ones mend it."""

    code = "source_link_too_short"


def source_link_seconds(provider_retention_seconds: float) -> float:
    """How long the link to a source must work: as long as the provider may still render it, which is as long as we ask.

    From the submission on, a job may wait in the provider's queue until its retention ends.
    """
    return min(LINK_MAX_SECONDS, provider_retention_seconds + SOURCE_SPARE_SECONDS)
