"""What must hold of any deployment when its faults are over, whatever happened before."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sceneshift.identifiers import submission_nonce
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.opening import Store
from workers.demo.receiver import Received

FINAL_EVENTS = {"job.completed", "job.failed", "job.cancelled"}


def assert_each_paid_at_most_once(jobs: list[JobRecord], ledger: dict[str, Any]) -> None:
    """The provider accepted every finished job exactly once, and no job more than once, by its own account."""
    accepted = Counter(entry["nonce"] for entry in ledger["submits"] if entry["accepted"])
    ours = Counter[str]()
    for job in jobs:
        nonces = [submission_nonce(job.id, epoch) for epoch in range(1, job.epoch + 1)]
        times = ours[job.id] = sum(accepted[nonce] for nonce in nonces)
        if job.state is JobState.NEEDS_ATTENTION:
            assert times <= 1, f"{job.id} is held and was accepted {times} times"
        else:
            assert times == 1, f"{job.id} is {job.state} and was accepted {times} times"
    assert sum(accepted.values()) == sum(ours.values()), "the provider accepted something that is no job of ours"
    assert ledger["charged"] == sum(accepted.values())


def assert_all_final_or_held(jobs: list[JobRecord]) -> None:
    """Every job has ended well, or waits for a person because its answer was lost."""
    wrong = [(job.id, job.state, job.error) for job in jobs if job.state is not JobState.SUCCEEDED]
    held = [
        each for each in wrong if each[1] is JobState.NEEDS_ATTENTION and each[2] and each[2].code == "outcome_unknown"
    ]
    assert wrong == held


def assert_objects_whole(jobs: list[JobRecord]) -> None:
    """Each announced image is in the store with the announced bytes, and each finished job has its manifest."""
    for job in jobs:
        for output in job.outputs:
            path = Path(unquote(urlsplit(output.uri).path))
            body = path.read_bytes()
            assert (hashlib.sha256(body).hexdigest(), len(body)) == (output.sha256, output.size_bytes)
            manifest = json.loads((path.parent / "manifest.json").read_text())
            assert [image["sha256"] for image in manifest["images"]] == [each.sha256 for each in job.outputs]


def assert_all_told(jobs: list[JobRecord], store: Store, received: Received) -> None:
    """Every finished job's webhook arrived, was verified, and is settled as delivered."""
    assert received.refused == 0
    for job in jobs:
        events = set(received.of_job(job.id))
        assert (events & FINAL_EVENTS) if job.state.is_final else ("job.needs_attention" in events), (job.id, events)
        assert {delivery.status for delivery in store.deliveries.of_job(job)} == {"delivered"}


def assert_nothing_due(jobs: list[JobRecord], store: Store) -> None:
    """The due index holds the held jobs, who wait for a person, and nothing else."""
    entries = dict(store.client.zrange(store.keys.due, 0, -1, withscores=True))  # type: ignore[arg-type]
    held = {job.id: math.inf for job in jobs if job.state is JobState.NEEDS_ATTENTION}
    assert entries == held
    counts = store.jobs.counts()
    assert sum(counts.values()) == len(jobs)
    assert counts[JobState.NEEDS_ATTENTION] == len(held)
