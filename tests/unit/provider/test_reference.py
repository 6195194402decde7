"""The reference page and the code's tables are the same tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceneshift.provider.classification import GATEWAY_CODES, MESSAGES, STATUSES, STATUSES_WITH_CODES
from sceneshift.provider.documented import ROWS
from sceneshift.provider.protocol import ErrorKind

PAGE = Path(__file__).parents[3] / "docs/reference/provider.md"


def _tables() -> dict[str, list[str]]:
    return {
        "Gateway codes": [
            f"| `{code}` | `{kind}` | {'refused' if refused else 'unknown'} |"
            for code, (kind, refused) in GATEWAY_CODES.items()
        ],
        "Messages": [f"| {keyword} | `{kind}` |" for keyword, kind in MESSAGES],
        "Status with code": [
            f"| {status} | {code} | `{on_submit}` | `{on_query}` |"
            for (status, code), (on_submit, on_query) in STATUSES_WITH_CODES.items()
        ],
        "The documented errors": [
            f"| {number} | {row.http_status} | {row.message} | {row.code_b} | {row.code_a} | {_class(row.kind)} |"
            for number, row in enumerate(ROWS, start=1)
        ],
        "Status alone": [f"| {status} | `{kind}` |" for status, kind in STATUSES.items()],
    }


def _class(kind: ErrorKind | None) -> str:
    return f"`{kind}`" if kind else "success"


@pytest.mark.parametrize("title", _tables())
def test_page_holds_the_table_of_the_code(title: str) -> None:
    """Each table of the page has the rows of the code, in its order, and no others."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n### {title}\n")[1].split("\n#")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[2:] == _tables()[title]
