"""What counted answers prove about the two readings of the provider's codes."""

from __future__ import annotations

import itertools

import pytest

from sceneshift.provider.documented import ROWS, reading_of
from sceneshift.provider.protocol import Endpoint, NotedAnswer
from tests.provider_document import ERRORS, TABLE, ErrorRow, Reading

TELLING = [row for row in ERRORS if row.code_a != row.code_b]


def answer(row: ErrorRow, code: int | str, **changes: object) -> NotedAnswer:
    values = {
        "endpoint": Endpoint.QUERY,
        "http_status": row.http_status,
        "code": str(code),
        "message": row.message,
        **changes,
    }
    return NotedAnswer(**values)  # type: ignore[arg-type]  # a test's changes


def test_the_rows_are_the_document_s() -> None:
    """Status, message and both codes of all fifteen, in the document's order."""
    assert [(row.http_status, row.message, row.code_b, row.code_a) for row in ROWS] == [
        (row.http_status, row.message, str(row.code_b), str(row.code_a)) for row in TABLE
    ]


@pytest.mark.parametrize("row", TELLING, ids=lambda row: row.message.replace(" ", "-"))
@pytest.mark.parametrize("reading", ["A", "B"])
def test_one_error_settles_the_reading(row: ErrorRow, reading: Reading) -> None:
    """The first live error whose code differs between the readings decides, however its letters are written."""
    for message in (row.message, row.message.upper(), f" {row.message}. "):
        assert reading_of([answer(row, row.code(reading), message=message)]) == reading


def test_what_proves_nothing_decides_nothing() -> None:
    """Rows that both readings share, other codes, other statuses, other messages and no answers at all."""
    row = TELLING[0]
    shared = [answer(each, each.code_b) for each in ERRORS if each.code_a == each.code_b]
    assert len(shared) == 4
    assert reading_of(shared) == "undecided"
    assert reading_of([]) == "undecided"
    assert reading_of([answer(row, 23500099)]) == "undecided"
    assert reading_of([answer(row, "")]) == "undecided"
    assert reading_of([answer(row, row.code_a, http_status=418)]) == "undecided"
    assert reading_of([answer(row, row.code_a, message="something new")]) == "undecided"
    assert reading_of([answer(row, row.code_a, message="")]) == "undecided"


def test_proofs_of_both_readings_are_a_contradiction() -> None:
    """Whatever the order, and whatever else was counted."""
    first, second = TELLING[:2]
    proofs = [answer(first, first.code_a), answer(second, second.code_b), answer(first, 1)]
    assert {reading_of(order) for order in itertools.permutations(proofs)} == {"contradictory"}


def test_a_success_with_an_error_s_code_proves_reading_a() -> None:
    """The table's first row differs too: 0 in reading B, 23500000 in reading A."""
    assert reading_of([answer(TABLE[0], 23500000)]) == "A"
