"""How a message that waits in a long queue is told from one that is gone."""

from __future__ import annotations

import pytest

from workers.backlog import Admission, BeginRates, admit, pause_for_backlog, pause_for_room

TASK = "sceneshift.poll"


@pytest.mark.parametrize(
    ("length", "per_second", "pause"),
    [
        (0, 0.0, 20.0),
        (1_000_000, 0.0, 20.0),
        (52, 0.65, 20.0),
        (0, 10.0, 1.0),
        (9, 10.0, 1.0),
        (51, 1.0, 51.0),
        (201, 10.0, 20.1),
        (1000, 10.0, 100.0),
        (6000, 10.0, 600.0),
        (1_000_000, 10.0, 600.0),
    ],
)
def test_a_pause_is_the_time_to_drain(length: int, per_second: float, pause: float) -> None:
    """Between one second and ten minutes; a lease when nobody can say how fast the queue is, or will be."""
    assert pause_for_backlog(length, per_second, 20.0) == pause


@pytest.mark.parametrize(
    ("length", "per_second", "waiting"),
    [(0, 0.0, True), (50, 0.0, True), (51, 0.0, False), (200, 10.0, True), (201, 10.0, False)],
)
@pytest.mark.parametrize("filled_slowly", [True, False])
def test_a_message_is_repeated_when_the_first_one_must_be_gone(
    length: int, per_second: float, *, waiting: bool, filled_slowly: bool
) -> None:
    """In a queue that drains within a lease, a message of more than a lease ago cannot lie any more."""
    admission = admit(queue_length=length, begun_per_second=per_second, lease_seconds=20.0, filled_slowly=filled_slowly)
    assert admission.waiting is waiting


@pytest.mark.parametrize(
    ("length", "per_second", "room"),
    [(0, 0.0, 50), (20, 0.0, 30), (50, 0.0, 0), (51, 0.0, 0), (0, 25.0, 50), (0, 100.0, 200), (150, 100.0, 50)],
)
def test_a_queue_that_is_filled_slowly_gets_two_seconds_of_work(length: int, per_second: float, room: int) -> None:
    """And at least fifty messages, so that what is urgent and comes later need not wait behind bulk work."""
    admission = admit(queue_length=length, begun_per_second=per_second, lease_seconds=20.0, filled_slowly=True)
    assert admission.fresh == room


def test_other_queues_take_whatever_is_due() -> None:
    """A poll whose time has come has no message in the queue yet, however long it is."""
    admission = admit(queue_length=10_000, begun_per_second=0.0, lease_seconds=20.0, filled_slowly=False)
    assert admission == Admission(waiting=False, fresh=None)


@pytest.mark.parametrize(("filled_slowly", "fresh"), [(True, 0), (False, None)])
def test_a_queue_of_unknown_length_gets_no_repetitions(*, filled_slowly: bool, fresh: int | None) -> None:
    """Without the broker's word nothing is known of earlier messages, nor of the room in a short queue."""
    admission = admit(queue_length=None, begun_per_second=100.0, lease_seconds=20.0, filled_slowly=filled_slowly)
    assert admission == Admission(waiting=False, fresh=fresh)


def rates(*samples: tuple[float, int]) -> BeginRates:
    made = BeginRates()
    for at, count in samples:
        made.note(at, {TASK: count})
    return made


def test_a_rate_is_what_was_begun_over_the_window() -> None:
    """The counters' difference over the time between the samples."""
    assert rates((0.0, 100), (5.0, 130), (10.0, 150)).per_second(TASK) == 5.0


def test_only_the_last_seconds_count() -> None:
    """A fleet that has stopped is slow soon, however fast it was."""
    made = rates((0.0, 0), (1.0, 1000), *((float(second), 1000) for second in range(2, 18)))
    assert made.per_second(TASK) == 0.0


@pytest.mark.parametrize("samples", [(), ((3.0, 500),), ((3.0, 500), (3.0, 600))])
def test_without_two_moments_there_is_no_rate(samples: tuple[tuple[float, int], ...]) -> None:
    """Before anything was measured the rate is 0, and the rule for unknown rates applies."""
    assert rates(*samples).per_second(TASK) == 0.0


def test_counters_that_fell_back_are_no_negative_rate() -> None:
    """A store that was emptied starts its counters anew."""
    assert rates((0.0, 100), (10.0, 10)).per_second(TASK) == 0.0


def test_a_task_that_nobody_began_has_no_rate() -> None:
    """Its counter does not exist yet."""
    assert rates((0.0, 0), (10.0, 100)).per_second("sceneshift.notify") == 0.0


@pytest.mark.parametrize(
    ("length", "per_second", "pause"),
    [(0, 0.0, 1.0), (50, 0.07, 1.0), (51, 0.07, 20.0), (1000, 0.9, 20.0), (1000, 10.0, 95.0), (201, 100.0, 1.0)],
)
def test_room_is_looked_for_when_there_should_be_some(length: int, per_second: float, pause: float) -> None:
    """Soon in a short queue, or as it drains; a fleet that had nothing to do is not taken for a slow one."""
    assert pause_for_room(length, per_second, 20.0) == pause


def test_room_is_looked_for_every_ten_minutes_at_the_least() -> None:
    """However long the queue is."""
    assert pause_for_room(1_000_000, 10.0, 20.0) == 600.0
