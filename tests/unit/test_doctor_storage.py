"""The doctor's look at the storage: what cannot be stored, read, found or fetched is found before a job pays for it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from sceneshift.cli.doctor_storage import storage_findings
from sceneshift.cli.findings import exit_code_of
from sceneshift.settings import Settings
from storage.capabilities import Capabilities
from storage.objects import Link, StorageRefusedError, StorageUnavailableError
from storage.trial import BODY, Trial, try_store
from tests.unit.doctoring import Doctor, consulting
from tests.unit.storage.memory_store import MemoryStore
from workers.embedded.processes import free_port


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Doctor]:
    monkeypatch.setenv("SCENESHIFT_SPOOL_DIRECTORY", f"{tmp_path}/spool")
    monkeypatch.setenv("SCENESHIFT_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_URL", "https://provider.example/api")
    monkeypatch.setenv("SCENESHIFT_PROVIDER_APPCODE", "canary-appcode-0123456789")
    yield from consulting(monkeypatch, capsys)


def tried(store: MemoryStore, **trial: Any) -> Trial:
    return try_store(store, lifetime_seconds=3600, fetch=trial.pop("fetch", lambda _url: BODY))


def pretend(monkeypatch: pytest.MonkeyPatch, trial: Trial) -> None:
    """The service has a store of which this trial is the outcome."""
    for name in ("storage.trial", "storage.opening"):
        monkeypatch.setitem(sys.modules, name, cast("ModuleType", _Service(trial)))


def found(monkeypatch: pytest.MonkeyPatch, trial: Trial, **settings: Any) -> dict[str, str]:
    """Each finding's level, by what it is about."""
    pretend(monkeypatch, trial)
    return {each.what: each.level for each in storage_findings(Settings(**settings))}


class _Service:
    """The service's modules, with a store that behaves as the test says."""

    def __init__(self, trial: Trial) -> None:
        self.try_store = lambda _store, **_about: trial
        self.open_store = lambda _url: None


def test_a_directory_is_tried(doctor: Doctor, tmp_path: Path) -> None:
    """The object goes through the real store, and nothing is left of it."""
    said = doctor(STORAGE_URL=f"file://{tmp_path}/results")
    for what in ("stored object", "links", "write conditions", "write checksums"):
        assert said.line(what).startswith("ok ")
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == []


def test_a_server_that_is_away_is_unreachable(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that failed is named, with the exit code of something unreachable, also in JSON."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda _self, _context: 0.0)
    url = f"s3://shots/{tmp_path.name}?endpoint_url=http://127.0.0.1:{free_port()}&region=eu-1"
    said = doctor("--json", STORAGE_URL=url)
    assert said.code == 5
    (check,) = [each for each in json.loads(said.out)["checks"] if each["what"] == "stored object"]
    assert check["level"] == "fail"
    assert "cannot ask one" in check["finding"]


@pytest.mark.parametrize("operation", ["put", "head", "get", "list", "delete"])
def test_the_call_that_fails_is_named(operation: str) -> None:
    """Whichever it is, and what was put is removed, as far as that works."""
    store = MemoryStore()

    def fail(what: str, _key: str) -> None:
        if what != operation or "failed" in done:
            return
        done.append("failed")
        raise StorageRefusedError("no")

    done: list[str] = []
    store.before = fail
    trial = tried(store)
    assert trial.failed is not None
    assert trial.failed[0] == {"head": "read", "get": "read"}.get(operation, operation)
    assert store.objects == {}


def test_a_store_that_forgets_or_changes_is_found() -> None:
    """What is not read, listed or deleted as it should be is a failure, though every call succeeds."""
    for operation, harm in (
        ("get", lambda store, key: store.objects.update({key: (b"other", store.objects[key][1])})),
        ("list", lambda store, _key: store.objects.clear()),
    ):
        store = MemoryStore()
        store.before = lambda what, key, operation=operation, harm=harm, store=store: (  # type: ignore[misc]
            harm(store, key) if what == operation else None
        )
        failed = tried(store).failed
        assert failed is not None
        assert failed[0] == {"get": "read"}.get(operation, operation)


@pytest.mark.parametrize("body", [b"<html>log in</html>", b""])
def test_a_link_that_leads_elsewhere_is_a_failure(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """A page of something in between is not the object."""
    assert found(monkeypatch, tried(MemoryStore(), fetch=lambda _url: body))["links"] == "fail"


def test_a_link_that_leads_nowhere_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else will reach the address either."""

    def nowhere(_url: str) -> bytes:
        raise ConnectionRefusedError

    trial = tried(MemoryStore(), fetch=nowhere)
    assert trial.link == "ConnectionRefusedError"
    assert found(monkeypatch, trial)["links"] == "fail"


def test_links_of_temporary_credentials_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Webhooks promise links that live for a day; these do not."""
    store = MemoryStore()
    monkeypatch.setattr(store, "link", lambda _key, **_about: Link(url="x:", expires_at=time.time() + 3000))
    assert found(monkeypatch, tried(store))["links"] == "warn"
    assert found(monkeypatch, tried(store), url_lifetime_seconds=3600.0)["links"] == "warn"
    monkeypatch.setattr(store, "link", lambda _key, **_about: Link(url="x:", expires_at=time.time() + 3600))
    assert found(monkeypatch, tried(store), url_lifetime_seconds=3600.0)["links"] == "ok"


def test_what_a_server_ignores_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, with less of a promise; where the intent log needs the condition, it does not."""
    weak = Trial(capabilities=Capabilities(conditional_writes=False, checksums=False))
    levels = found(monkeypatch, weak)
    assert (levels["write conditions"], levels["write checksums"]) == ("warn", "warn")
    assert found(monkeypatch, weak, intent_log="storage")["write conditions"] == "fail"


@pytest.mark.parametrize(
    ("error", "exit_code"), [(StorageUnavailableError("slow"), 5), (StorageRefusedError("403"), 4)]
)
def test_the_exit_code_tells_who_can_mend_it(
    monkeypatch: pytest.MonkeyPatch, error: StorageUnavailableError | StorageRefusedError, exit_code: int
) -> None:
    """What is away is told from what is refused."""
    trial = Trial(failed=("put", error))
    pretend(monkeypatch, trial)
    assert exit_code_of(storage_findings(Settings())) == exit_code
