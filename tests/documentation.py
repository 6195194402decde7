"""Pages of the documentation that are made from the code. `python -m tests.documentation` writes them anew."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from sceneshift.settings import PREFIX, Settings
from tests.unit.simulator.scenario_tables import PAGE, with_tables

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"


def settings_page() -> str:
    """docs/reference/settings.md."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Every setting is an environment variable. Each may also be given as `…_FILE`, the path of a file that",
            "holds the value. An unknown `SCENESHIFT_*` variable is an error that names the nearest known one.",
            "Times are in seconds.",
            "",
            "This page is generated from `sceneshift/settings.py` by `python3 run.py docs`.",
            "",
            "| variable | default | what it does |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _default(value: object) -> str:
    if value in (None, (), PydanticUndefined):
        return "-"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return f"`{value}`"


if __name__ == "__main__":
    (REFERENCE / "settings.md").write_text(settings_page(), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
