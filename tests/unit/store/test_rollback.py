"""What counts as a loss: less than was known, and nothing that a healthy server shows too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sceneshift.store.rollback import Replication, Sight, loss

TODAY = 20_780
WITNESS = f"{TODAY}-a"
ONE = Replication(id="one", offset=1000, earlier_id="0" * 40, earlier_offset=-2)
SEEN = Sight(generation="g", counts={WITNESS: 3, f"{TODAY - 1}-b": 5}, replication=ONE)
PROMOTED = Replication(id="two", offset=1400, earlier_id="one", earlier_offset=1000)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (replace(SEEN, generation=""), "everything"),
        (replace(SEEN, generation="other"), "another one"),
        (replace(SEEN, counts={WITNESS: 2, f"{TODAY - 1}-b": 5}), "at least 1 submissions"),
        (replace(SEEN, counts={f"{TODAY - 1}-b": 1}), "at least 7 submissions"),
        (replace(SEEN, replication=replace(ONE, offset=999)), "gone back"),
        (replace(SEEN, replication=replace(PROMOTED, earlier_offset=999)), "lacked the last 1 bytes"),
    ],
)
def test_a_loss_is_named(found: Sight, word: str) -> None:
    """Identity, intents, offset and promotion each tell by themselves."""
    assert word in loss(SEEN, found, today=TODAY)


@pytest.mark.parametrize(
    "found",
    [
        SEEN,
        replace(SEEN, counts={**SEEN.counts, WITNESS: 4, f"{TODAY}-c": 1}),
        replace(SEEN, replication=replace(ONE, offset=5000)),
        replace(SEEN, replication=None),
        # A restart from the append-only file, or a first replica: a new stream that continues none.
        replace(SEEN, replication=Replication(id="two", offset=0, earlier_id="0" * 40, earlier_offset=-2)),
        # A replica that had everything was promoted.
        replace(SEEN, replication=PROMOTED),
        replace(SEEN, replication=replace(PROMOTED, earlier_offset=1200)),
        # Two promotions between two looks: nothing can be said.
        replace(SEEN, replication=replace(PROMOTED, earlier_id="three", earlier_offset=10)),
    ],
)
def test_a_healthy_server_has_lost_nothing(found: Sight) -> None:
    """More than was known, nothing about replication, restarts and failovers without loss are no alarm."""
    assert loss(SEEN, found, today=TODAY) == ""


def test_a_witness_of_the_day_before_yesterday_is_not_missed() -> None:
    """Its count is removed one day, and no longer compared then."""
    seen = Sight(generation="g", counts={f"{TODAY - 2}-a": 9, "odd": 4})
    assert loss(seen, Sight(generation="g"), today=TODAY) == ""


@pytest.mark.parametrize(
    "information",
    [
        {},
        {
            "role": "slave",
            "master_replid": "a",
            "master_repl_offset": 1,
            "master_replid2": "b",
            "second_repl_offset": 1,
        },
        {
            "role": "master",
            "master_replid": "a",
            "master_repl_offset": "?",
            "master_replid2": "",
            "second_repl_offset": 1,
        },
    ],
)
def test_only_a_primary_that_says_all_counts(information: dict[str, object]) -> None:
    """A replica's place is its own affair, and a server that says little is judged by the rest."""
    assert Replication.from_info(information) is None
