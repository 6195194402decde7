"""The broker is the one of our settings, also where a shop has set Celery's own variables for its own Celery."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from sceneshift.celery_app import SceneshiftCelery
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")

PUBLISH = """
from sceneshift.messages import CeleryPublisher, step_message
from sceneshift.settings import current_settings

job_id = "job_01M82V7M0021AQTGS0ZZM1M1M7"
message = step_message(subject_id=job_id, step="submit-1", sku="A", parent_step="", job_id=job_id)
print(CeleryPublisher(current_settings()).publish([message]))
"""
READ = """
from sceneshift.messages import producer_app
from sceneshift.settings import current_settings

with producer_app(current_settings()).connection_for_read() as connection:
    message = connection.SimpleQueue("sceneshift.submit").get(timeout=10)
    message.ack()
    print(message.headers["id"])
"""
WORKER = """
from workers.app import app

for connection in (app.connection_for_read(), app.connection_for_write()):
    print(connection.as_uri(include_password=True))
"""


def run(script: str, redis_url: str, **variables: str) -> list[str]:
    """The lines that the script prints in a process of its own, with these variables set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCENESHIFT_", "CELERY_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "SCENESHIFT_REDIS_URL": redis_url, **variables}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, env=environment,
        timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RedisServer]:
    """The server of the shop's own Celery."""
    with RedisServer(tmp_path / "shop") as server:
        yield server


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[RedisServer]:
    """The server that our settings name."""
    with RedisServer(tmp_path / "ours") as server:
        yield server


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_message_goes_to_our_broker_and_comes_from_it(ours: RedisServer, shop: RedisServer, variable: str) -> None:
    """What is published lies in our queue and is read from there; the shop's server has not heard of it."""
    assert run(PUBLISH, ours.url, **{variable: shop.url}) == ["True"]
    with Redis.from_url(ours.url, decode_responses=True) as client, Redis.from_url(shop.url) as other:
        assert client.llen("{sceneshift}:celery:sceneshift.submit") == 1
        assert other.dbsize() == 0
    assert run(READ, ours.url, **{variable: shop.url}) == ["job_01M82V7M0021AQTGS0ZZM1M1M7:submit-1"]


def test_a_worker_connects_to_our_broker() -> None:
    """Reading and writing alike, with all of Celery's variables set."""
    url = f"redis://127.0.0.1:{free_port()}/5"
    shops = dict.fromkeys(VARIABLES, "redis://shop.example:6379/0")
    assert run(WORKER, url, **shops) == [url, url]


def test_an_address_that_is_given_is_used() -> None:
    """Celery's own tools may ask for another broker by name, as they do of any app."""
    app = SceneshiftCelery("test", set_as_current=False)
    app.conf.update(broker_url="redis://ours.example:6379/1")
    named = "redis://named.example:6379/2"
    assert app.connection_for_read(named).hostname == "named.example"
    assert app.connection_for_write(named).hostname == "named.example"
    assert app.connection_for_read().hostname == "ours.example"
