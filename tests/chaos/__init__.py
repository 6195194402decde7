"""Long runs of real processes under fire, judged by the simulated provider's own account: programs, not tests."""
