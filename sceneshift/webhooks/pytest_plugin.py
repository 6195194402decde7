"""A pytest fixture that puts a shop's webhook endpoint on trial. It does nothing in tests that do not ask for it.

Installing the package makes it known to pytest (entry point `pytest11`). It imports pytest and nothing else until a
test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from sceneshift.webhooks.consumer_checks import ConsumerReport
    from sceneshift.webhooks.consumer_trial import Send


class CheckWebhookConsumer(Protocol):
    """The fixture's value: the receiver passed every check that could be tried, or the test has failed."""

    def __call__(
        self,
        consumer: str | Send,
        *,
        secret: str,
        acted: Callable[[str], int] | None,
        state: Callable[[str], str | None] | None,
        old_secret: str | None = None,
        answer_within_seconds: float = 5.0,
        without: Collection[str] = (),
    ) -> ConsumerReport:
        """Put the receiver on trial.

        Args:
            consumer: a URL that is posted to, or a callable that gets body and headers and returns a status.
            secret: one that the receiver knows.
            acted: how often the receiver has acted on the end of the job with this id; None when nobody can tell.
            state: the state that it believes the job with this id to be in; None when it keeps none.
            old_secret: another secret that it knows while one replaces the other.
            answer_within_seconds: how long it may take to answer.
            without: names of checks that are not to be tried.
        """
        ...


@pytest.fixture(scope="session")
def check_webhook_consumer() -> CheckWebhookConsumer:
    """Fails the test, by the names of checks, when a receiver of webhooks does not do right."""
    from sceneshift.webhooks.consumer_checks import check_consumer  # noqa: PLC0415  # pytest starts without it
    from sceneshift.webhooks.consumer_trial import Consumer  # noqa: PLC0415
    from sceneshift.webhooks.posting import Endpoint  # noqa: PLC0415

    def check(
        consumer: str | Send,
        *,
        secret: str,
        acted: Callable[[str], int] | None,
        state: Callable[[str], str | None] | None,
        old_secret: str | None = None,
        answer_within_seconds: float = 5.0,
        without: Collection[str] = (),
    ) -> ConsumerReport:
        on_trial = Consumer(
            send=Endpoint(consumer) if isinstance(consumer, str) else consumer,
            secret=secret,
            old_secret=old_secret,
            acted=acted,
            state=state,
            answer_within_seconds=answer_within_seconds,
        )
        report = check_consumer(on_trial, without=without)
        if report.failed:
            pytest.fail(str(report), pytrace=False)
        return report

    return check
