"""The page of guarantees names tests that exist, and every fault of the list."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text("utf-8")
COUNTS = {"ENQ": 6, "BRK": 18, "SUB": 15, "POL": 10, "DL": 8, "ST": 8, "WH": 13}
"""The faults of each kind that there are, by the highest number."""
NOT_YET = {"ENQ5", "WH12"}
"""What the page says of as not proved yet."""


def test_every_named_test_exists() -> None:
    """A proof that was renamed or removed is no proof."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 80
    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(path)]
    assert missing == []


def test_every_fault_has_its_line() -> None:
    """Each kind of fault that applies is on the page, by its id."""
    rows = re.findall(r"^\| ([A-Z0-9, ]+) \|", PAGE, re.MULTILINE)
    listed = {fault for row in rows for fault in row.split(", ")}
    every = {f"{kind}{number}" for kind, most in COUNTS.items() for number in range(1, most + 1)}
    assert every - listed - NOT_YET == set()


def functions_of(path: str) -> set[str]:
    """The functions of a file, by name."""
    file = ROOT / path
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
