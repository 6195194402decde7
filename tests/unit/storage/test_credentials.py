"""Links live no longer than the credentials that sign them, and nothing promises otherwise."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from storage.opening import fetchable_url, open_store
from storage.s3 import _make_client
from storage.source_links import SourceLinkTooShortError, source_link_seconds

S3_URL = "s3://results?endpoint_url=http://127.0.0.1:9&region=eu-central-1"


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of the machine that runs the tests; those of the test come from a program, as roles' do."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    _make_client.cache_clear()


def temporary(tmp_path: Path, end: float) -> None:
    """boto3's ordinary chain finds credentials that end then."""
    answer = {
        "Version": 1,
        "AccessKeyId": "tests",
        "SecretAccessKey": "only-for-tests",
        "SessionToken": "a-session",
        "Expiration": datetime.fromtimestamp(end, UTC).isoformat(),
    }
    (tmp_path / "credentials.json").write_text(json.dumps(answer))
    program = tmp_path / "credentials.py"
    program.write_text(f"print(open({str(tmp_path / 'credentials.json')!r}).read())")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")


def signed(now: float, *, expected_seconds: float = 0.0) -> str:
    return fetchable_url(
        "s3://photos/a.jpg",
        storage_url=S3_URL,
        lifetime_seconds=86_400,
        expected_seconds=expected_seconds,
        clock=ManualClock(now),
    )


def test_a_source_s_link_outlasts_queue_and_rendering() -> None:
    """It works for as long as the provider may render the job, and a bit; S3 allows a week."""
    assert source_link_seconds(86_400.0) == 87_300.0
    assert source_link_seconds(30 * 86_400.0) == 604_800.0


def test_a_link_of_temporary_credentials_ends_with_them(tmp_path: Path) -> None:
    """`expires_at` is the earlier of both ends."""
    end = float(int(time.time()) + 3600)
    temporary(tmp_path, end)
    store = open_store(S3_URL)
    assert store.link("a.png", lifetime_seconds=86_400).expires_at == end
    assert (store.link("a.png", lifetime_seconds=600).expires_at or 0) < end


def test_a_source_is_not_signed_by_credentials_that_are_about_to_end(tmp_path: Path) -> None:
    """Nothing is sent: the job waits, says why, and costs nothing."""
    now = time.time()
    temporary(tmp_path, now + 7200)
    assert "X-Amz-Signature" in signed(now)
    with pytest.raises(SourceLinkTooShortError) as caught:
        signed(now + 7200 - 899)
    assert caught.value.retryable
    assert "899 s" in caught.value.message


def test_a_link_that_may_be_too_short_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is signed, for most jobs are quicker than their deadline; how long it works stands in the log."""
    now = time.time()
    temporary(tmp_path, now + 1700)
    with caplog.at_level(logging.WARNING):
        signed(now, expected_seconds=1600.0)
        assert caplog.records == []
        signed(now, expected_seconds=1800.0)
    assert [record.message for record in caplog.records] == ["source.link_short"]


def test_lasting_credentials_set_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an access key of one's own a link lives for as long as it was asked to."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-tests")
    assert "X-Amz-Expires=86400" in signed(time.time() + 10 * 86_400, expected_seconds=1e9)
