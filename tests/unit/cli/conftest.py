"""The command line in this process, on a job store of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

import sceneshift.client
from sceneshift.cli import main
from sceneshift.client import Client
from sceneshift.clock import ManualClock
from sceneshift.jobs.record import JobRecord
from sceneshift.settings import Settings
from sceneshift.store.opening import Store
from tests.unit.store.inspection import place
from tests.unit.tasks.workshop import Workshop
from tests.unit.workers.recording_publisher import RecordingPublisher


@pytest.fixture
def publisher() -> RecordingPublisher:
    """A broker that takes everything."""
    return RecordingPublisher()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
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


@pytest.fixture
def work(
    jobs: object, store: Store, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch  # noqa: ARG001  # it lets the commands use the store
) -> Workshop:  # fmt: skip
    """Real tasks between fake ports, on the job store that the commands use."""
    monkeypatch.setattr("tasks.services._services", None)
    return Workshop(store, settings, clock)
