"""What a storm has left behind, gathered for the checkers: records, bucket, bill, webhooks, and all that was written.

Everything that could be read by others is searched for canaries. The job store knows the prompts and the sources' URLs,
for it has the orders; so do the intents in the bucket, from which a lost order can be stored again. Nothing else may.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx

from sceneshift.client import Client
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from storage.objects import ObjectStore
from tests.chaos.aftermath import spooled
from tests.chaos.consumer import Consumer
from tests.chaos.deployment import APPCODE, PASSWORD, PROMPT, SIGNATURE, ChaosDeployment
from tests.chaos.shop import Books
from tests.checkers import CHECKS, Bound, Evidence, collect
from tests.checkers.collecting import each_of
from tests.s3_server import SECRET_KEY

PICTURES_MAX = 400
"""Of so many jobs the provider is asked for its own pictures again, to compare them with the bucket's."""
LOOKS_AT_ONCE = 8

JOB_STORE = "the job store's files"
INTENTS = "the intents in the bucket"
KNOWN_THERE = dict.fromkeys((JOB_STORE, INTENTS), frozenset({"a prompt", "a signature in a source's URL"}))


def gather(
    deployment: ChaosDeployment,
    client: Client,
    objects: ObjectStore,
    consumer: Consumer,
    books: Books,
    *,
    bound: Bound,
    random: Random,
) -> Evidence:
    """The evidence of a run that has come to rest and whose workers are gone."""
    submits = deployment.provider("ledger")["submits"]
    succeeded = list(_jobs(client, JobState.SUCCEEDED))
    asked = random.sample(succeeded, min(PICTURES_MAX, len(succeeded)))
    return collect(
        client.store,
        objects,
        bound=bound,
        accepted=dict(books.orders),
        submits=submits,
        threads=LOOKS_AT_ONCE,
        webhooks=tuple(consumer.webhooks),
        pictures=provider_pictures(deployment, asked),
        cancelled=dict(books.cancelled),
        spooled=tuple(spooled(deployment)),
        captured=captured(deployment, objects, consumer),
        canaries=canaries(consumer.secret),
        known_there=KNOWN_THERE,
    )


def canaries(webhook_secret: str) -> dict[str, str]:
    """The secrets of a storm, by what a person calls them."""
    return {
        "the AppCode": APPCODE,
        "the webhook secret": webhook_secret,
        "the S3 secret key": SECRET_KEY,
        "the password of the Redis servers": PASSWORD,
        "a prompt": PROMPT,
        "a signature in a source's URL": SIGNATURE,
    }


def captured(deployment: ChaosDeployment, objects: ObjectStore, consumer: Consumer) -> dict[str, bytes]:
    """What was written where others may read it, by place."""
    spool = [path.read_bytes() for path in sorted(deployment.spool.glob("*"))]
    return {
        "the workers' log": deployment.fleet.log(),
        JOB_STORE: deployment.state.written(),
        "the broker's files": deployment.broker.written(),
        "the spool": b"\n".join(spool),
        "the webhooks": b"\n".join(consumer.bodies),
        **bucket_texts(objects),
    }


def bucket_texts(objects: ObjectStore) -> dict[str, bytes]:
    """The metadata of all objects, and the bodies of those that are no pictures."""
    names = sorted(objects.list(""))
    intents = [name for name in names if name.startswith("intents/")]
    manifests = [name for name in names if name.endswith("/manifest.json")]
    heads = each_of(names, objects.head, LOOKS_AT_ONCE)
    texts = {
        INTENTS: each_of(intents, objects.get, LOOKS_AT_ONCE),
        "the manifests": each_of(manifests, objects.get, LOOKS_AT_ONCE),
    }
    about = [[name, *head.metadata.items()] for name, head in zip(names, heads, strict=True) if head]
    return {
        "the objects' metadata": json.dumps(about, ensure_ascii=False).encode(),
        **{place: b"\n".join(bodies) for place, bodies in texts.items()},
    }


def provider_pictures(deployment: ChaosDeployment, jobs: list[JobRecord]) -> dict[str, tuple[str, ...]]:
    """By result key, the digests of the pictures that the provider made for these jobs, asked of itself."""
    url = deployment.settings.provider_url
    headers = {"Authorization": f"APPCODE {APPCODE}"}
    with httpx.Client(trust_env=False, timeout=60.0, headers=headers) as http:

        def look(job: JobRecord) -> tuple[str, tuple[str, ...]]:
            nonce = {"X-Ca-Nonce": f"chaos-look-{job.id}"}
            answer = http.post(f"{url}/query", json={"data": {"result_key": job.result_key}}, headers=nonce)
            (item,) = answer.raise_for_status().json()["data"]["task_list"]
            bodies = [http.get(each).raise_for_status().content for each in item["results"]]
            return job.result_key, tuple(hashlib.sha256(body).hexdigest() for body in bodies)

        return dict(each_of(jobs, look, LOOKS_AT_ONCE))


def _jobs(client: Client, state: JobState) -> Iterator[JobRecord]:
    for job_id in client.store.jobs.ids(state, limit=1_000_000):
        if (job := client.store.jobs.load(job_id)) is not None:
            yield job


def verdict(evidence: Evidence) -> list[dict[str, Any]]:
    """Each promise, as a sentence, and what breaks it."""
    return [
        {
            "check": check.__name__.replace("_", " "),
            "promise": (check.__doc__ or "").strip().partition("\n")[0],
            "problems": list(check(evidence)),
        }
        for check in CHECKS
    ]
