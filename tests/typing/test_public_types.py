"""What type checkers see of the public calls; mypy checks this file, and it runs so that it cannot rot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, assert_type

import sceneshift

if TYPE_CHECKING:

    def a_shop(job: sceneshift.Job) -> None:
        ordered = sceneshift.enqueue_job(
            image="https://a.example/i", mask="https://a.example/m", positive_prompt="silk"
        )
        assert_type(ordered, sceneshift.Job)
        assert_type(sceneshift.get_job("job_1"), sceneshift.Job)
        assert_type(sceneshift.cancel_job("job_1", keep_result=True), sceneshift.CancelOutcome)
        assert_type(job.snapshot(), sceneshift.JobSnapshot)
        assert_type(job.result(timeout=1.5), sceneshift.JobResult)
        assert_type(job.result().outputs, tuple[sceneshift.OutputImage, ...])
        assert_type(job.exception(), sceneshift.JobError | None)
        assert_type(job.events(), Iterator[sceneshift.JobEvent])
        assert_type(job.done(), bool)
        # Wrong calls must be seen before they run: each ignore below is an error when it is not needed.
        sceneshift.enqueue_job("https://a.example/i")  # type: ignore[call-arg]
        sceneshift.enqueue_job(image=1, mask="m", positive_prompt="p")  # type: ignore[arg-type]
        sceneshift.enqueue_job(image="i", mask="m", positive_prompt="p", lane="urgent")  # type: ignore[arg-type]


def test_public_calls_are_typed_for_their_callers() -> None:
    """The package says that it is typed, and its calls carry annotations at run time too."""
    calls: tuple[Callable[..., object], ...] = (sceneshift.enqueue_job, sceneshift.get_job, sceneshift.cancel_job)
    assert all(call.__annotations__.get("return") for call in calls)
