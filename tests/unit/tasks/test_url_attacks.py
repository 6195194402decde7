"""Every known way to lead us into a private network, tried wherever a URL from outside comes in.

The real client, as results, sources and webhooks use it; every address that it might connect to leads to a listener
that counts. A few attacks of each kind go through whole jobs, to see what is shown of them.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from types import SimpleNamespace
from typing import cast

import pytest

from sceneshift.errors import InvalidRequestError
from sceneshift.fetch_errors import FetchBlockedError
from sceneshift.guarded_http import GuardedClient
from sceneshift.jobs.order import check_order
from sceneshift.jobs.states import Charge, JobState
from sceneshift.provider.protocol import RenderItem, Succeeded
from sceneshift.settings import Settings
from storage.source_errors import SourceBlockedError
from tasks.preflight import check_sources
from tasks.services import Services
from tests.factories import an_order
from tests.loopback import NEVER, answers
from tests.unit.guarded_http.attacks import ATTACKS, FAMILIES, PUBLIC, PUBLIC_6, Attack
from tests.unit.guarded_http.recording import Everywhere, everywhere
from tests.unit.tasks.workshop import Workshop

SOURCE_TEXT = (
    "image: this URL, or one that it redirects to, is not allowed: its host is not a public one, or its port not an "
    "ordinary one; if you trust the host, name it in SCENESHIFT_ALLOW_HOSTS"
)
TEXT = "This URL is not allowed."
SAMPLE = [
    next(attack for attack in ATTACKS if attack.url == url)
    for url in (
        "http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "https://innocent.example/a", "http://mixed.example/",
        "http://metadata.google.internal/computeMetadata/v1/", "http://good.example@127.0.0.1/",
        "http://shop.example:6379/", "http://db.internal/", "http://shop.example/\r\nHost: 127.0.0.1",
    )
]  # fmt: skip


@pytest.fixture(params=["fakeredis"])
def redis_client(redis_client: object) -> object:
    """The in-process store alone: these tests are about URLs."""
    return redis_client


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Everywhere]:
    """Whatever is connected to is a listener of ours."""
    with everywhere(monkeypatch) as running:
        yield running


@contextmanager
def attacked(attack: Attack) -> Iterator[GuardedClient]:
    """The client of a worker whose name server answers as the attack says, or must not be asked at all."""

    def silent(host: str, _port: int) -> Sequence[str]:
        raise AssertionError(host)

    with closing(GuardedClient(resolver=answers(*attack.lookups) if attack.lookups else silent)) as client:
        yield client


def look(client: GuardedClient, url: str) -> None:
    """What is done about a job's source before it is submitted."""
    services = cast("Services", SimpleNamespace(fetcher=client, settings=Settings()))
    check_sources(services, cast("RenderItem", SimpleNamespace(image=url, mask=url)))


def test_the_corpus_is_as_large_as_it_says() -> None:
    """No case is there twice, and every family of URLs has its own."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 400
    assert {attack.family for attack in ATTACKS} == set(FAMILIES) - {7, 13, 14, 15, 16, 17}
    assert all(attack.why for attack in ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_wherever_it_comes_in(
    network: Everywhere, caplog: pytest.LogCaptureFixture, attack: Attack
) -> None:
    """As result, as source and as webhook: nothing connects, the error is the same for every cause, the log has it."""
    into = io.BytesIO()
    with attacked(attack) as client, caplog.at_level(logging.WARNING):
        with pytest.raises(FetchBlockedError) as as_result:
            client.download(attack.url, into, max_bytes=1000, timeout_seconds=NEVER)
        with pytest.raises(SourceBlockedError) as as_source:
            look(client, attack.url)
        with pytest.raises(FetchBlockedError) as as_webhook:
            client.post(attack.url, b"payload", {}, timeout_seconds=NEVER)
    assert (network.connections, network.dialled, into.getvalue()) == (0, [], b"")
    assert (str(as_result.value), str(as_source.value), str(as_webhook.value)) == (TEXT, SOURCE_TEXT, TEXT)
    reasons = {record.__dict__["reason"] for record in caplog.records if record.msg == "request.blocked"}
    assert len(caplog.records) == 3
    assert reasons.isdisjoint({"", TEXT})


@pytest.mark.parametrize("attack", [each for each in ATTACKS if not each.lookups], ids=lambda attack: attack.name)
def test_an_order_with_such_a_webhook_is_refused(monkeypatch: pytest.MonkeyPatch, attack: Attack) -> None:
    """What a URL's text gives away is refused when the job is ordered, before anybody asks a name server."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("the shop's process looked a name up"))
    sources = {"image": "https://shop.example/a.jpg", "mask": "https://shop.example/b.png", "positive_prompt": "silk"}
    with pytest.raises(InvalidRequestError) as caught:
        check_order(**sources, webhook_url=attack.url)
    assert caught.value.param == "webhook_url"


@pytest.mark.parametrize("attack", SAMPLE, ids=lambda attack: attack.name)
def test_a_job_shows_nothing_of_the_network(work: Workshop, network: Everywhere, attack: Attack) -> None:
    """A job's record, and the webhook about it, say the same for every attack; nothing is paid for or stored."""
    work.provider.on_query = lambda _key: Succeeded(urls=(attack.url,))
    with_source = work.accept(order=an_order(num_output=1, image=attack.url, webhook_url=attack.url))
    with_result = work.storing(order=an_order(num_output=1))
    submissions = len(work.provider.submissions)
    with attacked(attack) as client:
        work.use(fetcher=client)
        work.wake(with_source.id)
        work.wake(with_result.id)
        assert work.deliver(with_source.id) == {"status": "exhausted", "outcome": "blocked"}
    failed, waiting = work.job(with_source.id), work.job(with_result.id)
    assert failed.error is not None
    assert (failed.state, failed.charge, failed.error.message) == (JobState.FAILED, Charge.NOT_CHARGED, SOURCE_TEXT)
    assert (waiting.state, waiting.blocked_by, work.bucket.contents) == (JobState.STORING, "blocked", {})
    assert waiting.error is None or waiting.error.message == TEXT
    assert work.delivery(failed.id).last_status == "blocked"
    assert (network.connections, len(work.provider.submissions)) == (0, submissions)
    shown = json.dumps([asdict(failed.error), [asdict(each) for each in (*failed.missing, *waiting.missing)]])
    assert not any(word in shown for word in ("10.0.0.1", "127.0.0.1", "loopback", "private", "metadata"))


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_6])
def test_the_listeners_see_what_is_not_refused(network: Everywhere, address: str) -> None:
    """A public address of either family is connected to in each of the three ways, so that a zero above means none."""
    with closing(GuardedClient(resolver=answers(address))) as client:
        client.download("http://cdn.example/1.png", io.BytesIO(), max_bytes=1000, timeout_seconds=NEVER)
        with pytest.raises(Exception, match="image"):
            look(client, "http://shop.example/a")
        client.post("http://shop.example/hook", b"payload", {}, timeout_seconds=NEVER)
    assert network.dialled == [f"{address} 80"] * 3
    assert network.connections == 3
    assert {request.split(b"\r\n")[0] for request in network.requests} == {
        b"GET /1.png HTTP/1.1", b"GET /a HTTP/1.1", b"POST /hook HTTP/1.1"
    }  # fmt: skip
