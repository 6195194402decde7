"""The whole chain with real workers, once without faults and once with as many as fit into two minutes."""

from __future__ import annotations

import hashlib
import json
import random
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from redis import Redis

from sceneshift.client import Client
from sceneshift.handle import Job
from sceneshift.identifiers import created_at
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from tests.integration import checks
from tests.integration.deployment import Deployment, load_all, running_deployment, wait_until
from tests.s3_server import running_s3_server


def test_a_job_goes_through_the_whole_chain_and_its_caller_learns_of_it(tmp_path: Path) -> None:
    """enqueue_job's handle returns whole, stored images, and a verified webhook has told the shop the same."""
    with running_deployment(tmp_path, workers=1) as deployment:
        client = deployment.client()
        job = deployment.enqueue(client, 1, num_output=2)
        events = [event.event for event in job.events(timeout=60)]
        result = job.result(timeout=60)
        assert wait_until(lambda: "job.completed" in deployment.received.of_job(job.id), timeout_seconds=20)
        records = load_all(client, [job])
        store = client.store
        assert wait_until(lambda: store.client.zcard(store.keys.due) == 0, timeout_seconds=10)
        checks.assert_objects_whole(records)
        checks.assert_each_paid_at_most_once(records, {**deployment.simulator.ledger(), "charged": 1})
        checks.assert_all_told(records, store, deployment.received)
        checks.assert_nothing_due(records, store)
    assert events == ["enqueued", "submitting", "accepted", "rendered", "succeeded"]
    assert (result.state, len(result.outputs), result.missing) == (JobState.SUCCEEDED, 2, ())
    told = deployment.received.of_job(job.id)["job.completed"]
    assert [output["sha256"] for output in told["outputs"]] == [output.sha256 for output in result.outputs]
    assert told["sku"] == "SKU-0001"


def test_results_land_in_a_real_bucket_with_links_that_work(tmp_path: Path) -> None:
    """From `s3://` sources to an S3 bucket: the webhook's links give a plain client the announced bytes."""
    with (
        running_s3_server() as s3,
        running_deployment(
            tmp_path, workers=1, environment=s3.environment, STORAGE_URL=s3.storage_url("shots", "autumn")
        ) as deployment,
    ):
        s3.create_bucket("shots")
        for name in ("product.png", "mask.png"):
            s3.client().put_object(
                Bucket="shots", Key=f"photos/{name}", Body=(tmp_path / "catalogue" / name).read_bytes()
            )
        job = deployment.enqueue(
            deployment.client(), 1, image="s3://shots/photos/product.png", mask="s3://shots/photos/mask.png"
        )
        result = job.result(timeout=60)
        assert wait_until(lambda: "job.completed" in deployment.received.of_job(job.id), timeout_seconds=20)
        [output] = deployment.received.of_job(job.id)["job.completed"]["outputs"]
        with urllib.request.urlopen(output["url"], timeout=10) as answer:
            body = answer.read()
        manifest = s3.client().get_object(Bucket="shots", Key=f"autumn/results/{_day(job)}/{job.id}/manifest.json")
        listed = json.loads(manifest["Body"].read())["images"]
    assert output["s3_uri"] == result.outputs[0].uri == f"s3://shots/autumn/results/{_day(job)}/{job.id}/0.png"
    assert hashlib.sha256(body).hexdigest() == output["sha256"] == listed[0]["sha256"]
    assert output["url_expires_at"] is not None


def _day(job: Job) -> str:
    return datetime.fromtimestamp(created_at(job.id), UTC).strftime("%Y/%m/%d")


def test_the_same_idempotency_key_is_one_job_and_one_payment(tmp_path: Path) -> None:
    """Ordering the same twice, from two callers, submits once."""
    with running_deployment(tmp_path, workers=1) as deployment:
        first = deployment.enqueue(deployment.client(), 1)
        second = deployment.enqueue(deployment.client(), 1)
        first.result(timeout=60)
        ledger = deployment.simulator.ledger()
    assert (second.id, first.created, second.created) == (first.id, True, False)
    assert ledger["accepted"] == 1


def test_nothing_is_lost_or_paid_twice_while_everything_is_being_killed(tmp_path: Path) -> None:
    """200 jobs, five workers killed, the broker flushed twice, both servers killed and restarted from their files."""
    with running_deployment(tmp_path, workers=2, median_seconds=2.0) as deployment:
        client = deployment.client()
        jobs = [deployment.enqueue(client, number) for number in range(200)]
        records = _under_fire(deployment, client, jobs, random.Random(20261123))
        store = client.store
        told = wait_until(lambda: _all_settled(client, records), timeout_seconds=60)
        unexpected = deployment.unexpected_exits
        checks.assert_all_final_or_held(records)
        checks.assert_each_paid_at_most_once(records, deployment.simulator.ledger())
        checks.assert_objects_whole(records)
        assert told
        checks.assert_all_told(records, store, deployment.received)
        checks.assert_nothing_due(records, store)
        assert unexpected == [], "a worker ended by itself: see broker_guard"


def _under_fire(deployment: Deployment, client: Client, jobs: list[Job], random_: random.Random) -> list[JobRecord]:
    """All faults happen, spread over the run at random; returns the records when every job is final or held."""
    faults: list[Callable[[], object]] = [
        lambda: deployment.kill_worker(random_.randrange(len(deployment.workers)))
    ] * 5
    faults += [lambda: Redis(port=deployment.broker.port).flushall()] * 2
    faults += [deployment.state.restart, deployment.broker.restart]
    random_.shuffle(faults)
    at = sorted(random_.uniform(0.02, 0.9) for _ in faults)

    def over() -> bool:
        deployment.supervise()
        records = load_all(client, jobs)
        progress = sum(_progress(record) for record in records) / len(records)
        if faults and progress >= at[0]:
            at.pop(0)
            faults.pop(0)()
            return False
        return not faults and all(_rests(record) for record in records)

    assert wait_until(over, timeout_seconds=240), "some jobs are neither final nor held"
    return load_all(client, jobs)


def _progress(record: JobRecord) -> float:
    if _rests(record):
        return 1.0
    return {JobState.QUEUED: 0.0, JobState.SUBMITTING: 0.1, JobState.RENDERING: 0.4}.get(record.state, 0.8)


def _rests(record: JobRecord) -> bool:
    return record.state.is_final or record.state is JobState.NEEDS_ATTENTION


def _all_settled(client: Client, records: list[JobRecord]) -> bool:
    deliveries = (delivery for record in records for delivery in client.store.deliveries.of_job(record))
    return all(delivery.status != "pending" for delivery in deliveries)
