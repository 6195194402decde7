"""What the deployment had to make good, read from its records and its log: the storm's other side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sceneshift.identifiers import step_kind
from sceneshift.jobs.states import JobState
from tests.checkers import Evidence

LOGGED = {
    "lease.lost": "leases lost to another worker",
    "event.stale": "answers that came too late to count",
    "submission.unclaimed": "paid submissions that belong to no job",
    "breaker.opened": "times that the breaker opened",
    "recovery.begun": "times that recovery mode was begun",
    "result.urls_refreshed": "times that fresh result URLs were asked for",
    "intent.not_written": "intents that the bucket did not take",
    "spool.handed_on": "keys that were handed on from the spool",
    "timekeeper.store_away": "times that a timekeeper found the job store away",
    "message.not_published": "times that a message could not be published",
}
"""What lines of the workers' log are about, by their event."""

_ENDS_SUBMIT = frozenset({"submission_delayed", "accepted", "resubmitted", "probe_planned"})


def recoveries(evidence: Evidence, begun: Mapping[str, int], log: bytes) -> dict[str, int]:
    """How often what was made good; `begun` is how many messages of each task were ever begun."""
    events = Counter(line["event"] for line in _lines(log))
    return {
        "steps started again": started_again(evidence, begun),
        "out-of-memory errors in a squeezed worker": log.count(b"MemoryError"),
        **{meaning: events[event] for event, meaning in LOGGED.items() if events[event]},
    }


def started_again(evidence: Evidence, begun: Mapping[str, int]) -> int:
    """So many steps were begun and did not come to an end, and were begun again: submissions, copies and webhooks.

    A poll that does not end is asked again anyway, and not counted. A few cancelled jobs are counted wrongly by one.
    """
    timelines = evidence.timelines.values()
    ends = {
        "sceneshift.submit": sum(_ends_submit(entry) for entries in timelines for entry in entries),
        "sceneshift.finalize": sum(_finalize_ends(entries) for entries in timelines),
        "sceneshift.notify": sum(each.attempts for some in evidence.deliveries.values() for each in some),
    }
    return sum(max(0, begun.get(task, 0) - int(count)) for task, count in ends.items())


def _ends_submit(entry: Mapping[str, Any]) -> bool:
    is_held = entry["event"] == "needs_attention" and step_kind(str(entry.get("step", ""))) == "submit"
    return is_held or str(entry["event"]) in _ENDS_SUBMIT


def _finalize_ends(entries: Iterable[Mapping[str, Any]]) -> int:
    listed = list(entries)
    was_storing = any(entry["state"] == JobState.STORING for entry in listed)
    has_ended = was_storing and JobState(listed[-1]["state"]).is_final
    return int(has_ended) + [entry["event"] for entry in listed].count("storing_delayed")


def decisions(evidence: Evidence, ledger: Iterable[Any]) -> dict[str, int]:
    """Who decided what about money, and how often; and what the policy decided without the ledger."""
    found = Counter(f"{decision.action} by {decision.by}" for day in ledger for decision in day.decisions)
    planned = Counter(
        entry["event"].replace("_", " ")
        for entries in evidence.timelines.values()
        for entry in entries
        if entry["event"] in {"probe_planned", "resubmitted"}
    )
    return dict(found + planned)


def held(evidence: Evidence) -> dict[str, int]:
    """Why jobs are held, in the words of their errors, and how many for each reason."""
    return dict(
        Counter(
            f"{job.error.code}: {job.error.message}"
            for job in evidence.jobs.values()
            if job.state is JobState.NEEDS_ATTENTION and job.error
        ).most_common()
    )


def _lines(log: bytes) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and "event" in document:
            yield document
