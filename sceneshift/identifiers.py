"""Names of jobs, steps, events and deliveries: made in one place, readable in Flower, derivable from each other.

A job id is `job_` and a ULID, so ids sort by creation and object names can take their date from them. Everything else
is derived: the events of a job are numbered, so a repeated transition produces the same webhook id again.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as the ULID specification asks
_JOB_ID = re.compile(r"job_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_DELIVERY_ID = re.compile(r"dlv_[0-7][0-9A-HJKMNP-TV-Z]{25}_([0-9]{1,9})(?:_[0-9a-z]{1,16})?")
_STEP = re.compile(r"([a-z]+)-[0-9]{1,9}")
_NONCE_NAMESPACE = uuid.UUID("5b0c5a57-6f0e-5c0e-9d51-6e1a3f0f7c11")


def new_job_id(now: float) -> str:
    """A new job id for this moment (unix seconds); unique by 80 random bits."""
    return f"job_{_ulid(now, secrets.randbits(80))}"


def system_event_id(now: float, seed: str) -> str:
    """The `webhook-id` of an event that is about no job: the same for the same moment and seed, whoever makes it."""
    return f"evt_{_ulid(now, int.from_bytes(hashlib.sha256(seed.encode()).digest()[:10]))}_0"


def _ulid(now: float, low_bits: int) -> str:
    value = (int(now * 1000) << 80) | low_bits
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def is_job_id(text: str) -> bool:
    """Whether this is the form of our ids, so that it may become part of a key or an object name."""
    return isinstance(text, str) and _JOB_ID.fullmatch(text) is not None


def is_delivery_id(text: str) -> bool:
    """Whether this is the form of our deliveries' ids."""
    return isinstance(text, str) and _DELIVERY_ID.fullmatch(text) is not None


def is_system_delivery_id(text: str) -> bool:
    """Whether this is the id of the delivery of an event that is about no job: those have the number 0."""
    found = _DELIVERY_ID.fullmatch(text) if isinstance(text, str) else None
    return found is not None and int(found[1]) == 0


def is_step(text: str, kind: str) -> bool:
    """Whether this is the form of a step of this kind, such as `poll-007` of `poll`."""
    found = _STEP.fullmatch(text) if isinstance(text, str) else None
    return found is not None and found[1] == kind


def created_at(job_id: str) -> float:
    """When the id was made, in unix seconds.

    Raises:
        ValueError: this is not a job id.
    """
    if not is_job_id(job_id):
        raise ValueError(f"{job_id[:64]!r} is not a job id")
    milliseconds = 0
    for character in job_id[4:14]:
        milliseconds = milliseconds * 32 + _ALPHABET.index(character)
    return milliseconds / 1000


def step_name(kind: str, number: int) -> str:
    """`submit-1`, `poll-007`, `finalize-1`, `notify-02`: what a message asks for and the record waits for."""
    width = {"poll": 3, "notify": 2}.get(kind, 1)
    return f"{kind}-{number:0{width}d}"


def step_kind(step: str) -> str:
    """The part of a step that names its task: `poll` for `poll-007`."""
    return step.rpartition("-")[0]


def step_number(step: str) -> int:
    """The counter of a step: 7 for `poll-007`."""
    return int(step.rpartition("-")[2])


def task_id(subject_id: str, step: str) -> str:
    """The Celery task id of one step of a job or of a delivery; the same step always has the same id."""
    return f"{subject_id}:{step}"


def event_id(job_id: str, sequence: int) -> str:
    """The `webhook-id` of a job's event: constant over retries and replays."""
    return f"evt_{job_id[4:]}_{sequence}"


def delivery_id(job_id: str, sequence: int) -> str:
    """The id of the delivery of a job's event."""
    return f"dlv_{job_id[4:]}_{sequence}"


def endpoint_delivery_id(event_id: str, endpoint_id: str) -> str:
    """The id of the delivery of an event to a named endpoint."""
    return f"dlv_{event_id.removeprefix('evt_')}_{endpoint_id.removeprefix('ep_')}"


def endpoint_of_delivery(delivery_id: str) -> str:
    """The id of the named endpoint that a delivery is for; empty where it goes to the URL of its job."""
    _, _, *after = delivery_id.split("_")
    return f"ep_{after[1]}" if after[1:] else ""


def submission_nonce(job_id: str, epoch: int) -> str:
    """The nonce of a submission: fixed by job and epoch, so that nothing can re-roll it by accident."""
    return str(uuid.uuid5(_NONCE_NAMESPACE, f"{job_id}:{epoch}"))
