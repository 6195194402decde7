"""Object names: what a job's results are called, and what never becomes part of a name."""

from __future__ import annotations

import time

import pytest

from sceneshift.identifiers import new_job_id
from storage.names import EXTENSIONS, job_folder, manifest_name, output_name, output_prefix
from storage.objects import InvalidObjectError, check_key

# 2026-11-23 23:59:59.999 UTC
JUST_BEFORE_MIDNIGHT = 1_795_478_399.999
JOB_ID = new_job_id(JUST_BEFORE_MIDNIGHT)


def test_a_name_is_made_of_the_job_s_day_id_and_index() -> None:
    """The day is the one on which the job was accepted, in UTC, whenever the name is asked for."""
    assert output_name(JOB_ID, 0, "image/png") == f"results/2026/11/23/{JOB_ID}/0.png"
    assert output_name(JOB_ID, 3, "image/jpeg") == f"results/2026/11/23/{JOB_ID}/3.jpg"
    assert output_name(JOB_ID, 12, "image/webp") == f"results/2026/11/23/{JOB_ID}/12.webp"
    assert manifest_name(JOB_ID) == f"results/2026/11/23/{JOB_ID}/manifest.json"
    next_day = new_job_id(JUST_BEFORE_MIDNIGHT + 0.002)
    assert job_folder(next_day) == f"results/2026/11/24/{next_day}"


def test_the_day_does_not_depend_on_the_machine_s_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers in different time zones give one job the same names."""
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "TOKYO-9")
        time.tzset()
        folder = job_folder(JOB_ID)
    time.tzset()
    assert folder.startswith("results/2026/11/23/")


def test_every_name_is_one_that_all_stores_keep() -> None:
    """Names pass the rule for keys, and the prefix of an index fits all its types and no other index."""
    for content_type in EXTENSIONS:
        name = output_name(JOB_ID, 1, content_type)
        check_key(name)
        assert name.startswith(output_prefix(JOB_ID, 1))
        assert not output_name(JOB_ID, 10, content_type).startswith(output_prefix(JOB_ID, 1))


@pytest.mark.parametrize(
    "job_id",
    [
        "", "job_", "../../etc/passwd", JOB_ID + "/..", JOB_ID + "\n", JOB_ID.lower(), JOB_ID[:-1], JOB_ID + "0",
        "evt" + JOB_ID[3:], JOB_ID[:-1] + "I", JOB_ID[:-1] + "\u0660", "job_" + "Z" * 26, "job_7" + "Z" * 25,
    ],
    ids=lambda job_id: f"{len(job_id)} characters, " + ascii(job_id[:4] + job_id[30:]),
)  # fmt: skip
def test_only_our_own_job_ids_become_names(job_id: str) -> None:
    """What does not match the pattern of our ids, or has no date, is refused."""
    with pytest.raises(InvalidObjectError):
        output_name(job_id, 0, "image/png")
    with pytest.raises(InvalidObjectError):
        manifest_name(job_id)


@pytest.mark.parametrize("index", [-1, 100])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    """Indexes are those of a job's few results."""
    with pytest.raises(InvalidObjectError):
        output_name(JOB_ID, index, "image/png")


@pytest.mark.parametrize("content_type", ["image/gif", "text/html", "image/svg+xml", "png", "", "image/PNG"])
def test_a_type_that_is_not_a_result_s_has_no_name(content_type: str) -> None:
    """Extensions come from a fixed list."""
    with pytest.raises(InvalidObjectError):
        output_name(JOB_ID, 0, content_type)
