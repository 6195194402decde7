"""How long to wait before something is tried again.

Every pause is spread by a factor that depends only on the job and its step, so that a fleet does not march in step and
a replay takes the same times.
"""

from __future__ import annotations

import zlib

from sceneshift.identifiers import step_number
from sceneshift.jobs.record import JobRecord

JITTER = 0.2

SUBMIT_RETRY_FIRST_SECONDS = 2.0
SUBMIT_RETRY_MAX_SECONDS = 120.0
STRIKES_MAX = 6
"""So many bad answers in a row are believed; with their growing pauses they span 40 minutes."""
STRIKE_RETRY_FIRST_SECONDS = 20.0
STRIKE_RETRY_GROWTH = 3.0

STORE_RETRY_FIRST_SECONDS = 2.0
STORE_RETRY_MAX_SECONDS = 300.0


def submit_backoff_seconds(job: JobRecord) -> float:
    """The pause before a job is submitted again, doubling with the steps that it was put off."""
    exponent = min(step_number(job.step) - 1, 10)
    return spread(job, min(SUBMIT_RETRY_MAX_SECONDS, SUBMIT_RETRY_FIRST_SECONDS * 2.0**exponent))


def store_backoff_seconds(job: JobRecord) -> float:
    """The pause before a copy is tried again, doubling with the attempts."""
    exponent = min(job.store_attempts, 12)
    return spread(job, min(STORE_RETRY_MAX_SECONDS, STORE_RETRY_FIRST_SECONDS * 2.0**exponent))


def strike_pause_seconds(job: JobRecord, strikes: int) -> float:
    """The pause after so many bad answers in a row."""
    return spread(job, STRIKE_RETRY_FIRST_SECONDS * STRIKE_RETRY_GROWTH**strikes)


def spread(job: JobRecord, seconds: float) -> float:
    """The time, moved by up to ±20 % in a way that depends only on the job and its step."""
    share = zlib.crc32(f"{job.id}:{job.step}".encode()) / 0xFFFFFFFF
    return seconds * (1 + JITTER * (2 * share - 1))
