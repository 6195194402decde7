"""The example receivers as their frameworks serve them: real requests, signed rightly, wrongly, twice and late."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sceneshift.webhooks import event_payload, sign
from sceneshift.webhooks.consumer_checks import CHECK_NAMES, check_consumer
from sceneshift.webhooks.consumer_trial import Consumer
from sceneshift.webhooks.posting import Endpoint
from tests.webhook_material import OLD_SECRET, SECRET

ROOT = Path(__file__).resolve().parents[2]
STARTED_WITHIN_SECONDS = 60.0
SERVERS: dict[str, list[str]] = {
    "django": [
        "-m",
        "django",
        "runserver",
        "--noreload",
        "--settings",
        "tests.integration.django_site",
        "127.0.0.1:PORT",
    ],
    "flask": ["-m", "flask", "--app", "examples.webhook_receivers.flask_app", "run", "--port", "PORT"],
    "fastapi": ["-m", "uvicorn", "examples.webhook_receivers.fastapi_app:app", "--port", "PORT"],
}
"""How each framework's own documentation starts its application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """An example that is being served: its endpoint, and the database that it writes to."""

    endpoint: Endpoint
    database: Path

    def value(self, query: str, *parameters: str) -> Any:
        """The first column of the first row; None when there is no row."""
        with closing(sqlite3.connect(self.database)) as connection:
            row = connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    def acted(self, job_id: str) -> int:
        return int(self.value("SELECT count(*) FROM work WHERE job = ?", job_id))

    def state(self, job_id: str) -> str | None:
        found: str | None = self.value("SELECT state FROM job WHERE id = ?", job_id)
        return found


@contextmanager
def served(framework: str, directory: Path) -> Iterator[Shop]:
    """The example in this framework's own server, until the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = directory / "shop.sqlite3"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "SHOP_DATABASE": str(database),
        "SCENESHIFT_WEBHOOK_SECRET": f"{SECRET} {OLD_SECRET}",
    }
    command = [sys.executable, *(part.replace("PORT", str(port)) for part in SERVERS[framework])]
    with (directory / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(process, port)
        yield Shop(endpoint=Endpoint(f"http://127.0.0.1:{port}/webhooks/sceneshift"), database=database)
    finally:
        process.terminate()
        process.wait(STARTED_WITHIN_SECONDS)


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the example's server did not start")


@pytest.fixture(scope="module", params=list(SERVERS))
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Each example in turn."""
    with served(request.param, tmp_path_factory.mktemp(request.param)) as example:
        yield example


def a_webhook(job_id: str) -> tuple[bytes, dict[str, str]]:
    """A completed job's webhook, signed now."""
    now = time.time()
    body = event_payload(
        "job.completed", occurred_at=now, data={"job_id": job_id, "sequence": 1, "state": "succeeded", "sku": "CHAIR"}
    )
    headers = sign(body, webhook_id=f"evt_{job_id}", timestamp=int(now), secrets=[SECRET])
    return body, headers | {"content-type": "application/json"}


def test_a_signed_webhook_is_recorded_once_however_often_it_comes(shop: Shop) -> None:
    """A signed webhook is answered 204 and acted on; its duplicates are answered 204 as well, and change nothing."""
    body, headers = a_webhook("job_a")
    assert [shop.endpoint(body, headers) for _ in range(3)] == [204, 204, 204]
    assert (shop.acted("job_a"), shop.state("job_a")) == (1, "succeeded")


def test_a_tampered_webhook_is_answered_401_and_leaves_nothing(shop: Shop) -> None:
    """A changed body, a forged signature and a missing one are answered 401, and no row says that they were there."""
    body, headers = a_webhook("job_b")
    forged = headers | {"webhook-signature": "v1," + "A" * 43 + "="}
    unsigned = {"content-type": "application/json"}
    answers = [shop.endpoint(body.replace(b"CHAIR", b"TABLE"), headers), shop.endpoint(body, forged)]
    assert [*answers, shop.endpoint(body, unsigned)] == [401, 401, 401]
    assert shop.endpoint(*a_webhook("job_c")) == 204
    assert (shop.acted("job_b"), shop.state("job_b"), shop.acted("job_c")) == (0, None, 1)


def test_the_example_passes_the_trial(shop: Shop) -> None:
    """The receivers that we show pass every check that we give to shops."""
    consumer = Consumer(
        send=shop.endpoint, secret=SECRET, old_secret=OLD_SECRET, acted=shop.acted, state=shop.state,
        answer_within_seconds=15,
    )  # fmt: skip
    report = check_consumer(consumer)
    assert report.failed == (), str(report)
    assert report.passed == CHECK_NAMES
