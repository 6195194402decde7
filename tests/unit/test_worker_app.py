"""The worker as a Celery user starts it: what it is configured to, which tasks it knows, and when it refuses."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sceneshift.jobs.transitions import advance
from sceneshift.messages import TASKS, CeleryPublisher, StepMessage, message_for_due, messages_for_change, step_message
from sceneshift.settings import Settings
from sceneshift.store.due import DueStep
from tasks.finalize import finalize
from tasks.notify import notify
from tasks.poll import poll
from tasks.submit import submit
from tests.factories import NOW, a_job
from tests.unit.jobs.moves import TABLE
from tests.unit.jobs.situations import EVENTS
from workers.config import worker_settings
from workers.timekeeper import BATCH_FROM, WEBHOOKS_BATCH_FROM, messages_for

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS: dict[str, Any] = {
    "sceneshift.submit": submit,
    "sceneshift.poll": poll,
    "sceneshift.finalize": finalize,
    "sceneshift.notify": notify,
}
FACTS = """
import json, sys
from workers.app import app
from kombu.transport.redis import Channel
app.loader.import_default_modules()
conf = app.conf
print(json.dumps({
    "tasks": sorted(name for name in app.tasks if not name.startswith("celery.")),
    "queues": {queue.name: queue.routing_key for queue in conf.task_queues},
    "routes": {name: app.amqp.router.route({}, name)["queue"].name for name in app.tasks if name.startswith("scene")},
    "acks_late": [app.tasks[name].acks_late for name in app.tasks if name.startswith("sceneshift.")],
    "reject": [app.tasks[name].reject_on_worker_lost for name in app.tasks if name.startswith("sceneshift.")],
    "ignore_result": [app.tasks[name].ignore_result for name in app.tasks if name.startswith("sceneshift.")],
    "time_limits": [app.tasks[name].time_limit for name in app.tasks if name.startswith("sceneshift.")],
    "retries": [app.tasks[name].autoretry_for if hasattr(app.tasks[name], "autoretry_for") else None
                for name in app.tasks if name.startswith("sceneshift.")],
    "prefetch": conf.worker_prefetch_multiplier,
    "pool": conf.worker_pool,
    "accept": conf.accept_content,
    "serializers": [conf.task_serializer, conf.result_serializer, conf.event_serializer],
    "missing_queues": conf.task_create_missing_queues,
    "backend": type(app.backend).__name__,
    "events": conf.worker_send_task_events,
    "steps": [step.__name__ for step in app.steps["worker"]],
    "guarded": Channel.QoS.__name__,
}))
"""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without its settings, and with these; nothing is written outside of a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCENESHIFT_")}
    variables = {"SPOOL_DIRECTORY": "none", **variables}
    return {**kept, "PYTHONPATH": str(ROOT), **{f"SCENESHIFT_{name}": value for name, value in variables.items()}}


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """What a fresh process finds in `workers.app`, with no server anywhere."""
    done = subprocess.run(
        [sys.executable, "-c", FACTS],
        capture_output=True, text=True, check=True, cwd=ROOT, env=environment(), timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_app_knows_exactly_our_tasks(facts: dict[str, Any]) -> None:
    """The four names that messages carry; their queues are called the same."""
    assert facts["tasks"] == sorted(TASKS)
    assert facts["queues"] == {name: name for name in TASKS}
    assert facts["routes"] == {name: name for name in TASKS}


def test_a_message_is_kept_until_its_task_has_ended(facts: dict[str, Any]) -> None:
    """Late acknowledgement and return of a lost worker's message, for every task, with one message at a time."""
    assert facts["acks_late"] == facts["reject"] == [True] * 4
    assert facts["prefetch"] == 1


def test_celery_neither_retries_nor_times_nor_keeps_results(facts: dict[str, Any]) -> None:
    """What follows from a step is decided by the job's record; a result backend would only be a second truth."""
    assert facts["ignore_result"] == [True] * 4
    assert facts["backend"] == "DisabledBackend"
    assert facts["retries"] == facts["time_limits"] == [None] * 4


def test_only_json_is_read(facts: dict[str, Any]) -> None:
    """A pickled message could run anything; and a misspelt queue is an error instead of a new queue."""
    assert facts["accept"] == ["json"]
    assert facts["serializers"] == ["json"] * 3
    assert facts["missing_queues"] is False


def test_a_worker_has_a_timekeeper_threads_events_and_the_guard(facts: dict[str, Any]) -> None:
    """What brings lost steps back, what waits for HTTP, what Flower shows, and what survives a lost broker."""
    assert (facts["steps"], facts["pool"], facts["events"]) == (["TimekeeperStep"], "threads", True)
    assert facts["guarded"] == "GuardedQoS"


def every_message() -> list[StepMessage]:
    """Messages of every origin: of each change that publishes, of each kind of due step, and batches."""
    messages = [
        message
        for row in TABLE
        for message in messages_for_change(advance(row.job, EVENTS[row.event], NOW))
    ]  # fmt: skip
    job_id = a_job().id
    steps = [
        DueStep(
            subject_id=subject, step=step, sku="PERF-050", parent_step="", job_id=job_id, waiting=False
        )
        for subject, step in [
            (job_id, "submit-2"), (job_id, "poll-007"), (job_id, "finalize-2"), (f"dlv_{job_id[4:]}_1", "notify-03"),
        ]
    ]  # fmt: skip
    messages += [message_for_due(step) for step in steps]
    messages += messages_for("sceneshift.poll", [steps[1]] * BATCH_FROM)
    messages += messages_for("sceneshift.notify", [steps[3]] * WEBHOOKS_BATCH_FROM)
    return messages


def test_every_task_takes_what_its_messages_carry() -> None:
    """No argument is unknown to its task and none is missing, whoever published the message."""
    messages = every_message()
    assert {message.task for message in messages} == set(TASKS)
    for message in messages:
        inspect.signature(FUNCTIONS[message.task].run).bind(**message.kwargs)


def test_no_task_waits_for_what_no_message_carries() -> None:
    """Every argument of a task is sent by some message: none is a leftover."""
    sent: dict[str, set[str]] = {name: set() for name in TASKS}
    for message in every_message():
        sent[message.task] |= set(message.kwargs)
    for name, function in FUNCTIONS.items():
        assert set(named(function)) == sent[name]


def test_a_task_refuses_positional_arguments() -> None:
    """Flower's search finds `kwargs:job_id=…` only when everything is given by name."""
    for function in FUNCTIONS.values():
        assert {parameter.kind for parameter in named(function).values()} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("url", ["amqp://rabbit.example//", "memory://"])
def test_another_broker_gets_no_redis_options(url: str) -> None:
    """RabbitMQ is a broker that works too, with its own idea of options."""
    settings = worker_settings(Settings(broker_url=url))
    assert settings["broker_url"] == url
    assert "broker_transport_options" not in settings
    assert "broker_use_ssl" not in settings


@pytest.fixture(scope="module")
def strangers_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server with a certificate that nobody has reason to trust."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("query", ["", "?ssl_cert_reqs=required"])
def test_a_broker_without_a_trusted_certificate_hears_nothing(strangers_tls: ssl.SSLContext, query: str) -> None:
    """`rediss://` means that the certificate is verified: no password and no message goes to a stranger."""
    heard: list[bytes] = []

    def listen(listener: socket.socket) -> None:
        while True:
            plain, _ = listener.accept()
            with plain:
                plain.settimeout(10.0)
                try:
                    with strangers_tls.wrap_socket(plain, server_side=True) as connection:
                        heard.append(connection.recv(1000))
                except (ssl.SSLError, ConnectionError):
                    continue
                if heard[-1] == b"":
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, args=(listener,), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        publisher = CeleryPublisher(Settings(broker_url=f"rediss://:test-password@127.0.0.1:{port}/0{query}"))
        job_id = a_job().id
        message = step_message(subject_id=job_id, step="submit-1", sku="", parent_step="", job_id=job_id)
        assert not publisher.publish([message])
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port)) as plain, trusting.wrap_socket(plain):
            pass
        thread.join(timeout=20)
    assert heard == [b""]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "SCENESHIFT_PROVIDER_URL"),
        ({"PROVIDER_URL": "https://provider.example/api"}, "SCENESHIFT_PROVIDER_APPCODE"),
    ],
)
def test_a_worker_that_could_do_nothing_does_not_start(given: dict[str, str], missing: str) -> None:
    """`sceneshift worker` ends at once with the code for wrong settings and names the variable, in one sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "sceneshift", "worker"],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment(**given), timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert missing in done.stderr
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"WEBHOOK_SECRET": "whsec_too-short"}, "SCENESHIFT_WEBHOOK_SECRET"),
        ({"STORAGE_URL": "ftp://shots"}, "SCENESHIFT_STORAGE_URL"),
        ({"LEASE_SECONDS": "soon"}, "SCENESHIFT_LEASE_SECONDS"),
        ({"SPOOL_DIRECTORY": "/dev/null/spool"}, "SCENESHIFT_SPOOL_DIRECTORY"),
        ({"SUBMT_RATE": "2"}, "SCENESHIFT_SUBMT_RATE"),
    ],
)
def test_a_worker_with_a_wrong_setting_does_not_start(variables: dict[str, str], named: str) -> None:
    """It is found out when it starts, and not by the first job that needs it. No server is there, so none is asked."""
    needed = {
        "PROVIDER_URL": "https://provider.example/api",
        "PROVIDER_APPCODE": "test-appcode",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sceneshift", "worker", "--concurrency", "1"],
            capture_output=True, text=True, check=False, cwd=ROOT, env=environment(**needed, **variables), timeout=8,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.fail("the worker started")
    assert done.returncode == 2
    assert named in done.stderr


@pytest.mark.parametrize("queues", ["submitt", "submit,celery"])
def test_a_queue_that_does_not_exist_is_not_consumed(queues: str) -> None:
    """A misspelt name would be a worker that waits for nothing; the text names the queues that there are."""
    given = {"PROVIDER_URL": "https://provider.example/api", "PROVIDER_APPCODE": "test-appcode"}
    done = subprocess.run(
        [sys.executable, "-m", "sceneshift", "worker", "-Q", queues],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment(**given), timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "submit, poll, finalize, notify" in done.stderr


def named(function: Any) -> dict[str, inspect.Parameter]:
    """The task's arguments by name, but for those of later releases, which it passes over."""
    parameters = inspect.signature(function.run).parameters.items()
    return {name: each for name, each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD}
