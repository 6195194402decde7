"""The intent log in the bucket: one object per submission, written before it is sent, that no job store can forget.

    intents/{yyyy}/{mm}/{dd}/{job_id}/{number}.json

The name depends on the job alone, and the bucket lets each name be taken once. So of two job stores that give out the
same submission, after a failover or beside each other, one has it sent.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import secrets
from datetime import UTC, date, datetime

from redis.exceptions import RedisError

from sceneshift.jobs.intents import Intent, unknown_intent
from sceneshift.jobs.record import JobRecord
from storage.names import job_folder
from storage.objects import ObjectStore, StorageError
from tasks.services import Services

log = logging.getLogger(__name__)

_NAME = re.compile(r"intents/\d{4}/\d{2}/\d{2}/(job_[0-9A-Z]{26})/(\d{3,})\.json")


class IntentNotWrittenError(Exception):
    """Raised when the bucket did not take the intent: nothing may be sent now, and the same may work later."""


class IntentTakenError(Exception):
    """Raised when this submission was given out before: it may be on its way already, and must not be sent again."""


def write_intent(services: Services, job: JobRecord) -> None:
    """The intent that the record has just been given is in the bucket, as the only one of its number, and the latest.

    Raises:
        IntentNotWrittenError: the bucket failed; whether the intent is there is not known, and nothing was sent.
        IntentTakenError: another one has its number, or a later one, so the job store has forgotten it, or there are
            two. Recovery mode has been begun.
    """
    name, token = intent_name(job.id, job.submits), secrets.token_hex(16)
    body = json.dumps({**Intent.of(job).to_json(), "token": token}, ensure_ascii=False, sort_keys=True).encode()
    try:
        is_ours = services.objects.put(
            name,
            io.BytesIO(body),
            size_bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            content_type="application/json",
            metadata={},
        )
        # An earlier try of this very call may have written it, and its answer been lost.
        is_ours = is_ours or json.loads(services.objects.get(name))["token"] == token
        # Not every intent comes so far as to be written: a number may be free though a later one is taken.
        latest = _latest(services.objects, job.id)
    except (StorageError, ValueError, KeyError, TypeError) as error:
        text = error.message if isinstance(error, StorageError) else "what is there is no intent"
        raise IntentNotWrittenError(f"the intent could not be written to the bucket: {text}") from error
    if not is_ours or latest > job.submits:
        _begin_recovery(services, job, latest)
        raise IntentTakenError(f"submission {latest} of {job.id} stands in the intent log already")


def _latest(objects: ObjectStore, job_id: str) -> int:
    """The number of the job's latest submission in the intent log; 0 without one."""
    numbers = (_NAME.fullmatch(name) for name in objects.list(intent_name(job_id, 0).rpartition("/")[0] + "/"))
    return max((int(match[2]) for match in numbers if match), default=0)


def _begin_recovery(services: Services, job: JobRecord, number: int) -> None:
    """Where one submission was forgotten, others may have been."""
    try:
        services.store.recovery.begin(
            f"the intent log has submission {number} of {job.id}, of which the job store knew nothing"
        )
    except RedisError as error:
        log.warning("recovery.not_begun", extra={"job_id": job.id, "error": type(error).__name__})


def intent_name(job_id: str, number: int) -> str:
    """The object of this submission; the day is the one on which the job was accepted (UTC)."""
    return f"intents/{job_folder(job_id).removeprefix('results/')}/{number:03d}.json"


def intents_of(objects: ObjectStore, day: date) -> dict[str, int]:
    """The jobs that were accepted on this day and have been submitted, with the number of their latest submission.

    Raises:
        StorageError: the bucket failed.
    """
    numbers: dict[str, int] = {}
    for name in objects.list(f"intents/{day:%Y/%m/%d}/"):
        if match := _NAME.fullmatch(name):
            job_id, number = match[1], int(match[2])
            numbers[job_id] = max(number, numbers.get(job_id, 0))
    return numbers


def read_intent(objects: ObjectStore, job_id: str, number: int) -> Intent:
    """The intent as it was written.

    Raises:
        StorageError: the bucket failed.
        UnknownRecordError: a later release wrote it, or what is there is no intent.
    """
    body = objects.get(intent_name(job_id, number))
    try:
        document = json.loads(body)
    except ValueError as error:
        raise unknown_intent("no JSON") from error
    return Intent.from_json(document)


def day_of(moment: float) -> date:
    """The day (UTC) of this moment (unix seconds)."""
    return datetime.fromtimestamp(moment, UTC).date()
