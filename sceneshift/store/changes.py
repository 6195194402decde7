"""A transition as the document that `advance.lua` applies, all of it or nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict
from typing import Any

from sceneshift.jobs.change import Change
from sceneshift.jobs.gates import IN_FLIGHT
from sceneshift.jobs.ledger import day_of
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.deliveries import delivery_fields
from sceneshift.store.event_log import log_fields
from sceneshift.store.keys import Keys
from sceneshift.store.permits import WAITING_SECONDS

HAND_OUT_FIELDS = ("fence", "begun", "starts", "starts_since", "parked")
"""What belongs to one step and starts anew with the next."""
WAITING_FIELDS = ("blocked_by", "blocked_until")
"""What timekeepers mark too, without a transition: always written, whatever was there."""
DAY_SECONDS = 86_400.0
LEFT_DAY_KEY, CURRENT_DAY_KEY = 17, 18
"""The places of the ledger's days among the script's keys."""
LEDGER_SECONDS = 400 * DAY_SECONDS
"""The ledger is kept for longer than a year's bills are asked about."""


def new_result_key(change: Change) -> str:
    """The result key that the job gets with this change, or empty."""
    return change.after.result_key if change.after.result_key != change.before.result_key else ""


def change_keys(keys: Keys, change: Change, now: float) -> list[str]:
    """The keys that `advance.lua` is given, in its order."""
    before, after = change.before, change.after
    idempotency_key = before.order.idempotency_key
    days = [day_of(moment) for moment in (now, now - DAY_SECONDS)]
    return [
        keys.job(before.id),
        keys.order(before.id),
        keys.results(before.id),
        keys.timeline(before.id),
        keys.due,
        keys.jobs(before.state),
        keys.jobs(after.state),
        keys.idempotency(idempotency_key) if idempotency_key else keys.job(before.id),
        keys.jobs(JobState.RENDERING),
        keys.limits,
        keys.recovery,
        keys.witnesses,
        keys.outcomes(int(now // 60)),
        keys.decisions(days[0]),
        *(keys.result_keys(day, new_result_key(change)) for day in days),
        *(keys.ledger(day_of(job.intent_at or now)) for job in (before, after)),
        keys.jobs(JobState.SUBMITTING),
        keys.waiting_for_slot,
        keys.lost_submissions,
        keys.events,
        keys.endpoints_version,
        *(keys.delivery(draft.id) for draft in change.deliveries),
    ]


def change_document(
    change: Change, *, now: float, lease_seconds: float, retention_seconds: float, channel: str
) -> dict[str, Any]:
    """What `advance.lua` is told of a change, but for what its caller adds."""
    before, after = change.before, change.after
    document: dict[str, Any] = {
        "id": before.id,
        "token": secrets.token_urlsafe(6),
        "from": {"state": before.state, "step": before.step, "revision": str(before.revision)},
        "to": after.state,
        "now": f"{now:.3f}",
        **_fields_document(change),
        "timeline": [timeline_entry(now, after.state, name, about) for name, about in change.timeline],
        "channel": channel,
        **_events_document(change, now=now, retention_seconds=retention_seconds),
        "deliveries": [delivery_fields(draft, after) for draft in change.deliveries],
        "delivery_due": f"{now + lease_seconds:.3f}",
        **_ledger_document(change),
    }
    if change.endpoints_version:
        document["endpoints"] = change.endpoints_version
    if not change.keep_due:
        document["due"] = _due_text(change, lease_seconds)
    if after.state is JobState.QUEUED and after.blocked_by == IN_FLIGHT:
        document["claim_until"] = f"{now + WAITING_SECONDS:.3f}"
    if change.occupied_until is not None:
        document["lost"] = {"submission": _submission(before), "until": f"{change.occupied_until:.3f}"}
    elif before.state is JobState.NEEDS_ATTENTION and after.state is JobState.RENDERING:
        document["found"] = _submission(before)
    if change.ends_unpaid:
        document["ends_unpaid"] = True
    if after.state.is_final:
        document["ttl_milliseconds"] = int(retention_seconds * 1000)
        document["release_key"] = change.releases_idempotency_key
    elif before.state.is_final:
        document["revives"] = True
    return document


def _events_document(change: Change, *, now: float, retention_seconds: float) -> dict[str, Any]:
    """What stands in the log of events, where those go that are older than any job that has ended."""
    return {
        "events": [
            {"at": round(event.occurred_at * 1000), "about": log_fields(event, change.after.id)}
            for event in change.events
        ],
        "events_since": f"{(now - retention_seconds) * 1000:.0f}",
    }


def _submission(job: JobRecord) -> str:
    return f"{job.id}:{job.epoch}"


def _fields_document(change: Change) -> dict[str, Any]:
    """What becomes of the record's fields, and of the results beside them."""
    before, after = change.before, change.after
    old, new = before.to_fields(), after.to_fields()
    changed = {name: text for name, text in new.items() if old.get(name) != text or name in WAITING_FIELDS}
    gone = [name for name in {*old, *WAITING_FIELDS} if name not in new]
    if before.step != after.step:
        changed = {name: text for name, text in changed.items() if name not in HAND_OUT_FIELDS}
        gone = [*(name for name in gone if name not in HAND_OUT_FIELDS), *HAND_OUT_FIELDS]
        if change.publish:
            changed["fence"] = "1"
            gone.remove("fence")
    results = after.results_json()
    more = {} if results == before.results_json() else {"results": results}
    return {"set": changed, "unset": gone, **more}


def _ledger_document(change: Change) -> dict[str, Any]:
    """What is added to the ledger, and to what it is judged by."""
    moves: list[tuple[int, str, int]] = []
    for move in change.ledger:
        line = move.line
        before = change.before.intent_at is not None and line.day == day_of(change.before.intent_at)
        key = LEFT_DAY_KEY if before else CURRENT_DAY_KEY
        for unit, amount in (("submissions", 1), ("images", line.images)):
            moves.append((key, f"{line.charge}:{line.state}:{unit}", amount * move.count))
    document: dict[str, Any] = {"ledger": moves, "ledger_ttl_milliseconds": int(LEDGER_SECONDS * 1000)}
    if change.outcome:
        document["outcome"] = change.outcome
    if change.decision:
        document["decision"] = json.dumps(asdict(change.decision), ensure_ascii=False, separators=(",", ":"))
    return document


def _due_text(change: Change, lease_seconds: float) -> str:
    if change.due_at is None:
        return ""
    due_at = change.due_at + (lease_seconds if change.publish else 0.0)
    return "+inf" if due_at == float("inf") else f"{due_at:.3f}"


def timeline_entry(at: float, state: JobState, event: str, about: dict[str, Any]) -> str:
    """One line of a job's timeline."""
    return json.dumps(
        {"at": round(at, 3), "state": str(state), "event": event, **about}, ensure_ascii=False, separators=(",", ":")
    )


def result_key_digest(result_key: str) -> str:
    """What stands for a result key where it must only be recognised."""
    return base64.b64encode(hashlib.sha256(result_key.encode()).digest()[1:9]).decode().rstrip("=")
