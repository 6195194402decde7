"""The calls of a shop's backend: what is stored and published, and what is refused before anything is."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any

import pytest

import sceneshift.client
from sceneshift import (
    ConfigurationError,
    EnqueueError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobNotFoundError,
    JobState,
    StoreUnavailableError,
    cancel_job,
    enqueue_job,
    get_job,
)
from sceneshift.client import Client
from sceneshift.identifiers import is_job_id, new_job_id
from sceneshift.jobs.order import check_order
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tests.factories import NOW
from tests.unit.store.inspection import due_at, everything
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port

ORDER: dict[str, Any] = {
    "image": "https://shop.example/perfume.jpg",
    "mask": "https://shop.example/perfume-mask.png",
    "positive_prompt": "The perfume bottle is placed on soft pale yellow silk.",
}


@pytest.fixture
def publisher() -> RecordingPublisher:
    """A broker that takes everything."""
    return RecordingPublisher()


@pytest.fixture
def client(store: Store, settings: Settings, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch) -> Client:
    """This process's client, on a private store."""
    client = Client(settings, store=store, publisher=publisher)
    monkeypatch.setattr(sceneshift.client, "_client", client)
    return client


def order(**values: Any) -> Any:
    return enqueue_job(**{**ORDER, **values})


def test_an_order_becomes_a_job_and_a_wake_up(client: Client, publisher: RecordingPublisher) -> None:
    """The job is stored with all defaults filled in, and its first message is on its way."""
    job = order(sku="PERF-50")
    assert is_job_id(job.id)
    assert (job.created, job.idempotency_key) == (True, None)
    stored = client.load(job.id)
    assert (stored.state, stored.step, stored.created_at, stored.deadline_at) == (
        JobState.QUEUED, "submit-1", NOW, NOW + 1800.0,
    )  # fmt: skip
    asked = stored.order
    assert (asked.negative_prompt, asked.guidance_scale, asked.strength, asked.steps, asked.num_output, asked.seed) == (
        "NSFW", 7.5, 0.5, 50, 1, None,
    )  # fmt: skip
    (message,) = publisher.messages
    assert (message.task, message.task_id, message.parent_id) == ("sceneshift.submit", f"{job.id}:submit-1", None)
    assert message.kwargs == {"job_id": job.id, "sku": "PERF-50", "step": "submit-1"}


@pytest.mark.usefixtures("client")
def test_a_bulk_order_waits_for_its_turn(store: Store, publisher: RecordingPublisher) -> None:
    """It is due at once and published by a timekeeper, when the queue is short."""
    job = order(lane="bulk")
    assert publisher.messages == []
    assert due_at(store, job.id) == NOW


def test_a_broker_that_is_away_does_not_lose_an_order(store: Store, settings: Settings) -> None:
    """The job is stored, the call succeeds, and the due index brings the step."""
    client = Client(settings, store=store, publisher=RecordingPublisher(working=False))
    job = client.enqueue(check_order(**ORDER))
    assert due_at(store, job.id) == NOW + 20.0


def test_the_deployment_s_own_webhook_address_is_used(
    store: Store, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that names no address gets the whole one of the settings, and a named one wins."""
    settings = Settings(webhook_url="https://shop.example/hooks?token=t1")
    client = Client(settings, store=store, publisher=publisher)
    monkeypatch.setattr(sceneshift.client, "_client", client)
    assert client.load(order().id).order.webhook_url == "https://shop.example/hooks?token=t1"
    named = order(webhook_url="https://other.example/hooks")
    assert client.load(named.id).order.webhook_url == "https://other.example/hooks"


ACCEPTED: list[tuple[str, Any]] = [
    ("image", "http://shop.example/a.jpg"),
    ("image", "https://shop.example:8443/a.jpg?signature=a%2Fb&x=1"),
    ("image", "s3://photos/2026/a b.jpg"),
    ("image", "https://10.1.2.3:9000/in-the-provider-s-network.jpg"),
    ("mask", "s3://photos/mask.png"),
    ("image", "https://shop.example/" + "a" * (2048 - len("https://shop.example/"))),
    ("positive_prompt", "p" * 500),
    ("positive_prompt", "放在柔软的淡黄色丝绸上\n\tand more"),
    ("negative_prompt", ""),
    ("negative_prompt", "n" * 500),
    ("guidance_scale", 0.001),
    ("guidance_scale", 1e6),
    ("guidance_scale", 7),
    ("strength", 0.001),
    ("strength", 1),
    ("seed", 0),
    ("seed", 2**31 - 1),
    ("steps", 15),
    ("steps", 50),
    ("num_output", 1),
    ("num_output", 4),
    ("webhook_url", "https://shop.example/hooks"),
    ("idempotency_key", "k" * 255),
    ("sku", "s" * 64),
    ("metadata", {f"key-{number}": "v" * 512 for number in range(16)}),
    ("metadata", {"k" * 40: ""}),
    ("metadata", {f"{number:02}" + "k" * 38: "v" * 512 for number in range(16)}),
    ("metadata", {f"{number}": "绿" * 512 for number in range(5)}),
    ("lane", "bulk"),
    ("deadline", 0.5),
    ("deadline", 30 * 86_400),
    ("deadline", timedelta(minutes=5)),
]


@pytest.mark.parametrize(("param", "value"), ACCEPTED)
def test_values_at_the_edge_are_accepted(client: Client, param: str, value: Any) -> None:
    """Everything that the provider's document allows may be ordered, and reads back as it was given."""
    stored = client.load(order(**{param: value}).id).order
    expected = value.total_seconds() if isinstance(value, timedelta) else value
    assert getattr(stored, "deadline_seconds" if param == "deadline" else param) == expected


REFUSED: list[tuple[str, Any]] = [
    *(
        (param, value)
        for param in ("image", "mask")
        for value in (
            None, 7, b"https://shop.example/a.jpg", "", "a.jpg", "/a.jpg", "//shop.example/a.jpg",
            "ftp://shop.example/a.jpg", "file:///etc/passwd", "data:image/png;base64,AAAA", "https://",
            "https://user:word@shop.example/a.jpg", "https://shop.example/a b.jpg", "https://shop .example/a.jpg",
            "https://shöp.example/a.jpg", "https://shop..example/a.jpg", "https://[::1/a.jpg", "https://169.254.169.254/",
            "s3://bucket", "s3://bucket/", "s3:///key", "https://shop.example/\x00",
            "https://shop.example/" + "a" * (2049 - len("https://shop.example/")),
        )
    ),
    ("positive_prompt", None), ("positive_prompt", ""), ("positive_prompt", " \n\t "), ("positive_prompt", "p" * 501),
    ("positive_prompt", 5), ("positive_prompt", "bell \x07"), ("positive_prompt", "\ud800"),
    ("negative_prompt", "n" * 501), ("negative_prompt", 5), ("negative_prompt", "\x1b[31m"),
    ("guidance_scale", 0), ("guidance_scale", -1.0), ("guidance_scale", math.inf), ("guidance_scale", math.nan),
    ("guidance_scale", True), ("guidance_scale", "7.5"), ("guidance_scale", 10**400),
    ("strength", 0), ("strength", 1.0001), ("strength", -0.5), ("strength", math.nan), ("strength", True),
    ("strength", -(10**400)),
    ("seed", -1), ("seed", 2**31), ("seed", 1.0), ("seed", True), ("seed", "1"), ("seed", 10**5000),
    ("steps", 14), ("steps", 51), ("steps", 20.0), ("steps", True),
    ("num_output", 0), ("num_output", 5), ("num_output", 2.0), ("num_output", True),
    *(
        ("webhook_url", value)
        for value in (
            "hooks", 5, "ftp://shop.example/hooks", "http://localhost/hooks", "http://127.0.0.1/hooks",
            "http://10.0.0.1/hooks", "http://[::1]/hooks", "http://169.254.169.254/", "http://shop.internal/hooks",
            "http://2130706433/", "https://user@shop.example/", "https://shop.example:6379/",
            "https://shop.example/" + "a" * 2048,
        )
    ),
    ("idempotency_key", ""), ("idempotency_key", "  "), ("idempotency_key", "k" * 256), ("idempotency_key", "a\nb"),
    ("idempotency_key", 5),
    ("sku", ""), ("sku", "s" * 65), ("sku", "a\tb"), ("sku", 5), ("sku", "\x00"),
    ("metadata", []), ("metadata", "a=b"), ("metadata", {f"{number}": "" for number in range(17)}),
    ("metadata", {"": "v"}), ("metadata", {"k" * 41: "v"}), ("metadata", {"k": "v" * 513}), ("metadata", {"k": 5}),
    ("metadata", {5: "v"}), ("metadata", {"k": None}), ("metadata", {f"{number}": "绿" * 512 for number in range(6)}),
    ("lane", "express"), ("lane", 5), ("lane", []),
    ("deadline", 0), ("deadline", -1), ("deadline", math.inf), ("deadline", math.nan), ("deadline", "5"),
    ("deadline", True), ("deadline", timedelta(0)), ("deadline", timedelta(days=31)), ("deadline", 10**400),
]  # fmt: skip


def _name(value: Any) -> str:
    return f"int of {value.bit_length()} bits" if isinstance(value, int) else ascii(value)[:40]


@pytest.mark.parametrize(("param", "value"), REFUSED, ids=[f"{param}={_name(value)}" for param, value in REFUSED])
@pytest.mark.usefixtures("client")
def test_values_out_of_range_are_refused_before_anything_is_stored(
    store: Store, publisher: RecordingPublisher, param: str, value: Any
) -> None:
    """The error names the parameter, and neither the store nor the broker has heard of the order."""
    with pytest.raises(InvalidRequestError) as raised:
        order(**{param: value})
    assert raised.value.param == param
    assert str(raised.value).startswith(param)
    assert everything(store.client) == {}
    assert publisher.messages == []


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@shop.example/a.jpg", "ftp://shop.example/a?signature=hunter2", "x?key=hunter2"]
)
@pytest.mark.parametrize("param", ["image", "mask", "webhook_url"])
@pytest.mark.usefixtures("client")
def test_a_refused_url_is_not_repeated(param: str, url: str) -> None:
    """A URL may carry a signature or a password, so the error does not show it."""
    with pytest.raises(InvalidRequestError) as raised:
        order(**{param: url})
    assert "hunter2" not in str(raised.value)


def test_an_unknown_parameter_is_a_type_error() -> None:
    """A misspelt keyword does not silently do nothing, and nothing is positional."""
    with pytest.raises(TypeError):
        order(num_outputs=2)
    with pytest.raises(TypeError):
        enqueue_job("https://shop.example/a.jpg")  # type: ignore[call-arg]  # what this test is about


def test_a_wrong_allow_list_is_the_deployment_s_mistake(
    store: Store, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of the settings that is no host is a wrong setting, not a wrong order."""
    client = Client(Settings(allow_hosts="http://x"), store=store, publisher=publisher)
    monkeypatch.setattr(sceneshift.client, "_client", client)
    with pytest.raises(ConfigurationError, match="SCENESHIFT_ALLOW_HOSTS"):
        order(webhook_url="https://shop.example/hooks")


@pytest.mark.usefixtures("client")
def test_the_same_key_again_finds_the_same_job(store: Store, publisher: RecordingPublisher) -> None:
    """A second call with the same order stores and publishes nothing, and says that the job was there."""
    first = order(idempotency_key="shop:1", sku="A")
    before, published = everything(store.client), list(publisher.messages)
    again = order(idempotency_key="shop:1", sku="B", metadata={"try": "2"})
    assert (again.id, again.created, again.idempotency_key) == (first.id, False, "shop:1")
    assert everything(store.client) == before
    assert publisher.messages == published


@pytest.mark.usefixtures("client")
def test_the_same_key_for_another_image_is_a_conflict(store: Store) -> None:
    """The error names the job and every field that differs, in a fixed order, and nothing is stored."""
    first = order(idempotency_key="shop:1", seed=5)
    before = everything(store.client)
    with pytest.raises(IdempotencyConflictError) as raised:
        order(idempotency_key="shop:1", image="https://shop.example/2.jpg", strength=0.6, seed=None, num_output=2)
    assert raised.value.existing_job_id == first.id
    assert raised.value.changed == ("image", "strength", "seed", "num_output")
    assert everything(store.client) == before


@pytest.mark.parametrize("job_id", ["", "job_", "x", "job_01K", "../../etc", "job_01M82V7M0021AQTGS0ZZM1M1M7\n"])
@pytest.mark.usefixtures("client")
def test_a_malformed_id_is_not_found(job_id: str) -> None:
    """It is told apart from nothing else: no such job."""
    with pytest.raises(JobNotFoundError):
        get_job(job_id)
    with pytest.raises(JobNotFoundError):
        cancel_job(job_id)


@pytest.mark.usefixtures("client")
def test_an_unknown_id_is_not_found() -> None:
    """A well-formed id of no job is an error too, not a job that waits for ever."""
    with pytest.raises(JobNotFoundError):
        get_job(new_job_id(NOW))


@pytest.mark.usefixtures("client")
def test_a_job_is_found_again_by_its_id() -> None:
    """A handle can be rebuilt in any process from the id alone."""
    job = order(idempotency_key="shop:1")
    found = get_job(job.id)
    assert (found.id, found.idempotency_key, found.created) == (job.id, "shop:1", False)
    assert found.snapshot() == job.snapshot()


def test_a_store_that_is_away_is_told_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web request hears within seconds that the order was not taken, and that it is safe to call again."""
    settings = Settings(redis_url=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, publisher=RecordingPublisher()))
    began = time.monotonic()
    with pytest.raises(EnqueueError, match="with the same idempotency_key") as raised:
        order(idempotency_key="shop:1")
    with pytest.raises(StoreUnavailableError) as read:
        get_job(new_job_id(NOW))
    assert time.monotonic() - began < 5.0
    assert "hunter2" not in f"{raised.value} {read.value}"
    assert raised.value.retryable


def test_the_process_s_client_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls of a process share one client, and making it sends nothing."""
    monkeypatch.setattr(sceneshift.client, "_client", None)
    assert sceneshift.client.current_client() is sceneshift.client.current_client()
