"""The compose file as the engine reads it when no variable is set, for the tests beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
PATH = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")
URL_HOST = re.compile(r"\w+://(?:[^@/\s]*@)?(?P<host>[a-z][a-z-]+)(?::\d+)?")
SECRETS_DIRECTORY = "/run/secrets/"


def compose() -> dict[str, Any]:
    """The parsed file, with every `${NAME:-default}` replaced by its default."""
    text = VARIABLE.sub(lambda match: match["default"], PATH.read_text(encoding="utf-8"))
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def is_one_shot(service: dict[str, Any]) -> bool:
    return bool(service["restart"] == "no")


def is_ours(service: dict[str, Any]) -> bool:
    return "build" in service


def environment(service: dict[str, Any], secrets: Path | None = None) -> dict[str, str]:
    """The variables of a service; with `secrets`, paths of mounted secrets point into that directory."""
    values = {name: str(value) for name, value in service.get("environment", {}).items()}
    if secrets is None:
        return values
    return {name: value.replace(SECRETS_DIRECTORY, f"{secrets}/") for name, value in values.items()}


def command(service: dict[str, Any], secrets: Path | None = None) -> list[str]:
    words = service["command"]
    words = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
    return words if secrets is None else [word.replace(SECRETS_DIRECTORY, f"{secrets}/") for word in words]
