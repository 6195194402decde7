"""Every call that reached the provider, so that a test can count what was paid for without asking the client."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitEntry:
    """One submit call, accepted or refused.

    Attributes:
        time: unix seconds on the simulator's clock.
        charged: accepted items; 0 for a refusal.
        error_code: the gateway's or the provider's, for a refusal.
        image: the first item's, as are `mask` and `positive_prompt`; None when the body could not be read.
    """

    time: float
    nonce: str | None
    accepted: bool
    http_status: int
    error_code: str | None
    result_key: str | None
    charged: int
    image: str | None
    mask: str | None
    positive_prompt: str | None


class Ledger:
    """Grows with every submit call, on purpose: it is the account that others are checked against."""

    def __init__(self) -> None:
        self._submits: list[SubmitEntry] = []
        self._queries = 0

    def record_submit(self, entry: SubmitEntry) -> None:
        self._submits.append(entry)

    def record_query(self) -> None:
        self._queries += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "submits": [asdict(entry) for entry in self._submits],
            "charged": sum(entry.charged for entry in self._submits),
            "accepted": sum(entry.accepted for entry in self._submits),
            "queries": self._queries,
        }
