"""The whole chain, with a worker process killed at each single effect, one at a time.

Another process starts, and must bring the job to its end by what the job store remembers: never paid twice, never lost,
never announced under two names. This is the proof of the promises in one place.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from sceneshift.jobs.states import Charge, JobState
from sceneshift.settings import Settings
from sceneshift.webhooks import verify
from storage.manifest import read_manifest
from storage.names import job_folder
from tests.unit.tasks.chain import Broker, Chain, Town
from tests.unit.tasks.lifespan import Lifespan
from tests.unit.tasks.ports import result_urls
from workers.embedded.redis_server import RedisServer

PAIRS = 60


@pytest.fixture(params=["unlimited", "limited"])
def town(
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Town]:
    """Chains on the real server, one after the other, without our own limits and with all of them."""
    monkeypatch.setattr("tasks.services._services", None)
    limits = {"submit_rate": 1.0, "query_rate": 5.0, "max_in_flight": 1} if request.param == "limited" else {}
    town = Town(redis_server, settings.model_copy(update=limits), tmp_path)
    yield town
    town.client.close()


def undisturbed(town: Town) -> list[str]:
    """The effects of a chain in which nobody is killed, in their order."""
    life = Lifespan()
    chain = town.chain()
    chain.live(life)
    assert_well(chain, "undisturbed")
    assert chain.job.state is JobState.SUCCEEDED
    return life.effects


def assert_well(chain: Chain, where: str) -> None:
    """What must hold of a job when its faults are over, whatever happened before."""
    job, work = chain.job, chain.work
    assert len(work.provider.submissions) <= 1, where
    if job.state is JobState.NEEDS_ATTENTION:
        assert job.error is not None, where
        assert (job.error.code, job.charge) == ("outcome_unknown", Charge.UNKNOWN), where
    else:
        assert (job.state, job.charge, len(work.provider.submissions)) == (
            JobState.SUCCEEDED, Charge.CHARGED, 1,
        ), where  # fmt: skip
        assert_stored(chain, where)
    assert_told(chain, where)
    store = work.store
    due = dict(store.client.zrange(store.keys.due, 0, -1, withscores=True))  # type: ignore[arg-type]
    assert due == ({job.id: math.inf} if job.state is JobState.NEEDS_ATTENTION else {}), where
    assert work.store.jobs.counts()[job.state] == sum(store.jobs.counts().values()) == 1, where


def assert_stored(chain: Chain, where: str) -> None:
    """The bucket holds the provider's bytes under the job's names, and one manifest that says so."""
    job, work = chain.job, chain.work
    names = [f"{job_folder(job.id)}/{name}" for name in ("0.png", "1.png", "manifest.json")]
    assert sorted(work.bucket.objects) == names, where
    assert [work.bucket.contents[output.key] for output in job.outputs] == [
        work.web.files[url] for url in result_urls(2)
    ], where
    manifest = read_manifest(work.bucket, job_id=job.id)
    assert manifest is not None, where
    assert (manifest.images, manifest.missing) == (job.outputs, ()), where


def assert_told(chain: Chain, where: str) -> None:
    """The end has arrived at least once, every copy of it is authentic, and each event has one id."""
    secrets = [secret.get_secret_value() for secret in chain.work.services.settings.webhook_secret]
    ids: dict[str, set[str]] = defaultdict(set)
    for post in chain.work.web.posts:
        event = verify(post.body, post.headers, secrets, tolerance_seconds=math.inf, now=0.0)
        ids[event.type].add(post.headers["webhook-id"])
    expected = "job.completed" if chain.job.state is JobState.SUCCEEDED else "job.needs_attention"
    assert ids.keys() == {expected}, where
    assert len(ids[expected]) == 1, where
    assert {delivery.status for delivery in chain.work.store.deliveries.of_job(chain.job)} == {"delivered"}, where


@pytest.mark.parametrize("returns", [True, False], ids=["message returns", "message lost"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_effect_costs_time_and_nothing_else(town: Town, *, after: bool, returns: bool) -> None:
    """The job succeeds; only where its answer may be lost, it is held: from the intent until the answer is stored."""
    effects = undisturbed(town)
    sent = effects.index("provider.submit") + 1
    # Once the key is on disk, only time is lost.
    assert effects[sent] == "spool.keep"
    unknowable = {sent - 1, sent} if after else {sent, sent + 1}
    for number in range(1, len(effects) + 1):
        life = Lifespan(dies_at=number, after=after)
        chain = town.chain(returns=returns)
        chain.run(life)
        where = f"killed {'after' if after else 'before'} {life.effects[-1]}, effect {number}"
        assert life.effects == effects[:number], where
        assert_well(chain, where)
        assert (chain.job.state is JobState.NEEDS_ATTENTION) == (number in unknowable), where


def test_every_effect_is_among_those_that_are_killed(town: Town) -> None:
    """The chain that is tried passes through each task and each port."""
    effects = undisturbed(town)
    assert {name for name in effects if not name.startswith("objects.")} >= {
        "due.begin", "due.claim", "due.hand_out", "jobs.load", "jobs.transition", "provider.submit", "provider.query",
        "web.peek", "web.download", "web.post", "deliveries.settle", "publisher.publish",
        "permits.reserve_submission", "permits.take_queries",
    }  # fmt: skip
    assert effects.count("provider.query") == 2
    assert {"objects.list", "objects.put", "objects.head"} <= set(effects)


def test_two_kills_are_no_worse_than_one(town: Town) -> None:
    """The process that was to mend it is killed too, anywhere; the third one ends it."""
    count = len(undisturbed(town))
    chance = random.Random(20261123)
    for _ in range(PAIRS):
        lives = [Lifespan(dies_at=chance.randint(1, count), after=chance.random() < 0.5) for _ in range(2)]
        chain = town.chain(returns=chance.random() < 0.5)
        chain.run(*lives)
        assert_well(chain, " and ".join(f"killed at {len(life.effects)}: {life.effects[-1]}" for life in lives))


@pytest.mark.parametrize("copies", [(0, 1), (0, 0, 1), (2,), (3,)], ids=lambda copies: f"copies {copies}")
def test_a_broker_that_loses_or_repeats_every_message_changes_nothing(town: Town, copies: tuple[int, ...]) -> None:
    """Each first message is lost, or each second one too, or each arrives several times: paid once, told once."""
    chain = town.chain(Broker(copies=copies))
    chain.run()
    assert_well(chain, f"copies {copies}")
    assert chain.job.state is JobState.SUCCEEDED
    assert len(chain.work.web.posts) == 1
