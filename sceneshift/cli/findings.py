"""What a check of the doctor found: a level, what was looked at, what it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sceneshift.cli import EXIT_FAILED, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE

_GRAVEST_FIRST = (EXIT_USAGE, EXIT_UNREACHABLE, EXIT_REFUSED, EXIT_FAILED)


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report. `exit_code` is that of the command when this is the gravest failure."""

    level: Level
    what: str
    finding: str
    remedy: str = ""
    exit_code: int = 0


def fine(what: str, finding: str) -> Finding:
    """All is as it should be."""
    return Finding(level=Level.OK, what=what, finding=finding)


def warning(what: str, finding: str, remedy: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(level=Level.WARN, what=what, finding=finding, remedy=remedy)


def failure(what: str, finding: str, remedy: str, exit_code: int = EXIT_FAILED) -> Finding:
    """It does not work, or not safely."""
    return Finding(level=Level.FAIL, what=what, finding=finding, remedy=remedy, exit_code=exit_code)


def exit_code_of(findings: Sequence[Finding]) -> int:
    """0 without a failure; otherwise wrong settings come first, then what is away, what is refused, and the rest."""
    codes = {finding.exit_code for finding in findings if finding.level is Level.FAIL}
    return next((code for code in _GRAVEST_FIRST if code in codes), 0)
