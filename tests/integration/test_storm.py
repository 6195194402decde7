"""A small storm of every fault there is, over a real deployment; `run.py chaos` is the large one."""

from __future__ import annotations

import pytest

from tests.chaos.chaos import StormPlan, run_chaos
from tests.chaos.page import page
from tests.chaos.schedule import Fault


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_shop_comes_through_a_storm() -> None:
    """Workers, servers, provider and shop fail for 45 seconds; every order ends, is paid once, stored and told of."""
    report = run_chaos(StormPlan(seed=11, seconds=45.0, rate=3.0, workers=3), print)
    assert report["problems"] == []
    assert all(report["faults"][fault] for fault in Fault), "a kind of fault did not strike"
    assert report["jobs"] > 50, "hardly anything was ordered"
    assert report["states"]["succeeded"] > report["jobs"] / 2, "hardly anything succeeded"
    assert report["provider_faults"], "the provider did nothing wrong"
    assert report["cancelled"], "nobody cancelled anything"
    assert report["pictures_compared"] > 0, "no picture was compared with the provider's"
    assert all(size > 0 for place, size in report["searched_bytes"].items() if place != "the spool")
    assert "Every promise was kept" in page(report)
