"""The command line: data on standard output, everything else on standard error, and exit codes that mean something."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

import sceneshift.client
from sceneshift.cli import COMMANDS, cli, exit_code_of, main, staging
from sceneshift.client import Client
from sceneshift.errors import (
    ConfigurationError,
    EnqueueError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobFailedError,
    JobNotFoundError,
    JobTimeoutError,
    SceneshiftError,
    StoreUnavailableError,
)
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings, current_settings
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job, an_output
from tests.unit.jobs.situations import FAULT, NONCE, SITUATIONS
from tests.unit.storage.memory_store import MemoryStore
from tests.unit.storage.pictures import picture
from tests.unit.store.inspection import everything, place
from tests.unit.workers.recording_publisher import RecordingPublisher
from workers.embedded.processes import free_port

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def publisher() -> RecordingPublisher:
    """A broker that takes everything."""
    return RecordingPublisher()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; returns its exit code, standard output and standard error."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sceneshift", *arguments])
        code = main()
        return (code, *capsys.readouterr())

    return run_command


@pytest.fixture
def jobs(
    store: Store, settings: Settings, publisher: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> Callable[[JobRecord], JobRecord]:
    """Places jobs in the store that the commands use."""
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, store=store, publisher=publisher))
    return lambda record: place(store, record)


Place = Callable[[JobRecord], JobRecord]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequestError("x"), 2),
        (ConfigurationError("x"), 2),
        (EnqueueError("x"), 5),
        (StoreUnavailableError("x"), 5),
        (JobTimeoutError("x"), 6),
        (JobFailedError("x"), 1),
        (JobNotFoundError("x"), 1),
        (IdempotencyConflictError("x"), 1),
    ],
)
def test_exit_codes_are_those_of_the_documentation(error: SceneshiftError, code: int) -> None:
    """A script can tell its own mistake, an unreachable service, a time-out and a failure apart."""
    assert exit_code_of(error) == code


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("jobs", "--help"), ("--version",)])
def test_help_is_data(run: Run, arguments: tuple[str, ...]) -> None:
    """What was asked for goes to standard output, with exit code 0."""
    code, out, error = run(*arguments)
    assert (code, error) == (0, "")
    assert "sceneshift" in out.lower()


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("jobs", "nonsense"), ("jobs", "get"), ("jobs", "list", "--state", "asleep")]
)
def test_wrong_usage_is_two_and_says_so_on_standard_error(run: Run, arguments: tuple[str, ...]) -> None:
    """Nothing is on standard output that a program might take for data."""
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert error


def test_every_command_can_be_loaded() -> None:
    """The list names modules that exist and have their command."""
    context = cli.make_context("sceneshift", ["--help"], resilient_parsing=True)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    assert set(commands) == set(COMMANDS)
    assert all(command is not None and command.name == name for name, command in commands.items())


@pytest.mark.parametrize("arguments", [("worker",), ("worker", "--concurrency", "4"), ("demo", "x")])
def test_a_service_command_from_a_bare_wheel_says_where_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Without the checkout the command is named, not found by accident elsewhere, and exits as wrong usage."""
    find_spec = importlib.util.find_spec

    def without_service(name: str, package: str | None = None) -> Any:
        return None if name in {"workers", "tasks", "storage"} else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_service)
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert "from a checkout of the project or from its container image" in error
    listed = run("--help")
    assert listed[0] == 0
    assert arguments[0] in listed[1]


def test_a_job_is_shown_for_people_and_programs(run: Run, jobs: Place) -> None:
    """The same facts as a table and as one JSON document."""
    job = jobs(SITUATIONS["succeeded"].evolve(outputs=(an_output(0),)))
    code, out, error = run("jobs", "get", job.id, "--json")
    assert (code, error) == (0, "")
    document = json.loads(out)
    assert (document["id"], document["state"], document["charge"]) == (job.id, "succeeded", "charged")
    assert document["outputs"][0]["uri"] == an_output(0).uri
    code, out, error = run("jobs", "get", job.id)
    assert (code, error) == (0, "")
    assert job.id in out
    assert an_output(0).uri in out


@pytest.mark.parametrize("command", ["get", "explain", "answer", "watch", "cancel", "retry"])
def test_a_job_that_is_not_there_is_an_error(run: Run, jobs: Place, command: str) -> None:
    """One sentence on standard error, nothing on standard output, exit code 1."""
    jobs(a_job())
    code, out, error = run("jobs", command, "job_NONSENSE", "--json")
    assert (code, out) == (1, "")
    assert error.startswith("error: no job ")
    assert error.count("\n") == 1


ID = "job_01M82V7M0000000000000000ZZ"


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("list", "--json"),
        ("get", ID),
        ("explain", ID),
        ("answer", ID),
        ("watch", ID),
        ("cancel", ID),
        ("resolve", ID, "--fail"),
        ("resolve", "--all", "--fail"),
        ("retry", ID),
        ("retry", "--state", "failed"),
    ],
    ids=" ".join,
)
def test_a_store_that_is_away_is_five(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    """The error is told without the password, and without a traceback."""
    settings = Settings(redis_url=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(sceneshift.client, "_client", Client(settings, publisher=RecordingPublisher()))
    code, out, error = run("jobs", *command)
    assert (code, out) == (5, "")
    assert "the job store did not answer" in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    ("part", "method", "command"),
    [
        ("jobs", "ids", ("list",)),
        ("client", "pipeline", ("list",)),
        ("jobs", "counts", ("list",)),
        ("timeline", "read", ("explain", "ID")),
        ("answers", "kept", ("explain", "ID")),
        ("answers", "kept", ("answer", "ID")),
        ("jobs", "transition", ("cancel", "ID")),
        ("jobs", "transition", ("resolve", "ID", "--fail")),
        ("client", "zrange", ("resolve", "--all", "--fail")),
        ("client", "pipeline", ("retry", "--state", "failed", "--sku", "PERF-050")),
    ],
)
def test_a_store_that_goes_away_in_the_middle_is_five(
    run: Run, jobs: Place, store: Store, monkeypatch: pytest.MonkeyPatch, *, part: str, method: str,
    command: tuple[str, ...],
) -> None:  # fmt: skip
    """Whichever question is not answered, the error is one sentence and no traceback."""
    job = jobs(SITUATIONS["held, answer lost"])

    def away(*_arguments: object, **_options: object) -> None:
        raise RedisConnectionError("Error 111 connecting to redis://:hunter2@h:6379")

    monkeypatch.setattr(getattr(store, part), method, away)
    code, _out, error = run("jobs", *(job.id if word == "ID" else word for word in command))
    assert code == 5
    assert error.startswith("error: ")
    assert "the job store did not answer" in error
    assert error.count("\n") == 1
    assert "hunter2" not in error


def test_a_wrong_environment_is_two(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is told before anything is tried."""
    monkeypatch.setattr(sceneshift.client, "_client", None)
    monkeypatch.setenv("SCENESHIFT_REDIS_ULR", "redis://h/0")
    current_settings.cache_clear()
    try:
        code, out, error = run("jobs", "list")
    finally:
        current_settings.cache_clear()
    assert (code, out) == (2, "")
    assert "SCENESHIFT_REDIS_URL" in error


def test_jobs_are_listed_by_state(run: Run, jobs: Place) -> None:
    """All of them, or those of one state; an empty list is a list."""
    held = jobs(SITUATIONS["held, answer lost"])
    rendering = jobs(SITUATIONS["rendering"])
    code, out, error = run("jobs", "list", "--json")
    assert (code, error) == (0, "")
    listed = json.loads(out)
    assert {each["id"] for each in listed} == {held.id, rendering.id}
    only = json.loads(run("jobs", "list", "--json", "--state", "needs_attention")[1])
    assert [each["id"] for each in only] == [held.id]
    assert json.loads(run("jobs", "list", "--json", "--state", "queued")[1]) == []
    code, out, error = run("jobs", "list")
    assert code == 0
    assert "operator" in out
    assert error == "1 needs_attention, 1 rendering\n"


@pytest.mark.usefixtures("jobs")
def test_an_empty_store_has_no_jobs(run: Run) -> None:
    """The table has its headings only, and the count says so beside it."""
    code, out, error = run("jobs", "list")
    assert (code, error) == (0, "no jobs\n")
    assert out.startswith("JOB ")
    assert out.count("\n") == 1


def test_an_explanation_has_the_timeline(run: Run, jobs: Place) -> None:
    """What happened so far with its details, and what the job waits for, for people and programs."""
    job = jobs(SITUATIONS["held, answer lost"])
    assert run("jobs", "cancel", job.id)[0] == 0
    document = json.loads(run("jobs", "explain", job.id, "--json")[1])
    assert (document["job"]["blocked_by"], document["job"]["state"]) == ("operator", "needs_attention")
    assert document["timeline"] == [
        {"at": NOW, "state": "queued", "event": "enqueued", "lane": "interactive"},
        {"at": NOW, "state": "needs_attention", "event": "cancel_requested", "result": "discard"},
    ]
    assert (document["next"]["blocked_by"], document["next"]["at"]) == ("operator", None)
    table = run("jobs", "explain", job.id)[1]
    assert "operator" in table
    line = "2026-11-23 00:00:00  needs_attention  cancel_requested    result=discard\n"
    assert table.endswith(f"{line}\n{document['next']['text']}\n")


def test_an_unreadable_answer_is_shown_whole(run: Run, jobs: Place, store: Store) -> None:
    """Its explanation says in one line that there is one; without one, asking for it is an error of one sentence."""
    job, text = jobs(SITUATIONS["held, answer lost"]), "<html>\n<p>result_key: 6c8d</p>\n</html>"
    error = f"error: {job.id}: no unreadable answer of the provider is kept\n"
    assert run("jobs", "answer", job.id) == (1, "", error)
    assert "unreadable answer" not in run("jobs", "explain", job.id)[1]
    store.answers.keep(job.id, text)
    assert run("jobs", "answer", job.id) == (0, f"{text}\n", "")
    assert json.loads(run("jobs", "answer", job.id, "--json")[1]) == {"job_id": job.id, "answer": text}
    (line,) = [each for each in run("jobs", "explain", job.id)[1].splitlines() if each.startswith("unreadable answer")]
    assert line.endswith(f"  {len(text)} characters are kept: sceneshift jobs answer {job.id}")
    assert json.loads(run("jobs", "explain", job.id, "--json")[1])["unreadable_answer"] is True


def test_who_decides_sees_what_the_provider_s_support_asks_for(run: Run, jobs: Place) -> None:
    """Of a lost answer, the nonce and the provider's request id are in the table and in the document."""
    job = jobs(SITUATIONS["held, answer lost"])
    shown = {line[:18].strip(): line[18:].strip() for line in run("jobs", "get", job.id)[1].splitlines()}
    assert (shown["nonce"], shown["provider request"]) == (NONCE, "REQ-1")
    document = json.loads(run("jobs", "get", job.id, "--json")[1])
    assert (document["nonce"], document["error"]["request_id"]) == (NONCE, "REQ-1")


def test_watching_ends_with_the_job_or_with_patience(run: Run, jobs: Place, store: Store) -> None:
    """A finished job's timeline is told as one JSON document per line; a time-out is 6 and leaves the job alone."""
    job = jobs(SITUATIONS["rendering"])
    before = everything(store.client)
    code, out, error = run("jobs", "watch", job.id, "--timeout", "0.02", "--json")
    assert code == 6
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["queued"]
    assert "was not cancelled" in error
    assert everything(store.client) == before
    assert run("jobs", "cancel", job.id)[0] == 0
    code, out, _error = run("jobs", "watch", job.id, "--json")
    assert code == 0
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["queued", "cancelled"]


def test_cancelling_says_what_it_cost(run: Run, jobs: Place) -> None:
    """The outcome is one word for people and a document for programs."""
    job = jobs(SITUATIONS["rendering"])
    code, out, error = run("jobs", "cancel", job.id, "--keep-result", "--json")
    assert (code, error) == (0, "")
    assert json.loads(out) == {"job_id": job.id, "outcome": "charged_kept"}
    assert run("jobs", "cancel", jobs(a_job()).id)[:2] == (0, "free\n")


def test_a_failed_job_shows_its_reason(run: Run, jobs: Place) -> None:
    """Code and words of the fault are in the table and in the document."""
    job = jobs(SITUATIONS["failed"].evolve(error=FAULT))
    assert f"{FAULT.code}: {FAULT.message}" in run("jobs", "get", job.id)[1]
    assert json.loads(run("jobs", "get", job.id, "--json")[1])["error"]["code"] == FAULT.code


@pytest.mark.usefixtures("jobs")
def test_a_catalogue_is_ordered_entry_by_entry(run: Run, tmp_path: Path, store: Store) -> None:
    """Each entry is a job with its own photo, mask and prompt, up to the limit."""
    entries = [
        {"image": f"{n}.jpg", "mask": f"{n}.png", "positive_prompt": f"prompt {n}", "sku": f"S{n}"} for n in range(3)
    ]
    (tmp_path / "catalogue.json").write_text(json.dumps(entries), encoding="utf-8")
    arguments = ("jobs", "enqueue", "--catalogue", str(tmp_path), "--base-url", "https://shop.example/c/")
    code, out, error = run(*arguments, "--limit", "2", "--json")
    assert (code, error) == (0, "")
    stored = [store.jobs.load(each["id"]) for each in json.loads(out)]
    assert [(job.order.image, job.sku) for job in stored if job] == [
        ("https://shop.example/c/0.jpg", "S0"),
        ("https://shop.example/c/1.jpg", "S1"),
    ]


class StagingStore(MemoryStore):
    """A store in memory that passes for a bucket."""

    def uri(self, key: str) -> str:
        return f"s3://shots/{key}"


@pytest.mark.usefixtures("jobs")
def test_a_catalogue_s_files_may_be_staged(
    run: Run, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the bucket under the hash of their bytes; the same ones are ordered once, another photo anew."""
    bucket = StagingStore()
    monkeypatch.setattr(staging, "service_store", lambda: lambda _url: bucket)
    entry = {"image": "0.jpg", "mask": "0.png", "positive_prompt": "prompt"}
    (tmp_path / "catalogue.json").write_text(json.dumps([entry]), encoding="utf-8")
    (tmp_path / "0.png").write_bytes(picture("PNG"))
    ids = []
    for seed in (1, 1, 2):
        (tmp_path / "0.jpg").write_bytes(picture("JPEG", seed=seed))
        code, out, _ = run("jobs", "enqueue", "--catalogue", str(tmp_path), "--stage", "--json")
        assert code == 0
        ids.append(json.loads(out)[0]["id"])
    assert ids[0] == ids[1] != ids[2]
    job = store.jobs.load(ids[2])
    assert job is not None
    sha256 = hashlib.sha256(picture("JPEG", seed=2)).hexdigest()
    assert job.order.image == f"s3://shots/sources/{sha256}.jpg"
    assert len(bucket.objects) == 3


@pytest.mark.parametrize("places", [(), ("--stage", "--base-url", "https://shop.example")])
@pytest.mark.usefixtures("jobs")
def test_a_catalogue_has_one_place(run: Run, tmp_path: Path, places: tuple[str, ...]) -> None:
    """Neither and both are wrong usage."""
    (tmp_path / "catalogue.json").write_text("[]", encoding="utf-8")
    assert run("jobs", "enqueue", "--catalogue", str(tmp_path), *places)[0] == 2


@pytest.mark.usefixtures("jobs")
def test_only_files_of_the_catalogue_are_staged(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that somebody else wrote does not bring other files of this machine into the bucket."""
    bucket = StagingStore()
    monkeypatch.setattr(staging, "service_store", lambda: lambda _url: bucket)
    (tmp_path / "secret.png").write_bytes(picture("PNG"))
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    entry = {"image": "../secret.png", "mask": str(tmp_path / "secret.png"), "positive_prompt": "prompt"}
    (catalogue / "catalogue.json").write_text(json.dumps([entry]), encoding="utf-8")
    assert run("jobs", "enqueue", "--catalogue", str(catalogue), "--stage")[0] == 2
    assert bucket.objects == {}


@pytest.mark.parametrize("content", [None, "{", "{}", "[1]", '[{"image": "a"}]'])
@pytest.mark.usefixtures("jobs")
def test_a_catalogue_that_is_none_is_refused(run: Run, tmp_path: Path, content: str | None) -> None:
    """Wrong usage, told with the file's path."""
    if content is not None:
        (tmp_path / "catalogue.json").write_text(content, encoding="utf-8")
    code, out, error = run("jobs", "enqueue", "--catalogue", str(tmp_path), "--base-url", "https://shop.example")
    assert (code, out) == (2, "")
    assert str(tmp_path) in error
