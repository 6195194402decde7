"""Names that are made in one place and derivable from each other."""

from __future__ import annotations

import uuid

import pytest

from sceneshift import identifiers
from tests.factories import NOW

JOB_ID = "job_01M82V7M0021AQTGS0ZZM1M1M7"


def test_ids_sort_by_their_time_and_do_not_repeat() -> None:
    """A later job has a greater id, and a thousand of one millisecond are all different."""
    ids = [identifiers.new_job_id(NOW + step / 1000) for step in range(1000)]
    assert ids == sorted(ids)
    assert len({identifiers.new_job_id(NOW) for _ in range(1000)}) == 1000
    assert all(identifiers.is_job_id(job_id) for job_id in ids)


@pytest.mark.parametrize("moment", [0.0, 0.001, NOW, NOW + 0.999, 2.0**38])
def test_an_id_tells_when_it_was_made(moment: float) -> None:
    """To the millisecond."""
    assert identifiers.created_at(identifiers.new_job_id(moment)) == pytest.approx(moment, abs=0.0011)


@pytest.mark.parametrize(
    "text",
    [
        "", "job_", JOB_ID[:-1], JOB_ID + "0", JOB_ID + "\n", JOB_ID.lower(), JOB_ID.replace("job_", "JOB_"),
        "evt_" + JOB_ID[4:], JOB_ID[:-1] + "I", JOB_ID[:-1] + "L", JOB_ID[:-1] + "O", JOB_ID[:-1] + "U",
        "job_8" + JOB_ID[5:], JOB_ID[:-1] + "\u0660", f" {JOB_ID}", "job_../../../../../etc/passwd",
    ],
)  # fmt: skip
def test_only_our_own_form_is_a_job_id(text: str) -> None:
    """What is not an id cannot become part of a key or an object name, and has no date."""
    assert not identifiers.is_job_id(text)
    with pytest.raises(ValueError, match="is not a job id"):
        identifiers.created_at(text)


@pytest.mark.parametrize(
    ("kind", "number", "step"),
    [
        ("submit", 1, "submit-1"),
        ("poll", 7, "poll-007"),
        ("poll", 1000, "poll-1000"),
        ("finalize", 12, "finalize-12"),
        ("notify", 2, "notify-02"),
        ("resolve", 3, "resolve-3"),
    ],
)
def test_a_step_s_name_is_read_back(kind: str, number: int, step: str) -> None:
    """Kind and number make the name, and the name gives them again."""
    assert identifiers.step_name(kind, number) == step
    assert (identifiers.step_kind(step), identifiers.step_number(step)) == (kind, number)


def test_derived_names_are_always_the_same() -> None:
    """Repeating a transition or a step makes the same names again, and another number makes others."""
    assert identifiers.task_id(JOB_ID, "poll-007") == f"{JOB_ID}:poll-007"
    assert identifiers.event_id(JOB_ID, 2) == f"evt_{JOB_ID[4:]}_2"
    assert identifiers.delivery_id(JOB_ID, 2) == f"dlv_{JOB_ID[4:]}_2"
    theirs = identifiers.endpoint_delivery_id(identifiers.event_id(JOB_ID, 2), "ep_7h3k")
    assert identifiers.endpoint_of_delivery(theirs) == "ep_7h3k"
    assert identifiers.endpoint_of_delivery(identifiers.delivery_id(JOB_ID, 2)) == ""


def test_a_nonce_is_fixed_by_job_and_epoch() -> None:
    """It is a UUID that nothing can re-roll: this one is the same in every version and on every machine."""
    assert identifiers.submission_nonce(JOB_ID, 1) == "e2674f5f-192d-5403-b6aa-cb78b0c2673a"
    assert uuid.UUID(identifiers.submission_nonce(JOB_ID, 1)).version == 5
    others = {identifiers.submission_nonce(job_id, epoch) for job_id in (JOB_ID, JOB_ID[:-1] + "8") for epoch in (1, 2)}
    assert len(others) == 4
