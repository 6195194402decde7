"""What objects are called. A name depends on the job alone, so that doing a step twice meets what is there already.

Names are made of our own ids, numbers and a fixed list of extensions; nothing that a shop or a provider wrote gets in.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sceneshift.identifiers import created_at
from storage.objects import InvalidObjectError

EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
"""The content types that a result may have, and what their names end in."""

INDEX_MAX = 99


def job_folder(job_id: str) -> str:
    """`results/{yyyy}/{mm}/{dd}/{job_id}`: the day (UTC) is the one on which the job was accepted.

    Raises:
        InvalidObjectError: this is not one of our job ids.
    """
    try:
        day = datetime.fromtimestamp(created_at(job_id), tz=UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidObjectError(f"{job_id[:64]!r} is not a job id, so it cannot name an object") from None
    return f"results/{day:%Y/%m/%d}/{job_id}"


def output_name(job_id: str, index: int, content_type: str) -> str:
    """The name of a job's result image: `results/{yyyy}/{mm}/{dd}/{job_id}/{index}.{ext}`."""
    if content_type not in EXTENSIONS:
        raise InvalidObjectError(f"{content_type[:64]!r} is not a type of result image")
    return output_prefix(job_id, index) + EXTENSIONS[content_type]


def output_prefix(job_id: str, index: int) -> str:
    """What the names of one result image begin with, whatever its type: up to and with the dot."""
    if not 0 <= index <= INDEX_MAX:
        raise InvalidObjectError(f"{index} is not the index of a result image")
    return f"{job_folder(job_id)}/{index}."


def manifest_name(job_id: str) -> str:
    """The name of the job's commit mark: `results/{yyyy}/{mm}/{dd}/{job_id}/manifest.json`."""
    return f"{job_folder(job_id)}/manifest.json"
