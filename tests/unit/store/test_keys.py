"""Every key begins with the deployment's prefix, and no caller's text becomes part of one."""

from __future__ import annotations

from sceneshift.clock import ManualClock
from sceneshift.provider.protocol import Endpoint, NotedAnswer
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.keys import Keys
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job, an_order
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_entries, everything, place


def test_all_keys_share_the_prefix_and_its_hash_tag(store: Store) -> None:
    """On a cluster a script's keys must lie on one shard, and a shared server must be left as it was."""
    job = place(store, SITUATIONS["storing"].evolve(order=an_order(idempotency_key="shop:1")))
    store.due.begin(job.id, job.step, "sceneshift.finalize")
    assert store.jobs.transition(job, EVENTS["all stored"])
    store.answers.keep(job.id, "an answer")
    store.answers.count(NotedAnswer(endpoint=Endpoint.QUERY, http_status=500, code="", message=""))
    keys = everything(store.client)
    assert len(keys) > 8
    assert all(key.startswith("{sceneshift}:") for key in keys)


def test_two_deployments_on_one_server_do_not_meet(store: Store, clock: ManualClock) -> None:
    """Another prefix is another store."""
    other = open_job_store(Settings(key_prefix="{other}"), patience=TIMEKEEPER, client=store.client, clock=clock)
    job = a_job(order=an_order(idempotency_key="shop:1"))
    store.jobs.accept(job, publish=False)
    assert other.jobs.load(job.id) is None
    assert due_entries(other) == []
    again = a_job(order=an_order(idempotency_key="shop:1"))
    assert other.jobs.accept(again, publish=False) == again.id


def test_an_idempotency_key_is_hashed() -> None:
    """Whatever a caller writes there, the key is short, plain and always the same."""
    keys = Keys("{p}")
    odd = keys.idempotency("a b\n*{x}" * 30)
    assert odd == keys.idempotency("a b\n*{x}" * 30)
    assert odd != keys.idempotency("a b\n*{x}" * 29)
    assert len(odd) == len("{p}:idempotency:") + 32
    assert odd.removeprefix("{p}:idempotency:").isalnum()
