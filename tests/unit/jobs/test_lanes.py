"""Which events share a lane, and how many attempts an endpoint may have in flight."""

from __future__ import annotations

import pytest

from sceneshift.jobs.lanes import LaneKind, bare_url, in_flight_limits, lane_of_url


def test_a_url_is_one_lane_whatever_its_query() -> None:
    """Tokens and job numbers in the query do not make an endpoint another one; the path does."""
    lane = lane_of_url("https://shop.example/hooks")
    assert lane.startswith("url_")
    assert len(lane) == 20
    assert lane_of_url("https://shop.example/hooks?token=a") == lane_of_url("https://shop.example/hooks#b") == lane
    assert lane_of_url("https://shop.example/other") != lane


@pytest.mark.parametrize("url", ["https://a.example/x?token=1", "https://a.example/x#?y", "https://a.example/x"])
def test_a_bare_url_holds_no_token(url: str) -> None:
    """Neither a query nor a fragment is left."""
    assert bare_url(url) == "https://a.example/x"


@pytest.mark.parametrize("threads", [1, 2, 4, 16, 64])
def test_a_good_endpoint_gets_half_of_a_process_and_a_bad_one_next_to_nothing(threads: int) -> None:
    """An endpoint that was never tried gets one attempt, a failing one two, however many threads there are."""
    limits = in_flight_limits(threads)
    assert limits[LaneKind.UNTRIED] == 1
    assert limits[LaneKind.FAILING] == 2
    assert limits[LaneKind.QUICK] == max(2, threads // 2)
    assert limits[LaneKind.FAILING] <= limits[LaneKind.SLOW] <= limits[LaneKind.QUICK]
