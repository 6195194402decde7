"""The rows of the provider's table of errors, with the codes of both readings, and what live answers prove of them.

The table's column of codes lost one of its 15 cells. Either it was the 0 of the first row (reading B, the likelier
one), or a 23500010 further down, which moves the codes of ten rows by one (reading A).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sceneshift.provider.protocol import ErrorKind, NotedAnswer

Reading = Literal["A", "B", "undecided", "contradictory"]


@dataclass(frozen=True, slots=True)
class DocumentedRow:
    """One row: status and message are certain, and the code is `code_b` or `code_a`. `kind` is None for success."""

    http_status: int
    message: str
    code_b: str
    code_a: str
    kind: ErrorKind | None


ROWS: Final = (
    DocumentedRow(200, "success", "0", "23500000", None),
    DocumentedRow(500, "Internal server error", "23500000", "23500001", ErrorKind.TRANSIENT),
    DocumentedRow(
        401, "Authorization required to perform current operation", "23500001", "23500002", ErrorKind.UNAUTHORIZED
    ),
    DocumentedRow(404, "Specified service does not exist", "23500002", "23500003", ErrorKind.MISCONFIGURED),
    DocumentedRow(403, "User credit points are exhausted", "23500003", "23500004", ErrorKind.CREDITS_EXHAUSTED),
    DocumentedRow(403, "Request was denied due to request throttling", "23500004", "23500005", ErrorKind.THROTTLED),
    DocumentedRow(
        403, "The image did not pass the content compliance check", "23500005", "23500006", ErrorKind.CONTENT_REJECTED
    ),
    DocumentedRow(
        400, "The image url provided is invalid or non-accessible", "23500006", "23500007", ErrorKind.SOURCE_UNREACHABLE
    ),
    DocumentedRow(
        400, "The uploaded image does not meet the requirements", "23500007", "23500008", ErrorKind.SOURCE_UNFIT
    ),
    DocumentedRow(
        400,
        "No records found related to the specified resultKey parameter",
        "23500008",
        "23500009",
        ErrorKind.NO_RECORD,
    ),
    DocumentedRow(400, "Required parameters cannot be empty", "23500009", "23500010", ErrorKind.INVALID_INPUT),
    DocumentedRow(500, "Job execution failed", "23500011", "23500011", ErrorKind.EXECUTION_FAILED),
    DocumentedRow(400, "Required request body is missing", "23500012", "23500012", ErrorKind.INVALID_INPUT),
    DocumentedRow(400, "Illegal input parameter found", "23500013", "23500013", ErrorKind.INVALID_INPUT),
    DocumentedRow(400, "Illegal service name", "23500014", "23500014", ErrorKind.MISCONFIGURED),
)

SUCCESS_CODES: Final = frozenset({ROWS[0].code_b, ROWS[0].code_a})
ITEM_STATUSES: Final = frozenset({"WAITING", "RUNNING", "SUCCESS", "FAILED"})


def kinds_of_code(http_status: int, code: str) -> tuple[ErrorKind, ...]:
    """What this code beside this status may mean: reading B's meaning first, then reading A's when it differs."""
    rows = [row for row in ROWS if row.http_status == http_status]
    by_b = [row.kind for row in rows if row.kind and row.code_b == code]
    by_a = [row.kind for row in rows if row.kind and row.code_a == code]
    return tuple(dict.fromkeys(by_b + by_a))


def reading_of(answers: Iterable[NotedAnswer]) -> Reading:
    """The reading that these answers prove.

    An answer proves one when its status and message are those of a row and its code is that reading's and not the
    other's; answers that prove both are contradictory.
    """
    proven: set[Reading] = set()
    for answer in answers:
        for row in ROWS:
            if row.code_a == row.code_b or not _is_of_row(answer, row):
                continue
            if answer.code in {row.code_a, row.code_b}:
                proven.add("A" if answer.code == row.code_a else "B")
    if len(proven) > 1:
        return "contradictory"
    return proven.pop() if proven else "undecided"


def _is_of_row(answer: NotedAnswer, row: DocumentedRow) -> bool:
    written = " ".join(answer.message.split()).rstrip(".!").casefold()
    return answer.http_status == row.http_status and written == row.message.casefold()
