"""Which due polls and webhooks share a message."""

from __future__ import annotations

import pytest

from sceneshift.identifiers import step_kind
from sceneshift.messages import message_for_due
from sceneshift.store.due import DueStep
from tests.factories import a_job
from workers.timekeeper import BATCH_FROM, WEBHOOKS_BATCH_FROM, messages_for


def due(step: str, count: int) -> list[DueStep]:
    jobs = [a_job().id for _ in range(count)]
    return [DueStep(subject_id=job, step=step, sku="A", parent_step="", job_id=job, waiting=False) for job in jobs]


@pytest.mark.parametrize(("batch_max", "sizes"), [(50, [50, 10]), (25, [25, 25, 10]), (7, [*[7] * 8, 4]), (500, [60])])
def test_many_polls_share_messages_up_to_the_limit(batch_max: int, sizes: list[int]) -> None:
    """Each job is in one message, with its own step, in the order in which they are due."""
    steps = due("poll-003", 60)
    messages = messages_for("sceneshift.poll", steps, batch_max=batch_max)
    assert [len(message.kwargs["job_ids"]) for message in messages] == sizes
    assert [job for message in messages for job in message.kwargs["job_ids"]] == [step.subject_id for step in steps]
    assert {step for message in messages for step in message.kwargs["steps"]} == {"poll-003"}
    assert len({message.task_id for message in messages}) == len(sizes)


def test_many_webhooks_share_messages_too() -> None:
    """In smaller batches, because the slowest endpoint ends one; the setting for polls may make them smaller still."""
    steps = due("notify-02", 40)
    messages = messages_for("sceneshift.notify", steps, batch_max=50)
    assert [len(message.kwargs["delivery_ids"]) for message in messages] == [16, 16, 8]
    assert [each for message in messages for each in message.kwargs["delivery_ids"]] == [s.subject_id for s in steps]
    assert {message.task for message in messages} == {"sceneshift.notify"}
    assert len(messages_for("sceneshift.notify", steps, batch_max=10)) == 4


@pytest.mark.parametrize(
    ("step", "count", "batch_max"),
    [
        ("poll-003", BATCH_FROM - 1, 50),
        ("poll-003", 60, 1),
        ("notify-01", WEBHOOKS_BATCH_FROM - 1, 50),
        ("notify-01", 60, 1),
        ("submit-1", 60, 50),
    ],
)
def test_others_have_messages_of_their_own(step: str, count: int, batch_max: int) -> None:
    """Few of them, those that may not share, and all else: a message each, which Flower shows as its chain."""
    steps = due(step, count)
    assert messages_for(f"sceneshift.{step_kind(step)}", steps, batch_max=batch_max) == [
        message_for_due(each) for each in steps
    ]
