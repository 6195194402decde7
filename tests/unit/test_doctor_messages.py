"""`doctor` says what was dropped from the queues, and says nothing of it when it cannot know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sceneshift.settings import Settings
from sceneshift.store.bad_messages import MEANINGS, BadMessage, BadMessages, Reason
from sceneshift.store.connection import CALLER, connect
from sceneshift.store.keys import Keys
from tests.unit.doctoring import APPCODE, Doctor, consulting
from workers.embedded.processes import ROOT, free_port
from workers.embedded.redis_server import RedisServer

PAGE = "docs/how-to/bad-messages.md"


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Doctor]:
    """The doctor, with the settings that a worker needs."""
    monkeypatch.setenv("SCENESHIFT_STORAGE_URL", f"file://{tmp_path}/results")
    monkeypatch.setenv("SCENESHIFT_SPOOL_DIRECTORY", f"{tmp_path}/spool")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_URL", "https://provider.example/api/v1/bg-rep")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_APPCODE", APPCODE)
    yield from consulting(monkeypatch, capsys)


def note(server: RedisServer, *messages: BadMessage) -> None:
    with closing(connect(server.url, CALLER)) as client:
        client.flushdb()
        for message in messages:
            BadMessages(client, Keys(Settings().key_prefix)).note(message)


def test_without_bad_messages_all_is_well(doctor: Doctor, redis_server: RedisServer) -> None:
    """One line, no table, and an empty list for programs."""
    note(redis_server)
    said = doctor(REDIS_URL=redis_server.url)
    assert said.line("messages").startswith("ok")
    assert "BEGINS" not in said
    assert json.loads(doctor("--json").out)["bad_messages"] == []


def test_dropped_messages_are_a_warning_with_the_latest_of_each_kind(doctor: Doctor, redis_server: RedisServer) -> None:
    """How many, since when, why in a sentence, how they begin, and where to read on; the service works, so it is 0."""
    foreign = BadMessage(
        queue="sceneshift.poll",
        reason=Reason.UNKNOWN_TASK,
        size_bytes=12,
        beginning="shop.resize https://a.example/?t=hunter2",
    )
    note(
        redis_server,
        foreign,
        foreign,
        BadMessage(queue="other", reason=Reason.UNREADABLE, size_bytes=3, beginning="xyz"),
    )
    said = doctor(REDIS_URL=redis_server.url)
    assert said.code == 0
    assert said.line("messages").startswith("warn")
    assert "3 dropped since " in said.line("messages")
    assert PAGE in said.line("messages")
    assert "shop.resize https://a.example/" in said
    assert MEANINGS[Reason.UNKNOWN_TASK] in said
    first, second = json.loads(doctor("--json").out)["bad_messages"]
    assert (first["count"], first["queue"], first["reason"]) == (2, "sceneshift.poll", "unknown_task")
    assert (second["count"], second["beginning"]) == (1, "xyz")


def test_of_a_job_store_that_is_away_nothing_is_said(doctor: Doctor) -> None:
    """That it is away is a finding already."""
    said = doctor(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert said.line("job store").startswith("fail")
    assert "messages " not in said


def test_the_page_names_every_reason_with_its_sentence() -> None:
    """What the doctor prints can be looked up."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))
    assert rows == {str(reason): meaning for reason, meaning in MEANINGS.items()}
