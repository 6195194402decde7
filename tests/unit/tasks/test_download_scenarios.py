"""Whatever comes in place of a result image: nothing of it is stored, and the paid image is waited for.

These are the simulator's download scenarios, fetched by the guarded client over real sockets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sceneshift.guarded_http import GuardedClient
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from sceneshift.simulator import SimulatorConfig, running_simulator
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from sceneshift.simulator.scenarios.scenario import Exchange, Reaction, Scenario
from tests.unit.simulator.support import mask, photo
from tests.unit.tasks.simulated import Shop, provider_on
from tests.unit.tasks.workshop import Workshop

WAITS_FOR = {
    "download-expired": "http_status",
    "download-missing": "http_status",
    "download-500": "http_status",
    "download-drop": "fetch_failed",
    "download-timeout": "fetch_timeout",
    "download-slow": "fetch_timeout",
    "download-cut": "truncated",
    "download-truncated": "truncated_image",
    "download-html": "not_an_image",
    "download-compressed": "fetch_failed",
    "download-redirect": "http_status",
}
REFUSED_AS = {
    "download-oversized": "too_large",
    "download-endless": "too_large",
    "download-wrong-type": "format_not_allowed",
    "download-bomb": "too_many_pixels",
}


@pytest.fixture(params=["fakeredis"])
def redis_client(redis_client: object) -> object:
    """The in-process store alone: these tests are about downloads."""
    return redis_client


@contextmanager
def storing_job(work: Workshop, tmp_path: Path, rule: str) -> Iterator[tuple[Shop, JobRecord]]:
    """A shop whose simulator misbehaves by this rule, on a socket; its first job is about to be stored."""
    (tmp_path / "photo.png").write_bytes(photo())
    (tmp_path / "mask.png").write_bytes(mask())
    config = SimulatorConfig(catalogue=tmp_path, scenarios=(rule,))
    with (
        running_simulator(config, clock=work.clock.now) as simulator,
        provider_on(simulator.url, config, work) as provider,
    ):
        fetcher = GuardedClient(allow_hosts=("127.0.0.1",))
        limits = {"result_timeout_seconds": 0.5, "result_max_bytes": 4_000_000}
        work.use(provider=provider, fetcher=fetcher, settings=work.services.settings.model_copy(update=limits))
        try:
            shop = Shop(work, simulator.ledger)
            address = f"{simulator.base_url}/catalogue"
            job = shop.order(image=f"{address}/photo.png", mask=f"{address}/mask.png", webhook_url=None)
            yield shop, shop.step_until(job, {JobState.STORING})
        finally:
            fetcher.close()


def downloads(*reactions: Reaction) -> pytest.MarkDecorator:
    """The download scenarios of these reactions."""
    cases = [each for each in SCENARIOS.values() if each.exchange is Exchange.DOWNLOAD and each.reaction in reactions]
    return pytest.mark.parametrize("scenario", cases, ids=[case.name for case in cases])


@downloads(Reaction.FETCHED_AGAIN)
def test_image_is_fetched_again_until_it_is_whole(work: Workshop, tmp_path: Path, scenario: Scenario) -> None:
    """A bad download leaves nothing in the store and names what the job waits for; the next is stored."""
    with storing_job(work, tmp_path, f"{scenario.name}@1-2") as (shop, job):
        waiting = shop.step(job)
        assert (waiting.state, waiting.blocked_by) == (JobState.STORING, WAITS_FOR[scenario.name])
        assert work.bucket.contents == {}
        done = shop.settle(waiting)
        assert (done.state, done.charge, len(done.outputs)) == (JobState.SUCCEEDED, Charge.CHARGED, 1)
        assert (shop.charged, shop.submits) == (1, 1)


@downloads(Reaction.IMAGE_REFUSED)
def test_image_that_must_not_be_stored_is_missing_with_a_reason(
    work: Workshop, tmp_path: Path, scenario: Scenario
) -> None:
    """What can never be stored ends the job with a code that says why, nothing stored, and the charge on record."""
    with storing_job(work, tmp_path, scenario.name) as (shop, job):
        done = shop.settle(job)
        assert done.error is not None
        assert (done.state, done.error.code, done.charge) == (
            JobState.FAILED,
            REFUSED_AS[scenario.name],
            Charge.CHARGED,
        )
        assert [name for name in work.bucket.contents if not name.endswith("manifest.json")] == []
        assert (shop.charged, shop.submits) == (1, 1)
