"""What Flower shows holds ids, and neither URLs nor secrets."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from celery.events.state import State

from ops.flower.redaction import LENGTH_MAX_CHARACTERS, redacted, redacted_task

SIGNED = "https://bucket.example/a.png?X-Amz-Credential=abc&X-Amz-Signature=0011223344"

HIDDEN = [
    (f"cannot fetch {SIGNED}", "X-Amz-Signature"),
    (f"('{SIGNED}', 3)", "bucket.example"),
    ("Error 111 connecting to redis://sceneshift:hunter2@state:6379/0", "hunter2"),
    ("s3://bucket/private/key.png", "private/key"),
    ("Authorization: APPCODE 0123abcd", "0123abcd"),
    ("Authorization: Bearer ey.Jz.x-y", "ey.Jz"),
    ("{'password': 'hunter2'}", "hunter2"),
    ('{"api_key": "hunter2", "step": "poll"}', "hunter2"),
    ("provider_appcode=hunter2, x=1", "hunter2"),
    ("webhook_secret: hunter2", "hunter2"),
    ("secret whsec_MfKQ9r8GKYqrTwjU in use", "MfKQ9r8"),
    ("key AKIAABCDEFGHIJKLMNOP refused", "AKIAABCD"),
    ("code 0123456789abcdef0123456789abcdef refused", "0123456789abcdef"),
    ("data:image/png;base64,iVBORw0KGgo=", "iVBOR"),
    ("blob " + "QUJD" * 20, "QUJDQUJD"),
]


@pytest.mark.parametrize(("text", "secret"), HIDDEN)
def test_secret_is_not_shown(text: str, secret: str) -> None:
    """URLs, credentials, keys and encoded data are replaced."""
    assert secret in text
    assert secret not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "{'job_id': 'job_01JDXQ3P8RZ7M4V0K2T9WBNC5E', 'sku': 'LAMP-042-oak', 'step': 'poll'}",
        "job_01JDXQ3P8RZ7M4V0K2T9WBNC5E:finalize-1",
        "ConnectionError('Connection refused by state:6379')",
        "TypeError: submit() got an unexpected keyword argument 'job_ids'",
    ],
)
def test_what_a_person_reads_stays(text: str) -> None:
    """Ids, SKUs, steps and ordinary errors are left as they are."""
    assert redacted(text) == text


def test_rest_of_the_text_stays() -> None:
    """What stands around a URL still says what happened."""
    assert redacted(f"404 for {SIGNED} on try 3") == "404 for [URL] on try 3"


@pytest.mark.parametrize("word", ["secret-", "a", "x://y ", "APPCODE ", "0"])
def test_long_text_is_cut_in_little_time(word: str) -> None:
    """A traceback of a megabyte costs neither the browser nor the server its patience."""
    started = time.process_time()
    assert len(redacted(word * (1_000_000 // len(word)))) <= LENGTH_MAX_CHARACTERS
    assert time.process_time() - started < 1


def test_cut_leaves_no_half_of_a_secret() -> None:
    """A secret that the cut goes through is dropped whole."""
    filler = "word " * (LENGTH_MAX_CHARACTERS // 5 - 2)
    assert "AKIA" not in redacted(f"{filler}AKIAABCDEFGHIJKLMNOP is the key")


def received_task() -> Any:
    state: Any = State()
    common = {"hostname": "worker@host", "timestamp": 1.0, "local_received": 1.0, "utcoffset": 0, "pid": 1, "clock": 1}
    started = {"uuid": "job_1:poll-001", "name": "sceneshift.poll", "args": f"('{SIGNED}',)", "kwargs": "{'sku': 'A'}"}
    state.event({"type": "task-received", **common, **started})
    failed = {"uuid": "job_1:poll-001", "exception": f"IOError('{SIGNED}')", "traceback": f"  get({SIGNED})"}
    state.event({"type": "task-failed", **common, **failed})
    return state.tasks["job_1:poll-001"]


def test_every_text_of_a_celery_task_is_redacted() -> None:
    """A real task of Celery's event state shows no URL in any of its fields, and keeps its search text."""
    task = received_task()
    shown = redacted_task(copy.copy(task)).as_dict()
    assert "bucket.example" not in repr(shown)
    assert shown["kwargs"] == "{'sku': 'A'}"
    assert shown["args"] == "('[URL]',)"
    assert shown["exception"] == "IOError('[URL]')"
    assert SIGNED in task.args
