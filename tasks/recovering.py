"""Merging the intents back, of which a job store has lost some: those of this process, and those of the bucket."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta

from sceneshift.errors import UnknownRecordError
from sceneshift.jobs.intents import Intent, Merged, unknown_intent
from sceneshift.store.merging import forgotten, merge, oldest_unfinished
from sceneshift.store.recovery import RecoveryState
from storage.names import manifest_name
from tasks.intents import day_of, intent_name, intents_of, read_intent
from tasks.services import Services

log = logging.getLogger(__name__)

CLAIM_SECONDS = 120.0
"""A process that merges the bucket claims that anew for each day of it."""
BUCKET = "the bucket's intent log"


def merge_memory(services: Services) -> Merged:
    """The store knows of all submissions that this process remembers, or their jobs are held."""
    merged = _merge(services, services.store.recovery.remembered())
    services.store.recovery.note_merge(merged)
    log.warning("recovery.merged", extra={"by": services.store.recovery.process, "result": str(merged)})
    return merged


def merge_bucket(services: Services, state: RecoveryState) -> bool:
    """The store knows of all submissions of the bucket's intent log, and recovery mode has ended.

    False: another process is at it, or somebody has found more meanwhile, so that it must be done again.

    Raises:
        UnknownRecordError: all others are merged, and the mode is still on, for a worker of the release that wrote
            these to end it.
    """
    recovery, merged = services.store.recovery, Merged()
    for day in _days(services):
        if not recovery.claim(CLAIM_SECONDS):
            return False
        merged += _merge_day(services, day)
    recovery.note_merge(merged, of=BUCKET)
    if merged.unknown:
        # Whoever can go on with it must not wait for this process.
        recovery.claim(0.0)
        raise unknown_intent(f"{merged.unknown} submissions of a later release")
    answer = recovery.end(by=recovery.process, note="the bucket's intent log was merged", begins=state.begins)
    return answer == "ended"


def _merge_day(services: Services, day: date) -> Merged:
    numbers = intents_of(services.objects, day)
    lost = list(forgotten(services.store, numbers, lost_after=_lost_after(services)))
    intents = [intent for job_id in lost if (intent := _read(services, job_id, numbers[job_id]))]
    merged = _merge(services, intents)
    return replace(merged, intents=len(numbers), unknown=merged.unknown + len(lost) - len(intents))


def _read(services: Services, job_id: str, number: int) -> Intent | None:
    """The intent, or None for one that this release does not understand."""
    try:
        return read_intent(services.objects, job_id, number)
    except UnknownRecordError as error:
        about = {"job_id": job_id, "object": intent_name(job_id, number), "what": error.what}
        log.error("recovery.unknown_intent", extra=about)  # noqa: TRY400  # it says all
        return None


def _merge(services: Services, intents: Iterable[Intent]) -> Merged:
    def is_done(job_id: str) -> bool:
        return services.objects.head(manifest_name(job_id)) is not None

    return merge(services.store, intents, lost_after=_lost_after(services), is_done=is_done)


def _lost_after(services: Services) -> float:
    return services.store.clock.now() - services.settings.job_retention_seconds


def _days(services: Services) -> Iterator[date]:
    """The days on which the jobs of lost submissions may have been accepted.

    A copy of any age may have been restored, so these are all days of which the store keeps finished jobs, and more
    where an unfinished one is older.
    """
    now = services.store.clock.now()
    day, last = day_of(min(_lost_after(services), oldest_unfinished(services.store) or now)), day_of(now)
    while day <= last:
        yield day
        day += timedelta(days=1)
