"""The directory store beyond the common contract: what is on the disk, when, and what happens when the disk is bad."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from sceneshift.clock import ManualClock
from storage.directory import DirectoryStore
from storage.objects import InvalidObjectError, StorageError, StorageRefusedError, StorageUnavailableError

NAME = "results/a/0.png"


def put(store: DirectoryStore, key: str = NAME, body: bytes = b"body", *, into: io.BytesIO | None = None) -> bool:
    return store.put(
        key,
        into or io.BytesIO(body),
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        content_type="image/png",
        metadata={"sku": "x"},
    )


class FailingBody(io.BytesIO):
    """A body whose reading fails after its first piece, as it does on a full or broken disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__(b"body")
        self.error = error
        self.pieces = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.pieces += 1
        if self.pieces > 1:
            raise self.error
        return super().read(size)


def visible(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_an_object_is_an_ordinary_file_with_a_hidden_one_beside_it(tmp_path: Path) -> None:
    """The file can be opened by any program of the same umask; nothing else is left behind."""
    put(DirectoryStore(tmp_path))
    assert visible(tmp_path) == ["results/a/.0.png.json", "results/a/0.png"]
    current = os.umask(0)
    os.umask(current)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o666 & ~current


def test_a_body_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Body and description are synced, then the name is given and synced: a power cut leaves all or nothing."""
    store, seen = DirectoryStore(tmp_path), []
    put(store, "results/a/9.png")
    sync = os.fsync

    def recorded(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / NAME).exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    put(store)
    assert seen == [(False, False), (False, False), (True, True)]


def test_a_writer_in_the_last_moment_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking whether a name is free and giving it, no other writer gets in: its metadata cannot stay."""
    store, link, others = DirectoryStore(tmp_path), os.link, ThreadPoolExecutor(1)
    outcomes: list[Future[bool]] = []

    def link_after_another(source: Path, target: Path) -> None:
        if not outcomes:
            outcomes.append(others.submit(put, DirectoryStore(tmp_path), NAME, b"another body"))
            wait(outcomes, timeout=0.2)
        link(source, target)

    monkeypatch.setattr(os, "link", link_after_another)
    with others:
        assert put(store)
        assert outcomes[0].result() is False
    info = store.head(NAME)
    assert info is not None
    assert (store.get(NAME), info.sha256) == (b"body", hashlib.sha256(b"body").hexdigest())


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageRefusedError), (errno.EDQUOT, StorageRefusedError), (errno.EIO, StorageUnavailableError)],
)
def test_a_failed_write_leaves_nothing(tmp_path: Path, number: int, kind: type[StorageError]) -> None:
    """A full disk waits for a person and a stumbling one for better times; no part of the body stays."""
    store = DirectoryStore(tmp_path)
    with pytest.raises(kind) as caught:
        put(store, into=FailingBody(OSError(number, "of the test")))
    assert caught.value.retryable
    assert visible(tmp_path) == []
    assert put(store)


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    """Opening the store removes bodies that have been on their way for a day, and no younger ones."""
    DirectoryStore(tmp_path)
    clock = ManualClock()
    for name, age_seconds in (("old", 86_401.0), ("young", 86_399.0)):
        part = tmp_path / ".incoming" / name
        part.write_bytes(b"half")
        os.utime(part, (clock.now() - age_seconds,) * 2)
    DirectoryStore(tmp_path, clock=clock)
    assert visible(tmp_path) == [".incoming/young"]


def test_a_symbolic_link_does_not_lead_out(tmp_path: Path) -> None:
    """Where a link under the root points elsewhere, nothing is read, listed or written there."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"secret")
    store = DirectoryStore(root)
    (root / "results").symlink_to(outside)
    for call in (
        lambda: store.get("results/secret.png"),
        lambda: store.head("results/secret.png"),
        lambda: store.delete("results/secret.png"),
        lambda: list(store.list("results/")),
        lambda: put(store, "results/new.png"),
    ):
        with pytest.raises(InvalidObjectError):
            call()
    assert list(store.list("")) == []
    assert visible(outside) == ["secret.png"]


def test_a_name_is_an_object_or_a_folder_but_not_both(tmp_path: Path) -> None:
    """What a file system cannot hold and S3 could is refused, not reported as there already."""
    store = DirectoryStore(tmp_path)
    put(store, "results/a/0.png")
    with pytest.raises(InvalidObjectError):
        put(store, "results/a")
    with pytest.raises(InvalidObjectError):
        put(store, "results/a/0.png/b.png")
    assert store.head("results/a") is None
    assert store.head("results/a/0.png/b.png") is None
    store.delete("results/a")
    assert list(store.list("")) == ["results/a/0.png"]


def test_a_file_that_somebody_put_there_is_an_object_too(tmp_path: Path) -> None:
    """Without a description, or with a broken one, head tells the size and claims nothing else."""
    store = DirectoryStore(tmp_path)
    put(store)
    (tmp_path / "results/a/.0.png.json").write_text("{")
    (tmp_path / "results/a/1.png").write_bytes(b"copied")
    for name in ("results/a/0.png", "results/a/1.png"):
        info = store.head(name)
        assert info is not None
        assert (info.content_type, info.sha256, dict(info.metadata)) == ("application/octet-stream", None, {})


def test_a_folder_that_may_not_be_read_is_no_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing raises where permissions hide something."""
    store = DirectoryStore(tmp_path)
    put(store)

    def refused(path: str) -> None:
        raise PermissionError(errno.EACCES, "of the test", path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(StorageRefusedError):
        list(store.list(""))


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    """A store that cannot be opened says which directory it is about."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageRefusedError, match="file"):
        DirectoryStore(tmp_path / "file")
