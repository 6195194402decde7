"""The ledger as bytes, made beside the calls that go on.

Writing out many thousand submissions takes a while. It happens in a thread, and in pieces: the JSON encoder lets no
other thread run while it is at work on one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import anyio

from sceneshift.simulator.ledger import Ledger, fields_of

_SLICE_ENTRIES: Final = 250
Entry = TypeVar("Entry")


class LedgerDocument:
    """Written anew for each who asks, one at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._limiter = anyio.CapacityLimiter(1)

    async def as_bytes(self) -> bytes:
        """JSON of the ledger as it was when somebody asked."""
        return await anyio.to_thread.run_sync(_written, self._ledger.as_of_now(), limiter=self._limiter)


def _written(ledger: Ledger) -> bytes:
    return b"".join(_pieces(ledger))


def _pieces(ledger: Ledger) -> Iterator[bytes]:
    yield _encoded(ledger.totals())[:-1] + b',"submits":['
    yield from _joined([fields_of(entry) for entry in some] for some in _slices(ledger.submits))
    yield b'],"nonces":{'
    yield from _joined({nonce: fields_of(each) for nonce, each in some} for some in _slices(ledger.by_nonce().items()))
    yield b'},"keys":{'
    yield from _joined({key: fields_of(each) for key, each in some} for some in _slices(ledger.by_key().items()))
    yield b"}}"


def _slices(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while some := list(islice(rest, _SLICE_ENTRIES)):
        yield some


def _joined(values: Iterable[Any]) -> Iterator[bytes]:
    """The JSON of lists or objects as if they were one, without its brackets."""
    for number, value in enumerate(values):
        yield (b"," if number else b"") + _encoded(value)[1:-1]


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
