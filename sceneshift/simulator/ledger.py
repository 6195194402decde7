"""What was submitted, charged, asked and fetched, so that a test can audit a client without asking it.

Submissions are kept one by one; questions and downloads, of which there are many, as counts per key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sceneshift.simulator.journal import shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitEntry:
    """One submit call, accepted or refused.

    Attributes:
        time: unix seconds on the simulator's clock.
        nonce: as it was sent.
        accepted: it was taken, whatever its caller was told.
        http_status: what its caller was told; 0 when it got no status.
        error_code: what its caller was told, for an error: a code, or the text of a gateway that has no codes.
        result_key: what it is known by, if it was accepted.
        charged: accepted items; 0 for a refusal.
        image: the first item's, as are `mask` and `positive_prompt`, of a refused call as well; None where the body
            could not be read.
        scenario: which one it met, if any.
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
    scenario: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NonceAccount:
    """All submissions with one nonce."""

    submits: int
    accepted: int
    charged: int
    result_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAccount:
    """What happened to one `result_key`. Keys that were never given out have a nonce of None and no charge."""

    nonce: str | None
    charged: int
    queries: int
    downloads: int


class Ledger:
    """Grows with every submit call, on purpose: it is the account that others are checked against."""

    def __init__(self) -> None:
        self.submits: list[SubmitEntry] = []
        self._queries: Counter[str] = Counter()
        self._downloads: Counter[str] = Counter()
        self._unreadable_queries = 0
        self._charged = 0
        self._accepted = 0

    def record_submit(self, entry: SubmitEntry) -> None:
        self.submits.append(entry)
        self._charged += entry.charged
        self._accepted += entry.accepted

    def record_query(self, key: str | None) -> None:
        """A question about this key; None when the call did not get so far as to name one."""
        if key is None:
            self._unreadable_queries += 1
        else:
            self._queries[shortened(key)] += 1

    def record_download(self, key: str) -> None:
        """A request for one image of this key, whatever it was answered."""
        self._downloads[shortened(key)] += 1

    @property
    def charged(self) -> int:
        """Items that somebody has to pay for."""
        return self._charged

    @property
    def accepted(self) -> int:
        """Calls that were taken."""
        return self._accepted

    @property
    def queries(self) -> int:
        return self._queries.total() + self._unreadable_queries

    @property
    def downloads(self) -> int:
        return self._downloads.total()

    def by_nonce(self) -> dict[str, NonceAccount]:
        """One account per nonce, in order of first use."""
        entries: dict[str, list[SubmitEntry]] = {}
        for entry in self.submits:
            if entry.nonce:
                entries.setdefault(entry.nonce, []).append(entry)
        return {nonce: _nonce_account(each) for nonce, each in entries.items()}

    def by_key(self) -> dict[str, KeyAccount]:
        """One account per key that was given out or asked about."""
        accepted = {entry.result_key: entry for entry in self.submits if entry.result_key}
        # Copies, for another thread may count on meanwhile.
        queries, downloads = self._queries.copy(), self._downloads.copy()
        keys = dict.fromkeys((*accepted, *queries, *downloads))
        return {
            key: KeyAccount(
                nonce=accepted[key].nonce if key in accepted else None,
                charged=accepted[key].charged if key in accepted else 0,
                queries=queries[key],
                downloads=downloads[key],
            )
            for key in keys
        }

    def totals(self) -> dict[str, int]:
        """The sums alone."""
        return {
            "charged": self.charged,
            "accepted": self.accepted,
            "queries": self.queries,
            "downloads": self.downloads,
        }

    def as_of_now(self) -> Ledger:
        """A ledger that no longer grows, for a thread that reads it while calls go on."""
        copy = Ledger()
        copy.submits = self.submits.copy()
        copy._queries, copy._downloads = self._queries.copy(), self._downloads.copy()
        copy._unreadable_queries = self._unreadable_queries
        copy._charged, copy._accepted = self._charged, self._accepted
        return copy

    def as_json(self) -> dict[str, Any]:
        return {
            **self.totals(),
            "submits": [fields_of(entry) for entry in self.submits],
            "nonces": {nonce: fields_of(account) for nonce, account in self.by_nonce().items()},
            "keys": {key: fields_of(account) for key, account in self.by_key().items()},
        }


def fields_of(record: SubmitEntry | NonceAccount | KeyAccount) -> dict[str, Any]:
    """By name. `dataclasses.asdict` copies every value, which takes many times as long."""
    return {name: getattr(record, name) for name in record.__slots__}


def _nonce_account(entries: Iterable[SubmitEntry]) -> NonceAccount:
    listed = list(entries)
    return NonceAccount(
        submits=len(listed),
        accepted=sum(entry.accepted for entry in listed),
        charged=sum(entry.charged for entry in listed),
        result_keys=tuple(entry.result_key for entry in listed if entry.result_key),
    )
