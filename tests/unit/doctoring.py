"""Running `sceneshift doctor` in a test, with nothing secret in what it prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from sceneshift.cli import main
from sceneshift.settings import PREFIX, current_settings

APPCODE = "canary-appcode-0123456789"
SECRETS = (APPCODE, "hunter2", "canary-token", "d2hzZWNfY2FuYXJ5")


class Said(NamedTuple):
    code: int
    out: str
    error: str

    def __contains__(self, text: object) -> bool:
        return str(text) in self.out

    def line(self, what: str) -> str:
        """The one line about this."""
        (line,) = [line for line in self.out.splitlines() if line[6:].startswith(f"{what:<16}  ")]
        return line


Doctor = Callable[..., Said]


def consulting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Doctor]:
    """Runs the command with these settings and nothing else; nothing that it prints may hold a secret."""

    def run(*options: str, **settings: str) -> Said:
        for name, value in settings.items():
            monkeypatch.setenv(PREFIX + name, value)
        current_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["sceneshift", "doctor", *options])
        said = Said(main(), *capsys.readouterr())
        assert not any(secret in said.out + said.error for secret in SECRETS)
        return said

    yield run
    current_settings.cache_clear()
