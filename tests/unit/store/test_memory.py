"""What a job costs in the server's memory, which decides how many can be in flight."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from sceneshift.clock import ManualClock
from sceneshift.identifiers import submission_nonce
from sceneshift.jobs import events
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job, an_order
from tests.unit.jobs.situations import RESULT_KEY
from workers.embedded.redis_server import RedisServer

JOBS = 2_000
JOB_MAX_BYTES = 1_536

LATER = events.PollScheduled(poll_in_seconds=6.0)


def used_bytes(store: Store) -> int:
    """Without what comes and goes with the machine's load: buffers towards clients and disk, tables being resized."""
    information: dict[str, Any] = store.client.info("memory")
    passing = ("mem_aof_buffer", "mem_clients_normal", "mem_overhead_db_hashtable_rehashing")
    return int(information["used_memory"]) - sum(int(information.get(name, 0)) for name in passing)


def render(store: Store, number: int) -> None:
    """A job was accepted, submitted and polled once."""
    folder = f"https://cdn.shop.example/catalogue/2026/autumn/{number:08d}"
    order = an_order(image=f"{folder}/photo.jpg", mask=f"{folder}/mask.png", sku=f"PERFUME-{number:08d}")
    job = a_job(order=order)
    store.jobs.accept(job, publish=True)
    accepted = events.SubmissionAccepted(
        result_key=f"{number:08x}{RESULT_KEY[8:]}",
        request_id="1D2C3B4A-0000-5000-8000-0123456789AB",
        first_poll_in_seconds=4.0,
    )
    intent = events.IntentStored(nonce=submission_nonce(job.id, job.epoch), request_hash="c" * 64)
    for event in (intent, accepted, LATER):
        change = store.jobs.transition(job, event)
        assert change is not None
        job = change.after


def test_a_job_in_flight_takes_one_and_a_half_kilobytes(tmp_path: Path, settings: Settings, clock: ManualClock) -> None:
    """With ordinary URLs and an ordinary prompt, all keys of a rendering job together, indexes included."""
    # A server of its own: what other tests left behind would be measured too.
    with RedisServer(tmp_path) as server, closing(connect(server.url, TIMEKEEPER)) as client:
        store = open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)
        render(store, 0)
        before = used_bytes(store)
        for number in range(1, JOBS + 1):
            render(store, number)
        assert (used_bytes(store) - before) / JOBS <= JOB_MAX_BYTES
