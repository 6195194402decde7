"""The configuration refuses what cannot be meant, by the name of the setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.simulator import SimulatorConfig

BAD: list[tuple[str, Any]] = [
    *(("credits", value) for value in ("5", 1.5, True, -1, b"5")),
    *(("max_running", value) for value in ("5", 2.0, False, -1)),
    *(("seed", value) for value in ("x", 1.5, None, True)),
    *(("scenarios", value) for value in ("submit-500", ["submit-500", 5], None, 5, {"submit-500": 1})),
    *(("catalogue", value) for value in ("/nowhere/at/all", 5, __file__, "", "\0")),
    *(("appcode", value) for value in ("", " x", "ü", None, 5)),
    *(("median_seconds", value) for value in ("8", None, True, -1, float("nan"), float("inf"), 10**400)),
    *(("retention_seconds", value) for value in ("8", None, -0.1)),
    *(("result_lifetime_seconds", value) for value in ("8", None, -0.1)),
    *(("retry_after_seconds", value) for value in ("8", float("nan"), -1)),
    *(("failure_rate", value) for value in ("0.5", None, 1.1, -0.1, float("nan"), True)),
    *(("submit_rate", value) for value in ("2", 0, -1, float("inf"), True)),
    *(("query_rate", value) for value in ("2", 0, float("nan"))),
    *((name, value) for name in ("reading", "gateway", "nonces", "mask_keeps", "throttled_by", "quality")
      for value in ("other", None, 5, ["A"])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: str(value)[:20])
def test_wrong_value_is_refused_by_name(name: str, value: Any) -> None:
    """A wrong type is as wrong as a value out of range; the sentence begins with the setting."""
    with pytest.raises(ConfigurationError, match=f"^{name}: .* is not "):
        SimulatorConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("credits", 0), ("seed", -(2**70)), ("median_seconds", 0), ("failure_rate", 1), ("submit_rate", 0.001),
     ("retry_after_seconds", None), ("credits", None)],
)  # fmt: skip
def test_values_at_the_limits_are_taken(name: str, value: Any) -> None:
    """Whole numbers pass where seconds are wanted, and None where there may be no limit."""
    assert getattr(SimulatorConfig(**{name: value}), name) == value


def test_catalogue_may_be_a_text(tmp_path: Path) -> None:
    """It is a path from then on."""
    assert SimulatorConfig(catalogue=str(tmp_path)) == SimulatorConfig(catalogue=tmp_path)
    assert isinstance(SimulatorConfig(catalogue=str(tmp_path)).catalogue, Path)


def test_rules_may_be_a_list() -> None:
    """They are a tuple from then on, so that nobody can change them."""
    rules: Any = ["query-500"]
    assert SimulatorConfig(scenarios=rules).scenarios == ("query-500",)
