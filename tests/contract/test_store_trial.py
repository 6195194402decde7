"""The doctor's trial of a store against real servers: it passes where results would, and says what is missing."""

from __future__ import annotations

from storage.objects import ObjectStore
from storage.trial import try_store


def test_a_good_store_passes(object_store: ObjectStore) -> None:
    """Every call succeeds, nothing is left, and a plain client has fetched the object by its link."""
    fetch = {"fetch": lambda _url: object_store.get(next(iter(object_store.list(""))))}
    trial = try_store(object_store, lifetime_seconds=3600, **(fetch if "memory" in object_store.uri("x") else {}))
    assert (trial.failed, trial.link) == (None, None)
    assert list(object_store.list("")) == []


def test_the_weak_one_is_told_from_the_strong(weak_store: ObjectStore) -> None:
    """It passes, and neither condition nor checksum is heeded."""
    trial = try_store(weak_store, lifetime_seconds=3600)
    assert trial.capabilities is not None
    assert (trial.capabilities.conditional_writes, trial.capabilities.checksums) == (False, False)
